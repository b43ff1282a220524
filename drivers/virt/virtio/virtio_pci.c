// Registers of virtio devices on PCI: where they are, and what an access to each does. Called from
// the VM's buses and by the function's configuration space. virtio specification: "Virtio Over PCI
// Bus".
#include "drivers/virt/virtio/virtio_pci.h"

#include "lib/string.h"
#include "vm/platform.h"

// Regions. Notifications have ports, whose exits are the cheapest; drivers that take none have them
// in memory, too.
enum { REGION_MEMORY, REGION_MSIX, REGION_NOTIFY };
#define COMMON_OFFSET 0x0000
#define ISR_OFFSET    0x1000
#define CONFIG_OFFSET 0x2000
#define NOTIFY_OFFSET 0x3000
#define MEMORY_SIZE   0x4000
#define PART          0x1000
#define NOTIFY_SCALE  4   // bytes a queue
#define NOTIFY_SIZE   128 // of the ports

// Registers of the configuration space, in fours.
#define REG_MSIX          16
#define REG_COMMON        20
#define REG_NOTIFY_MEMORY 24
#define REG_ISR           29
#define REG_CONFIG        33
#define REG_NOTIFY_PORTS  37
#define REG_WINDOW        42
#define REG_WINDOW_DATA   (REG_WINDOW + 4)

#define CAPABILITY_VENDOR 0x09
enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_CONFIG, TYPE_WINDOW };

#define VENDOR    0x1af4U
#define FIRST_ID  0x1040U
#define SUBSYSTEM 0x1100U
#define REVISION  1
#define PIN_A     0x0100U

static void access_region(struct virtio *device, unsigned region, struct access *access);

// ---- configuration space ----

static void add_capability(struct vpci_function *function, unsigned reg, uint8_t type,
                           uint8_t region, uint32_t offset, uint32_t length)
{
    bool is_longer = type == TYPE_NOTIFY || type == TYPE_WINDOW;
    function->reset[reg] = (is_longer ? 20U : 16U) << 16 | (uint32_t)type << 24;
    function->reset[reg + 1] = region;
    function->reset[reg + 2] = offset;
    function->reset[reg + 3] = length;
    if (type == TYPE_NOTIFY)
        function->reset[reg + 4] = NOTIFY_SCALE;
    vpci_add_capability(function, reg, CAPABILITY_VENDOR);
}

// The window that PCI_CFG opens into a region: what it says, if that can be.
static bool window(const struct virtio *device, unsigned *region, struct access *access)
{
    const uint32_t *reg = &device->function.value[REG_WINDOW];
    *region = reg[1] & 0xff;
    access->offset = reg[2];
    access->size = (uint8_t)reg[3];
    return (reg[3] == 1 || reg[3] == 2 || reg[3] == 4) && is_aligned(reg[2], reg[3]);
}

static void read_hook(struct vpci_function *function, unsigned reg)
{
    struct virtio *device = CONTAINER_OF(function, struct virtio, function);
    struct access access = {0};
    unsigned region;
    if (reg != VPCI_COMMAND && reg != REG_WINDOW_DATA)
        return;
    spin_lock(&device->device.lock);
    if (reg == VPCI_COMMAND) { // the interrupt's status is in its upper half, masked or not
        bool is_up = device->isr && !vmsix_is_on(&device->msix, function);
        uint32_t value = function->value[reg] & ~VPCI_STATUS_INT;
        __atomic_store_n(&function->value[reg], value | (is_up ? VPCI_STATUS_INT : 0),
                         __ATOMIC_RELAXED);
    } else if (window(device, &region, &access)) {
        access_region(device, region, &access);
        function->value[REG_WINDOW_DATA] = (uint32_t)access.value;
    }
    vdev_unlock(&device->device);
}

