// A VM with 4 MiB of RAM and a PCI bus, and the driver of one virtio device in slot 1, which does
// what its test says.
#pragma once

#include "tests/unit/support.h"

#include "drivers/virt/pci/vpci.h"
#include "drivers/virt/virtio/virtio.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define RAM_BYTES   (4 << 20)
#define RINGS       0x10000 // of queue 0; the others' behind them
#define RINGS_BYTES 0x4000
#define QUEUE_SIZE  8
#define BUFFERS     0x100000

#define WRITE    2 // flags of descriptors
#define NEXT     1
#define INDIRECT 4

#define REGISTERS 0xd0000000u // where the test puts the regions
#define VECTORS   0xd0010000u
#define NOTICES   0xc000u

struct driver_descriptor {
    uint64_t at;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

static struct vm vm;
static struct vpci pci;
static struct gmem_piece pieces[2];
static _Alignas(4096) uint8_t ram[RAM_BYTES];
static unsigned line, rises;

static void set_line(void *controller, unsigned input, bool level)
{
    (void)controller, (void)input;
    rises += level && !line;
    line = level;
}

// The host's random numbers: the bytes 1, 2, 3, ..., as long as there are some.
static size_t entropy, drawn;

static size_t draw(uint8_t *to, size_t bytes)
{
    size_t before = drawn;
    while (drawn - before < bytes && drawn < entropy)
        *to++ = (uint8_t)++drawn;
    return drawn - before;
}

// ---- configuration space and registers ----

static inline uint32_t pci_register(unsigned reg, bool write, uint32_t value)
{
    struct access access = {
        .offset = PCI_ECAM + (1 << 15) + reg, .size = 4, .write = write, .value = value};
    assert_true(vdev_access(&pci.device, &access));
    return (uint32_t)access.value;
}

static inline uint64_t memory(uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {.offset = at, .size = size, .write = write, .value = value};
    assert_true(bus_access(&vm.mmio, &access));
    return access.value;
}

static inline uint64_t get(unsigned offset, uint8_t size)
{
    return memory(REGISTERS + offset, size, false, 0);
}

static inline void set(unsigned offset, uint8_t size, uint64_t value)
{
    memory(REGISTERS + offset, size, true, value);
}

static inline void notify(unsigned queue)
{
    struct access access = {
        .offset = NOTICES + 4 * queue, .size = 2, .write = true, .value = queue};
    assert_true(bus_access(&vm.ports, &access));
}

// ---- the device ----

static inline void plug_driver(struct virtio *device, const struct vdev_class *class,
                               void (*describe)(void))
{
    static const struct vm_host host = {.entropy = draw};
    struct explanation why;
    memset(&vm, 0, sizeof(vm));
    memset(pieces, 0, sizeof(pieces));
    memset(ram, 0, sizeof(ram));
    line = rises = 0;
    entropy = SIZE_MAX;
    drawn = 0;
    vm.host = &host;
    vm.traits.name = "linux";
    vm.ports.name = "ports";
    vm.mmio.name = "MMIO";
    vm.deadlines.first = NEVER;
    gmem_init(&vm.memory, pieces, 2);
    gmem_add(&vm.memory, gpa(0), ram, RAM_BYTES);
    vm_plug(&vm, &pci.device, &vpci_class);
    vm_plug(&vm, &device->device, class);
    describe();
    vdev_reset(&device->device);
    device->irq = (struct irq_line){.set = set_line};
    assert_int_equal(vpci_add(&pci, 1, &device->function, &why), STATUS_OK);
    pci_register(16, true, REGISTERS);
    pci_register(20, true, VECTORS);
    pci_register(24, true, NOTICES);
    pci_register(4, true, 7);
}

// Up to FEATURES_OK. Returns whether the device took them.
static inline bool negotiate(uint64_t features)
{
    set(0x14, 1, 0);
    set(0x14, 1, 1);
    set(0x14, 1, 3);
    set(0x08, 4, 0);
    set(0x0c, 4, (uint32_t)features);
    set(0x08, 4, 1);
    set(0x0c, 4, features >> 32);
    set(0x14, 1, 0xb);
    return get(0x14, 1) & 8;
}

static inline uint64_t rings(unsigned queue)
{
    return RINGS + queue * RINGS_BYTES;
}

static inline struct driver_descriptor *descriptors(unsigned queue)
{
    return (struct driver_descriptor *)(ram + rings(queue));
}

static inline uint16_t *available(unsigned queue)
{
    return (uint16_t *)(ram + rings(queue) + 0x1000);
}

static inline uint16_t *used(unsigned queue)
{
    return (uint16_t *)(ram + rings(queue) + 0x2000);
}

static inline uint32_t *used_element(unsigned queue, unsigned index)
{
    return (uint32_t *)(used(queue) + 2) + 2 * (index % QUEUE_SIZE);
}

static inline void enable_queue(unsigned queue)
{
    set(0x16, 2, queue);
    set(0x18, 2, QUEUE_SIZE);
    set(0x20, 4, rings(queue));
    set(0x28, 4, rings(queue) + 0x1000);
    set(0x30, 4, rings(queue) + 0x2000);
    set(0x1c, 2, 1);
}

static inline void drive(uint64_t features, unsigned queues)
{
    assert_true(negotiate(features));
    for (unsigned i = 0; i < queues; i++)
        enable_queue(i);
    set(0x14, 1, 0xf);
}

// ---- requests ----

static inline void describe(unsigned queue, unsigned number, uint64_t at, uint32_t length,
                            unsigned flags, unsigned next)
{
    descriptors(queue)[number] =
        (struct driver_descriptor){at, length, (uint16_t)flags, (uint16_t)next};
}

static inline void offer(unsigned queue, unsigned head)
{
    uint16_t *ring = available(queue);
    ring[2 + ring[1] % QUEUE_SIZE] = (uint16_t)head;
    ring[1]++;
}

static inline void tick_until_quiet(void)
{
    for (uint64_t now = 0; vm.deadlines.first != NEVER; now++) {
        assert_true(now < 100000);
        vm_tick_devices(&vm, now);
    }
}

static inline bool needs_reset(void)
{
    return get(0x14, 1) & 0x40;
}
