// The firmware configuration device. QEMU documentation: "QEMU Firmware Configuration (fw_cfg)
// Device". Called from the port bus, and by vm_tick_devices() for the rest of a long transfer.
#include "drivers/virt/legacy/vfwcfg.h"

#include "lib/bytes.h"
#include "lib/string.h"
#include "vm/vm.h"

#define OFFSET_SELECTOR 0
#define OFFSET_DATA     1
#define OFFSET_DMA_HIGH 4 // of a descriptor's address, big-endian
#define OFFSET_DMA_LOW  8 // starts it

#define DMA_ERROR  BIT32(0)
#define DMA_READ   BIT32(1)
#define DMA_SKIP   BIT32(2)
#define DMA_SELECT BIT32(3)
#define DMA_WRITE  BIT32(4)
#define DMA_KEY    UINT32_C(0xffff0000)

enum vfwcfg_key {
    KEY_SIGNATURE = 0x00,
    KEY_FEATURES = 0x01,
    KEY_MEMORY = 0x03,
    KEY_NO_GRAPHICS = 0x04,
    KEY_CPUS = 0x05,
    KEY_MAXIMUM_CPUS = 0x0f,
    KEY_DIRECTORY = 0x19,
    KEY_FIRST_FILE = 0x20,
    KEY_TIMER_OVERRIDE = 0x8002, // IRQ 0 is input 2 of the I/O APIC
};

// A descriptor in the guest's memory, its numbers big-endian.
struct descriptor {
    uint32_t control;
    uint32_t length;
    uint64_t address;
};

static struct vfwcfg_item find_item(const struct vfwcfg *fwcfg, unsigned key)
{
    static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
    static const uint8_t features[] = {3, 0, 0, 0}; // selector and data, DMA
    static const uint8_t yes[] = {1, 0};
    switch (key) {
    case KEY_SIGNATURE:
        return (struct vfwcfg_item){signature, sizeof(signature)};
    case KEY_FEATURES:
        return (struct vfwcfg_item){features, sizeof(features)};
    case KEY_MEMORY:
        return (struct vfwcfg_item){fwcfg->memory, sizeof(fwcfg->memory)};
    case KEY_NO_GRAPHICS: // the firmware's screen is COM1
    case KEY_TIMER_OVERRIDE:
        return (struct vfwcfg_item){yes, sizeof(yes)};
    case KEY_CPUS:
    case KEY_MAXIMUM_CPUS:
        return (struct vfwcfg_item){fwcfg->cpus, sizeof(fwcfg->cpus)};
    case KEY_DIRECTORY:
        return (struct vfwcfg_item){fwcfg->directory, sizeof(fwcfg->directory)};
    default:
        if (key >= KEY_FIRST_FILE && key - KEY_FIRST_FILE < fwcfg->file_count)
            return fwcfg->file[index_below(key - KEY_FIRST_FILE, ARRAY_LENGTH(fwcfg->file))];
        return (struct vfwcfg_item){0};
    }
}

static void select_item(struct vfwcfg *fwcfg, uint16_t key)
{
    fwcfg->selected = key;
    fwcfg->position = 0;
}

// ---- DMA ----

// The guest waits for what is written here.
static void end_dma(struct vfwcfg *fwcfg, uint32_t result)
{
    result = __builtin_bswap32(result);
    fwcfg->dma.left = 0;
    bool is_told =
        gmem_write(&fwcfg->device.vm->memory, gpa(fwcfg->dma.command), &result, sizeof(result));
    (void)is_told; // the descriptor was read from there
}

// The next piece of a transfer; behind the item's end are zeros.
static void move_piece(struct vfwcfg *fwcfg, uint64_t now)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct vfwcfg_dma *dma = &fwcfg->dma;
    struct vfwcfg_item item = find_item(fwcfg, fwcfg->selected);
    uint32_t budget = MIN(dma->left, VFWCFG_PIECE);
    bool is_ram = true;
    while (budget && is_ram) {
        uint32_t rest = item.size - MIN(item.size, fwcfg->position);
        uint32_t size = MIN(budget, rest ? rest : (uint32_t)sizeof(zeros));
        const uint8_t *from = rest ? item.bytes + fwcfg->position : zeros;
        is_ram = gmem_write(&fwcfg->device.vm->memory, gpa(dma->to), from, size);
        fwcfg->position += rest ? size : 0;
        dma->to += size;
        dma->left -= size;
        budget -= size;
    }
    fwcfg->due = now + 1;
    if (!is_ram)
        end_dma(fwcfg, DMA_ERROR);
    else if (!dma->left)
        end_dma(fwcfg, 0);
}

static void skip(struct vfwcfg *fwcfg, uint32_t length)
{
    uint32_t size = find_item(fwcfg, fwcfg->selected).size;
    uint32_t rest = size - MIN(size, fwcfg->position);
    fwcfg->position += MIN(rest, length);
}

