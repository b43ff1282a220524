// Virtio devices as small guests drive them: found on PCI bus 0, any kind; and split rings that a
// test may also fill by hand. virtio specification: "Virtio Over PCI Bus", "Split Virtqueues".
#pragma once

#include "tests/guests/lib/interrupts.h"

#define VIRTIO_RING      256 // entries of a queue here
#define VIRTIO_NO_VECTOR 0xffff
#define VIRTIO_QUEUES    17
#define VIRTIO_NET       1
#define VIRTIO_BLOCK     2
#define VIRTIO_BALLOON   5

#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)
#define VIRTIO_F_RING_RESET    BIT(40)

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

struct virtio_descriptor {
    uint64_t at;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtio_ring {
    _Alignas(4096) struct virtio_descriptor descriptor[VIRTIO_RING];
    _Alignas(4096) struct {
        volatile uint16_t flags, index, entry[VIRTIO_RING], used_event;
    } available;
    _Alignas(4096) struct {
        volatile uint16_t flags, index;
        struct {
            volatile uint32_t head, written;
        } entry[VIRTIO_RING];
        volatile uint16_t available_event;
    } used;
};

struct virtio_function {
    unsigned slot;
    uint16_t type; // of device
    volatile uint8_t *common;
    volatile uint8_t *isr;
    volatile uint8_t *config;
    uint32_t *vectors; // of MSI-X
    uint16_t notify;   // port of queue 0
    uint16_t notify_scale;
    unsigned msix;   // where its capability is
    unsigned queues; // how many
};

uint32_t pci_read(unsigned slot, unsigned at);
void pci_write(unsigned slot, unsigned at, uint32_t value);

// The next virtio function from this slot on. False: there is none.
bool virtio_find(unsigned slot, struct virtio_function *found);

// Registers of the common configuration.
#define VIRTIO_STATUS       0x14
#define VIRTIO_QUEUE_SELECT 0x16
#define VIRTIO_QUEUE_RESET  0x3a

// Device status.
#define VIRTIO_NEEDS_RESET 0x40

// Resets the device, and goes as far as FEATURES_OK, with those of `features` that it offers.
// Returns these.
uint64_t virtio_negotiate(const struct virtio_function *function, uint64_t features);

// Gives a queue this ring of so many entries, and this vector of MSI-X.
void virtio_enable(const struct virtio_function *function, unsigned queue, struct virtio_ring *ring,
                   unsigned size, uint16_t vector);
void virtio_go(const struct virtio_function *function);
uint8_t virtio_status(const struct virtio_function *function);

// Message `vector` goes to this vector of CPU 0; then MSI-X is on.
void virtio_route(const struct virtio_function *function, unsigned vector, uint8_t to);

static inline void virtio_notify(const struct virtio_function *function, unsigned queue)
{
    out16((uint16_t)(function->notify + queue * function->notify_scale), (uint16_t)queue);
}