static void written_hook(struct vpci_function *function, unsigned reg)
{
    struct virtio *device = CONTAINER_OF(function, struct virtio, function);
    struct access access = {.write = true};
    unsigned region;
    if (reg != VPCI_COMMAND && reg != REG_MSIX && reg != REG_WINDOW_DATA)
        return;
    spin_lock(&device->device.lock);
    if (reg == REG_WINDOW_DATA && window(device, &region, &access)) {
        access.value = function->value[REG_WINDOW_DATA] & size_mask(access.size);
        access_region(device, region, &access);
    }
    virtio_hold(device);
    vmsix_flush(&device->msix, function);
    virtio_drive_line(device);
    virtio_release(device);
    vdev_unlock(&device->device);
}

void virtio_describe(struct virtio *device)
{
    static const struct vpci_hooks hooks = {read_hook, written_hook};
    static const struct vpci_header header = {
        .reset = {[VPCI_BASE + REGION_NOTIFY] = VPCI_BASE_IO, [VPCI_INTERRUPT] = PIN_A},
        .writable = {[VPCI_COMMAND] = VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY | VPCI_COMMAND_MASTER |
                                      VPCI_COMMAND_NO_INT,
                     [VPCI_HEADER] = 0xff, // cache line size
                     [VPCI_BASE + REGION_MEMORY] = -(uint32_t)MEMORY_SIZE,
                     [VPCI_BASE + REGION_MSIX] = -(uint32_t)VMSIX_SIZE,
                     [VPCI_BASE + REGION_NOTIFY] = -(uint32_t)NOTIFY_SIZE,
                     [VPCI_INTERRUPT] = 0xff}};
    struct vpci_function *function = &device->function;
    vpci_function_describe(function, &header);
    function->device = &device->device;
    function->hooks = &hooks;
    function->reset[VPCI_ID] = VENDOR | (FIRST_ID + device->class->type) << 16;
    function->reset[VPCI_CLASS] = device->class->pci_class | REVISION;
    function->reset[VPCI_SUBSYSTEM] = VENDOR | SUBSYSTEM << 16;
    // Each is put before the others, and of two of a type drivers take the first: ports.
    add_capability(function, REG_WINDOW, TYPE_WINDOW, 0, 0, 0);
    memset(&function->writable[REG_WINDOW + 1], 0xff, 4 * sizeof(uint32_t));
    function->writable[REG_WINDOW + 1] = 0xff;
    add_capability(function, REG_NOTIFY_MEMORY, TYPE_NOTIFY, REGION_MEMORY, NOTIFY_OFFSET, PART);
    add_capability(function, REG_NOTIFY_PORTS, TYPE_NOTIFY, REGION_NOTIFY, 0, NOTIFY_SIZE);
    add_capability(function, REG_CONFIG, TYPE_CONFIG, REGION_MEMORY, CONFIG_OFFSET, PART);
    add_capability(function, REG_ISR, TYPE_ISR, REGION_MEMORY, ISR_OFFSET, PART);
    add_capability(function, REG_COMMON, TYPE_COMMON, REGION_MEMORY, COMMON_OFFSET, PART);
    vmsix_describe(&device->msix, function, REG_MSIX, REGION_MSIX, device->queues + 1);
}

// ---- common configuration ----

enum common {
    OFFERED_SELECT = 0x00,
    OFFERED = 0x04,
    FEATURES_SELECT = 0x08,
    FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10,
    QUEUES = 0x12,
    STATUS = 0x14,
    GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY = 0x1e,
    QUEUE_DESCRIPTORS = 0x20,
    QUEUE_AVAILABLE = 0x28,
    QUEUE_USED = 0x30,
    QUEUE_NOTIFY_DATA = 0x38,
    QUEUE_RESET = 0x3a,
    COMMON_END = 0x3c,
};

static unsigned width_of(uint64_t offset)
{
    switch (offset) {
    case STATUS:
    case GENERATION:
        return 1;
    default:
        return (offset >= CONFIG_VECTOR && offset < QUEUE_DESCRIPTORS) ||
                       offset >= QUEUE_NOTIFY_DATA
                   ? 2
                   : 4;
    }
}

static struct virtqueue *selected(struct virtio *device)
{
    uint64_t number = device->queue_select;
    return number < device->queues ? &device->queue[index_below(number, VIRTIO_QUEUES)] : NULL;
}

