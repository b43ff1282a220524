// Virtio devices over PCI: the transport that all kinds share. A device's struct begins with its
// struct virtio. virtio specification: "Basic Facilities of a Virtio Device", "Virtio Over PCI
// Bus".
#pragma once

#include "drivers/virt/pci/vmsix.h"
#include "drivers/virt/virtio/virtqueue.h"
#include "vm/irq.h"
#include "vm/vm.h"

#define VIRTIO_QUEUES 17
#define VIRTIO_CONFIG 64 // bytes of a device's own configuration at most

// Device types.
#define VIRTIO_NET     1
#define VIRTIO_BLOCK   2
#define VIRTIO_CONSOLE 3
#define VIRTIO_ENTROPY 4
#define VIRTIO_BALLOON 5
#define VIRTIO_SOCKET  19

// Features of all devices.
#define VIRTIO_F_VERSION_1  BIT(32)
#define VIRTIO_F_RING_RESET BIT(40)
#define VIRTIO_F_ALL                                                                               \
    (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)

// Device status.
#define VIRTIO_ACKNOWLEDGE 0x01
#define VIRTIO_DRIVER      0x02
#define VIRTIO_DRIVER_OK   0x04
#define VIRTIO_FEATURES_OK 0x08
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_FAILED      0x80

struct virtio;

struct virtio_class {
    uint8_t type;
    bool is_told_early; // its drivers notify before DRIVER_OK
    uint32_t pci_class; // class code, in bits 31:8
    // Whether a driver may take these of the features that are offered. NULL: any of them.
    bool (*accepts)(const struct virtio *device, uint64_t features);
    // Does some of what the driver asks of a queue: chains that are taken are given back. True:
    // there may be more.
    bool (*work)(struct virtio *device, unsigned queue);
    // The driver wrote to the device's own configuration, this byte (which the device may then
    // change). NULL: it is read-only.
    void (*configured)(struct virtio *device, unsigned offset, uint8_t value);
    // The driver resets a queue, whose chains are no longer the device's. NULL: none is kept.
    void (*queue_reset)(struct virtio *device, unsigned queue);
    // The driver resets the device. NULL: nothing but the queues.
    void (*reset)(struct virtio *device);
};

struct virtio {
    struct vdev device;
    // What the board connects, and what the device is.
    const struct virtio_class *class;
    struct irq_line irq;
    uint64_t offered; // features
    unsigned queues;  // how many
    unsigned config_size;
    bool is_told; // that its driver broke the rules
    // Taken under the device's by who uses its registers, but for notices: others use its queues
    // and interrupts under it. NULL: there are no others.
    struct spinlock *shared;

    struct vpci_function function;
    struct vmsix msix;
    uint8_t config[VIRTIO_CONFIG]; // the device's own
    uint64_t features;             // the driver's
    uint32_t offered_select;
    uint32_t features_select;
    uint32_t queue_select;
    uint32_t config_vector;
    uint32_t work; // queues that may have something
    uint8_t status;
    uint8_t generation; // of config
    uint16_t isr;
    struct virtqueue queue[VIRTIO_QUEUES];

    uint64_t now;              // VM time of the last access or tick
    uint64_t due;              // ... of the next piece of work
    uint64_t turn;             // the queue from which on it is looked for
    struct virtio_chain chain; // the one that is being worked on
};

extern const struct field virtio_fields[];

// Makes the PCI function of a device whose `class`, `offered`, `queues` and `config_size` are set,
// before it is reset.
void virtio_describe(struct virtio *device);

// For classes of devices.
bool virtio_access(struct vdev *device, struct access *access);
uint64_t virtio_deadline(struct vdev *device);
void virtio_tick(struct vdev *device, uint64_t now);
void virtio_reset(struct vdev *device);
void virtio_loaded(struct vdev *device);

// The memory of the device's VM.
static inline const struct gmem *virtio_memory(const struct virtio *device)
{
    return &device->device.vm->memory;
}

// The device can do nothing for this driver any more, which learns that it has to reset it.
void virtio_break(struct virtio *device, const char *why);

static inline bool virtio_is_live(const struct virtio *device)
{
    return (device->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

// Whether the driver may use this queue, which exists.
static inline bool virtio_is_at_work(const struct virtio *device, uint64_t queue)
{
    return virtio_is_live(device) && device->queue[queue].is_enabled;
}

// Takes the queue's next chain into device->chain. False: there is none; or the driver broke its
// rules, and the device says that it needs a reset.
MUST_CHECK static inline bool virtio_take(struct virtio *device, unsigned queue)
{
    const char *why;
    if (!virtio_is_at_work(device, queue))
        return false;
    enum virtqueue_result result = virtqueue_take(&device->queue[queue], virtio_memory(device),
                                                  device->features, &device->chain, true, &why);
    if (result == VIRTQUEUE_BROKEN)
        virtio_break(device, why);
    return result == VIRTQUEUE_CHAIN;
}

// The same for a chain that was taken before the state was saved.
MUST_CHECK bool virtio_take_again(struct virtio *device, unsigned queue, unsigned head);

// Gives the chain back, `written` bytes of it written; the driver hears of it by virtio_tell().
static inline void virtio_give(struct virtio *device, unsigned queue, uint32_t written)
{
    if (!virtqueue_give(&device->queue[queue], virtio_memory(device), device->chain.head, written))
        virtio_break(device, "the used ring is not RAM");
}
void virtio_tell(struct virtio *device, unsigned queue);

// There is room again for what a device has left in its queues: they are worked on by its deadline.
void virtio_look_again(struct virtio *device);

// The device has changed its configuration.
void virtio_config_changed(struct virtio *device);

// ---- for devices that others use, under the lock that they share ----
void virtio_break_shared(struct virtio *device, const char *why);
void virtio_interrupt(struct virtio *device, unsigned queue);

static inline void virtio_hold(struct virtio *device)
{
    if (device->shared)
        spin_lock(device->shared);
}
static inline void virtio_release(struct virtio *device)
{
    if (device->shared)
        spin_unlock(device->shared);
}
