// The firmware configuration device. QEMU documentation: "QEMU Firmware Configuration (fw_cfg)
// Device". Called from the port bus.
#include "drivers/virt/vfwcfg.h"

#include "lib/bytes.h"
#include "lib/string.h"
#include "vm/vm.h"

#define OFFSET_SELECTOR 0
#define OFFSET_DATA     1

enum vfwcfg_key {
    KEY_SIGNATURE = 0x00,
    KEY_FEATURES = 0x01,
    KEY_MEMORY = 0x03,
    KEY_CPUS = 0x05,
    KEY_MAXIMUM_CPUS = 0x0f,
    KEY_DIRECTORY = 0x19,
    KEY_FIRST_FILE = 0x20,
};

static struct vfwcfg_item find_item(const struct vfwcfg *fwcfg, unsigned key)
{
    static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
    static const uint8_t features[] = {1, 0, 0, 0}; // selector and data, no DMA
    switch (key) {
    case KEY_SIGNATURE:
        return (struct vfwcfg_item){signature, sizeof(signature)};
    case KEY_FEATURES:
        return (struct vfwcfg_item){features, sizeof(features)};
    case KEY_MEMORY:
        return (struct vfwcfg_item){fwcfg->memory, sizeof(fwcfg->memory)};
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

static bool vfwcfg_access(struct vdev *device, struct access *access)
{
    struct vfwcfg *fwcfg = CONTAINER_OF(device, struct vfwcfg, device);
    if (access->write) {
        if (access->offset != OFFSET_SELECTOR || access->size != 2)
            return false;
        fwcfg->selected = find_item(fwcfg, (unsigned)access->value);
        fwcfg->position = 0;
        return true;
    }
    if (access->offset != OFFSET_DATA || access->size != 1)
        return false;
    bool is_inside = fwcfg->position < fwcfg->selected.size;
    access->value = is_inside ? fwcfg->selected.bytes[fwcfg->position++] : 0;
    return true;
}

void vfwcfg_init(struct vfwcfg *fwcfg, struct vm *vm)
{
    *fwcfg = (struct vfwcfg){.device = {.name = "fw_cfg", .vm = vm, .access = vfwcfg_access},
                             .selected = find_item(fwcfg, KEY_SIGNATURE)};
    put64(fwcfg->memory, vm->config.memory);
    put16(fwcfg->cpus, (uint16_t)vm->vcpu_count);
}

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