static uint32_t half(uint64_t value, bool high)
{
    return (uint32_t)(high ? value >> 32 : value);
}

static uint32_t read_queue(const struct virtqueue *queue, unsigned number, uint64_t offset)
{
    bool is_high = offset & 4;
    switch (offset) {
    case QUEUE_SIZE:
        return queue->size;
    case QUEUE_VECTOR:
        return queue->vector;
    case QUEUE_ENABLE:
        return queue->is_enabled;
    case QUEUE_NOTIFY:
    case QUEUE_NOTIFY_DATA:
        return number;
    case QUEUE_DESCRIPTORS:
    case QUEUE_DESCRIPTORS + 4:
        return half(queue->descriptors, is_high);
    case QUEUE_AVAILABLE:
    case QUEUE_AVAILABLE + 4:
        return half(queue->available, is_high);
    case QUEUE_USED:
    case QUEUE_USED + 4:
        return half(queue->used, is_high);
    default: // a reset is done when it is asked for
        return 0;
    }
}

static uint32_t read_common(struct virtio *device, uint64_t offset)
{
    const struct virtqueue *queue = selected(device);
    switch (offset) {
    case OFFERED_SELECT:
        return device->offered_select;
    case OFFERED:
        return device->offered_select < 2 ? half(device->offered, device->offered_select) : 0;
    case FEATURES_SELECT:
        return device->features_select;
    case FEATURES:
        return device->features_select < 2 ? half(device->features, device->features_select) : 0;
    case CONFIG_VECTOR:
        return device->config_vector;
    case QUEUES:
        return device->queues;
    case STATUS:
        return device->status;
    case GENERATION:
        return device->generation;
    case QUEUE_SELECT:
        return device->queue_select;
    default: // a queue that is not there has size 0
        return queue ? read_queue(queue, device->queue_select, offset) : 0;
    }
}

static void set_half(uint64_t *value, bool high, uint32_t part)
{
    *value = high ? (uint32_t)*value | (uint64_t)part << 32 : (*value >> 32 << 32) | part;
}

static uint16_t vector_of(const struct virtio *device, uint32_t value)
{
    return (uint16_t)(value < device->msix.count ? value : VMSIX_NONE);
}

static void enable_queue(struct virtio *device, struct virtqueue *queue)
{
    queue->since = 0; // its rings are elsewhere, perhaps
    if (virtqueue_is_good(queue, virtio_memory(device)))
        queue->is_enabled = 1;
    else
        virtio_break_shared(device, "the rings of a queue are not aligned, or not RAM");
}

// While it is enabled a queue stands where it is.
static void write_queue(struct virtio *device, struct virtqueue *queue, uint64_t offset,
                        uint32_t value)
{
    bool is_high = offset & 4;
    if (offset == QUEUE_VECTOR)
        queue->vector = vector_of(device, value);
    else if (offset == QUEUE_RESET && value == 1 && (device->features & VIRTIO_F_RING_RESET))
        virtio_reset_queue(device, device->queue_select);
    if (queue->is_enabled)
        return;
    switch (offset) {
    case QUEUE_SIZE:
        if (value && value <= VIRTQUEUE_SIZE && !(value & (value - 1)))
            queue->size = value;
        break;
    case QUEUE_ENABLE:
        if (value == 1)
            enable_queue(device, queue);
        break;
    case QUEUE_DESCRIPTORS:
    case QUEUE_DESCRIPTORS + 4:
        set_half(&queue->descriptors, is_high, value);
        break;
    case QUEUE_AVAILABLE:
    case QUEUE_AVAILABLE + 4:
        set_half(&queue->available, is_high, value);
        break;
    case QUEUE_USED:
    case QUEUE_USED + 4:
        set_half(&queue->used, is_high, value);
        break;
    }
}

