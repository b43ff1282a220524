// The driver's side of virtio: capabilities, registers, set-up.
#include "tests/guests/lib/virtio.h"

#define VENDOR            0x1af4
#define FIRST_ID          0x1040
#define LAST_ID           0x107f
#define CAPABILITY_VENDOR 0x09
#define CAPABILITY_MSIX   0x11
#define MSIX_ON           BIT32(31)
#define BASE_IO           1

enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_CONFIG };

#define QUEUES             0x12
#define OFFERED_SELECT     0x00
#define OFFERED            0x04
#define FEATURES_SELECT    0x08
#define FEATURES           0x0c
#define QUEUE_SIZE         0x18
#define QUEUE_VECTOR       0x1a
#define QUEUE_ENABLE       0x1c
#define QUEUE_DESCRIPTORS  0x20
#define QUEUE_AVAILABLE    0x28
#define QUEUE_USED         0x30
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8

#define COMMON(function, offset, type) (*(volatile type *)((function)->common + (offset)))

uint32_t pci_read(unsigned slot, unsigned at)
{
    out32(PORT_PCI_ADDRESS, 0x80000000 | slot << 11 | (at & ~3U));
    return in32(PORT_PCI_DATA) >> 8 * (at & 3);
}

void pci_write(unsigned slot, unsigned at, uint32_t value)
{
    out32(PORT_PCI_ADDRESS, 0x80000000 | slot << 11 | at);
    out32(PORT_PCI_DATA, value);
}

// ---- discovery ----

static volatile uint8_t *memory_of(unsigned slot, unsigned region)
{
    return (volatile uint8_t *)(uint64_t)(pci_read(slot, 0x10 + 4 * region) & ~0xfU);
}

static void note_capability(struct virtio_function *function, unsigned at)
{
    unsigned slot = function->slot, region = pci_read(slot, at + 4) & 0xff;
    uint32_t offset = pci_read(slot, at + 8);
    switch (pci_read(slot, at + 3) & 0xff) {
    case TYPE_COMMON:
        function->common = memory_of(slot, region) + offset;
        break;
    case TYPE_NOTIFY:
        if (!(pci_read(slot, 0x10 + 4 * region) & BASE_IO))
            break;
        function->notify = (uint16_t)((pci_read(slot, 0x10 + 4 * region) & ~3U) + offset);
        function->notify_scale = (uint16_t)pci_read(slot, at + 16);
        break;
    case TYPE_ISR:
        function->isr = memory_of(slot, region) + offset;
        break;
    case TYPE_CONFIG:
        function->config = memory_of(slot, region) + offset;
        break;
    }
}

static void look_at(struct virtio_function *function)
{
    unsigned slot = function->slot;
    pci_write(slot, 4, pci_read(slot, 4) | 7);
    for (unsigned at = pci_read(slot, 0x34) & 0xfc; at; at = pci_read(slot, at + 1) & 0xfc)
        if ((pci_read(slot, at) & 0xff) == CAPABILITY_VENDOR) {
            note_capability(function, at);
        } else if ((pci_read(slot, at) & 0xff) == CAPABILITY_MSIX) {
            uint32_t table = pci_read(slot, at + 4);
            function->msix = at;
            function->vectors = (uint32_t *)(memory_of(slot, table & 7) + (table & ~7U));
        }
    function->queues = COMMON(function, QUEUES, uint16_t);
}

bool virtio_find(unsigned slot, struct virtio_function *found)
{
    for (; slot < 32; slot++) {
        uint32_t id = pci_read(slot, 0), device = id >> 16;
        if ((id & 0xffff) != VENDOR || device < FIRST_ID || device > LAST_ID)
            continue;
        *found = (struct virtio_function){.slot = slot, .type = (uint16_t)(device - FIRST_ID)};
        look_at(found);
        return true;
    }
    return false;
}

// ---- set-up ----

uint64_t virtio_negotiate(const struct virtio_function *function, uint64_t features)
{
    uint8_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    COMMON(function, VIRTIO_STATUS, uint8_t) = 0;
    COMMON(function, VIRTIO_STATUS, uint8_t) = status;
    for (uint32_t half = 0; half < 2; half++) {
        COMMON(function, OFFERED_SELECT, uint32_t) = half;
        uint64_t offered = COMMON(function, OFFERED, uint32_t);
        features &= offered << 32 * half | UINT64_C(0xffffffff) << 32 * (1 - half);
        COMMON(function, FEATURES_SELECT, uint32_t) = half;
        COMMON(function, FEATURES, uint32_t) = (uint32_t)(features >> 32 * half);
    }
    COMMON(function, VIRTIO_STATUS, uint8_t) = status | STATUS_FEATURES_OK;
    return features;
}

void virtio_enable(const struct virtio_function *function, unsigned queue, struct virtio_ring *ring,
                   unsigned size, uint16_t vector)
{
    memset(ring, 0, sizeof(*ring));
    COMMON(function, VIRTIO_QUEUE_SELECT, uint16_t) = (uint16_t)queue;
    COMMON(function, QUEUE_SIZE, uint16_t) = (uint16_t)size;
    COMMON(function, QUEUE_VECTOR, uint16_t) = vector;
    COMMON(function, QUEUE_DESCRIPTORS, uint64_t) = (uint64_t)&ring->descriptor;
    COMMON(function, QUEUE_AVAILABLE, uint64_t) = (uint64_t)&ring->available;
    COMMON(function, QUEUE_USED, uint64_t) = (uint64_t)&ring->used;
    COMMON(function, QUEUE_ENABLE, uint16_t) = 1;
}

void virtio_go(const struct virtio_function *function)
{
    COMMON(function, VIRTIO_STATUS, uint8_t) = virtio_status(function) | STATUS_DRIVER_OK;
}

uint8_t virtio_status(const struct virtio_function *function)
{
    return COMMON(function, VIRTIO_STATUS, uint8_t);
}

void virtio_route(const struct virtio_function *function, unsigned vector, uint8_t to)
{
    volatile uint32_t *entry = function->vectors + vector * 4;
    entry[0] = (uint32_t)(uint64_t)APIC_ADDRESS;
    entry[1] = 0;
    entry[2] = to;
    entry[3] = 0;
    pci_write(function->slot, function->msix, pci_read(function->slot, function->msix) | MSIX_ON);
}