static void start_dma(struct vfwcfg *fwcfg, uint64_t command, uint64_t now)
{
    struct descriptor descriptor;
    if (fwcfg->dma.left ||
        !gmem_read(&fwcfg->device.vm->memory, gpa(command), &descriptor, sizeof(descriptor)))
        return;
    uint32_t control = __builtin_bswap32(descriptor.control);
    uint32_t length = __builtin_bswap32(descriptor.length);
    fwcfg->dma.command = command;
    if (control & DMA_SELECT)
        select_item(fwcfg, (uint16_t)FIELD_GET(DMA_KEY, control));
    if (control & DMA_READ && length) {
        fwcfg->dma.to = __builtin_bswap64(descriptor.address);
        fwcfg->dma.left = length;
        vm_exert(fwcfg->device.vm);
        move_piece(fwcfg, now);
        return;
    }
    bool is_refused = !(control & DMA_READ) && control & DMA_WRITE && length;
    if (!(control & (DMA_READ | DMA_WRITE)) && control & DMA_SKIP)
        skip(fwcfg, length);
    end_dma(fwcfg, is_refused ? DMA_ERROR : 0);
}

static bool write_dma(struct vfwcfg *fwcfg, const struct access *access)
{
    uint32_t value = __builtin_bswap32((uint32_t)access->value);
    if (access->size != sizeof(value))
        return false;
    if (access->offset == OFFSET_DMA_HIGH) {
        fwcfg->dma.high = value;
    } else if (access->offset == OFFSET_DMA_LOW) {
        uint64_t high = fwcfg->dma.high;
        fwcfg->dma.high = 0;
        start_dma(fwcfg, high << 32 | value, access->now);
    }
    return true;
}

// What stands there tells that there is DMA.
static bool read_dma(struct access *access)
{
    static const char signature[] = "QEMU CFG";
    uint64_t at = access->offset - OFFSET_DMA_HIGH;
    if (at + access->size >= sizeof(signature))
        return false;
    access->value = 0;
    memcpy(&access->value, signature + at, access->size);
    return true;
}

static uint64_t vfwcfg_deadline(struct vdev *device)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    return fwcfg->dma.left ? fwcfg->due : NEVER;
}

static void vfwcfg_tick(struct vdev *device, uint64_t now)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    if (fwcfg->dma.left && fwcfg->due <= now)
        move_piece(fwcfg, now);
}

// ---- ports ----

static bool vfwcfg_access(struct vdev *device, struct access *access)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    if (access->offset >= OFFSET_DMA_HIGH)
        return access->write ? write_dma(fwcfg, access) : read_dma(access);
    if (access->write) {
        if (access->offset != OFFSET_SELECTOR || access->size != 2)
            return false;
        select_item(fwcfg, (uint16_t)access->value);
        return true;
    }
    if (access->offset != OFFSET_DATA || access->size != 1)
        return false;
    struct vfwcfg_item item = find_item(fwcfg, fwcfg->selected);
    access->value = fwcfg->position < item.size ? item.bytes[fwcfg->position++] : 0;
    return true;
}

static void vfwcfg_reset(struct vdev *device)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    put64(fwcfg->memory, device->vm->traits.memory);
    put16(fwcfg->cpus, (uint16_t)device->vm->vcpu_count);
}

// What a transfer still moves goes on at once.
static void vfwcfg_loaded(struct vdev *device)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    fwcfg->due = 0;
}

static const struct field dma_fields[] = {
    FIELD(struct vfwcfg_dma, command),
    FIELD(struct vfwcfg_dma, to),
    FIELD(struct vfwcfg_dma, left),
    FIELD(struct vfwcfg_dma, high),
    {0},
};

static const struct field fields[] = {
    WIRING(struct vfwcfg, device),
    FIELD(struct vfwcfg, selected),
    FIELD(struct vfwcfg, position),
    WIRING(struct vfwcfg, file_count),
    WIRING(struct vfwcfg, file),
    WIRING(struct vfwcfg, directory),
    WIRING(struct vfwcfg, memory),
    WIRING(struct vfwcfg, cpus),
    FIELD_ONE(struct vfwcfg, dma, dma_fields),
    DERIVED(struct vfwcfg, due),
    {0},
};

const struct vdev_class vfwcfg_class = {.name = "fw_cfg",
                                        .size = sizeof(struct vfwcfg),
                                        .access = vfwcfg_access,
                                        .deadline = vfwcfg_deadline,
                                        .tick = vfwcfg_tick,
                                        .reset = vfwcfg_reset,
                                        .loaded = vfwcfg_loaded,
                                        .fields = fields};

status_t vfwcfg_add_file(struct vfwcfg *fwcfg, const char *name, const void *bytes, uint32_t size,
                         struct explanation *why)
{
    unsigned at = fwcfg->file_count;
    size_t length = strlen(name);
    if (at == VFWCFG_FILES)
        return explain(why, STATUS_FULL, "fw_cfg: no room for %s: raise VFWCFG_FILES (now %u)",
                       name, VFWCFG_FILES);
    if (length >= VFWCFG_NAME)
        return explain(why, STATUS_RANGE, "fw_cfg: the name %s is too long: at most %u characters",
                       name, VFWCFG_NAME - 1);
    uint8_t *entry = &fwcfg->directory[4 + at * VFWCFG_ENTRY];
    put32(entry, __builtin_bswap32(size));
    put16(entry + 4, __builtin_bswap16((uint16_t)(KEY_FIRST_FILE + at)));
    memcpy(entry + 8, name, length);
    fwcfg->file[at] = (struct vfwcfg_item){bytes, size};
    fwcfg->file_count++;
    put32(fwcfg->directory, __builtin_bswap32(fwcfg->file_count));
    return STATUS_OK;
}