static void write_common(struct virtio *device, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = selected(device);
    switch (offset) {
    case OFFERED_SELECT:
        device->offered_select = value;
        break;
    case FEATURES_SELECT:
        device->features_select = value;
        break;
    case FEATURES:
        if (device->features_select < 2 && !(device->status & VIRTIO_FEATURES_OK))
            set_half(&device->features, device->features_select, value);
        break;
    case CONFIG_VECTOR:
        device->config_vector = vector_of(device, value);
        break;
    case STATUS:
        virtio_set_status(device, (uint8_t)value);
        break;
    case QUEUE_SELECT:
        device->queue_select = value;
        break;
    default:
        if (queue)
            write_queue(device, queue, offset, value);
    }
}

static void access_common(struct virtio *device, uint64_t offset, struct access *access)
{
    if (offset + access->size > COMMON_END || !is_aligned(offset, access->size)) {
        access->value = access->write ? access->value : 0;
    } else if (access->size == 8) { // two halves
        struct access low = *access, high = *access;
        low.size = high.size = 4;
        high.value >>= 32;
        access_common(device, offset, &low);
        access_common(device, offset + 4, &high);
        access->value = (uint32_t)low.value | high.value << 32;
    } else if (!access->write) {
        // Of a wider field, any part; of several, all.
        uint64_t value = 0;
        for (unsigned at = (unsigned)offset; at < offset + access->size;) {
            unsigned width = width_of(at & ~3U) == 4 ? 4 : width_of(at), skip = at % width;
            uint64_t field = read_common(device, at - skip) >> 8 * skip;
            value |= field << 8 * (at - offset);
            at += width - skip;
        }
        access->value = value & size_mask(access->size);
    } else if (access->size == width_of(offset)) {
        write_common(device, offset, (uint32_t)access->value);
    }
}

// ---- the other parts ----

static void access_isr(struct virtio *device, uint64_t offset, struct access *access)
{
    if (access->write)
        return;
    access->value = offset ? 0 : device->isr;
    if (offset)
        return;
    device->isr = 0; // read and acknowledged
    virtio_drive_line(device);
}

static void access_config(struct virtio *device, uint64_t offset, struct access *access)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < access->size; i++) {
        uint64_t at = offset + i;
        if (at >= device->config_size)
            break;
        at = index_below(at, VIRTIO_CONFIG);
        value |= (uint64_t)device->config[at] << 8 * i;
        if (access->write && device->class->configured)
            device->class->configured(device, (unsigned)at, (uint8_t)(access->value >> 8 * i));
    }
    access->value = access->write ? access->value : value;
}

static void access_notify(struct virtio *device, uint64_t offset, struct access *access)
{
    if (access->write)
        virtio_notify(device, (unsigned)(offset / NOTIFY_SCALE));
    else
        access->value = 0;
}

static void access_memory(struct virtio *device, struct access *access)
{
    uint64_t at = access->offset % PART;
    switch (align_down(access->offset, PART)) {
    case COMMON_OFFSET:
        access_common(device, at, access);
        break;
    case ISR_OFFSET:
        access_isr(device, at, access);
        break;
    case CONFIG_OFFSET:
        access_config(device, at, access);
        break;
    default: // only PCI_CFG's window can be wrong
        access->value = access->write ? access->value : 0;
    }
}

__attribute__((noinline)) static void access_registers(struct virtio *device, unsigned region,
                                                       struct access *access)
{
    virtio_hold(device);
    if (region == REGION_MEMORY)
        access_memory(device, access);
    else if (region == REGION_MSIX && access->offset < VMSIX_SIZE)
        vmsix_access(&device->msix, &device->function, access);
    else
        access->value = access->write ? access->value : 0;
    virtio_release(device);
}

static inline void access_region(struct virtio *device, unsigned region, struct access *access)
{
    if (region == REGION_NOTIFY && access->offset < NOTIFY_SIZE)
        access_notify(device, access->offset, access);
    else if (region == REGION_MEMORY && access->offset - NOTIFY_OFFSET < PART)
        access_notify(device, access->offset - NOTIFY_OFFSET, access);
    else
        access_registers(device, region, access);
}

bool virtio_access(struct vdev *vdev, struct access *access)
{
    struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    uint64_t at = access->offset;
    device->now = access->now;
    access->offset = (uint32_t)at;
    access_region(device, (unsigned)(at >> 32), access);
    access->offset = at;
    return true;
}
