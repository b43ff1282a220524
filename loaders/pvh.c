// Loads the ELF segments and hands over a start-info block with modules, command line, memory map
// and ACPI root.

#include "loaders/pvh.h"

#include "lib/bytes.h"
#include "loaders/elf.h"
#include "loaders/entry.h"

#define NOTE_OWNER        "Xen"
#define NOTE_PHYS32_ENTRY 18

#define START_INFO_MAGIC   0x336ec578
#define START_INFO_VERSION 1 // with a memory map
#define START_INFO_SIZE    56
#define MODULE_SIZE        32
#define MAP_ENTRY_SIZE     24

// The address in the note, of 4 or 8 bytes.
static status_t find_entry(const struct elf *elf, uint32_t *entry, struct explanation *why)
{
    const char *name = elf->image->name;
    const uint8_t *bytes;
    uint64_t size;
    status_t status = elf_note(elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, &bytes, &size);
    if (status != STATUS_OK)
        return explain(why, status,
                       "%s: no PVH entry point (ELF note 18); build it with CONFIG_PVH", name);
    uint64_t address = size == 4 ? get32(bytes) : size == 8 ? get64(bytes) : UINT64_MAX;
    if (address > UINT32_MAX)
        return explain(why, STATUS_INVALID,
                       "%s: a PVH note of %lu bytes without a 32-bit address; the file is damaged",
                       name, size);
    *entry = (uint32_t)address;
    return STATUS_OK;
}

bool pvh_recognise(const struct image *image)
{
    struct elf elf;
    uint32_t entry;
    return elf_open(image, &elf, NULL) == STATUS_OK && find_entry(&elf, &entry, NULL) == STATUS_OK;
}

static status_t write_modules(struct loading *loading, uint64_t low, uint8_t *info)
{
    struct placed_modules placed;
    status_t status = loading_place_modules(loading, low, &placed);
    if (status != STATUS_OK || !placed.count)
        return status;
    uint8_t list[LOADING_MODULES * MODULE_SIZE] = {0};
    for (unsigned i = 0; i < placed.count; i++) {
        uint8_t *entry = list + i * MODULE_SIZE;
        put64(entry, placed.module[i].start);
        put64(entry + 8, placed.module[i].size);
        put64(entry + 16, placed.module[i].text);
    }
    uint64_t at = 0;
    status = loading_place_info(loading, list, placed.count * MODULE_SIZE, "list of modules", &at);
    put32(info + 12, placed.count);
    put64(info + 16, at);
    return status;
}

static status_t write_memory_map(struct loading *loading, uint8_t *info)
{
    const struct memory_map *map = &loading->map;
    uint8_t list[MEMORY_RANGES * MAP_ENTRY_SIZE] = {0};
    memory_map_pack(map, list, MAP_ENTRY_SIZE);
    uint64_t at = 0;
    status_t status =
        loading_place_info(loading, list, map->count * MAP_ENTRY_SIZE, "memory map", &at);
    put64(info + 40, at);
    put32(info + 48, map->count);
    return status;
}

static status_t write_start_info(struct loading *loading, uint64_t low, uint64_t *at)
{
    uint8_t info[START_INFO_SIZE] = {0};
    uint64_t cmdline = 0;
    put32(info, START_INFO_MAGIC);
    put32(info + 4, START_INFO_VERSION);
    put64(info + 32, loading->rsdp.value);
    status_t status = write_modules(loading, low, info);
    if (status == STATUS_OK)
        status = write_memory_map(loading, info);
    if (status == STATUS_OK)
        status = loading_place_text(loading, loading->config->cmdline, "command line", &cmdline);
    put64(info + 24, cmdline);
    if (status == STATUS_OK)
        status = loading_place_info(loading, info, sizeof(info), "start info", at);
    return status;
}

status_t pvh_load(struct loading *loading)
{
    struct elf elf;
    uint32_t entry;
    uint64_t elf_entry, end, at;
    status_t status = elf_open(loading->kernel, &elf, loading->why);
    if (status == STATUS_OK)
        status = find_entry(&elf, &entry, loading->why);
    if (status == STATUS_OK)
        status = elf_load(&elf, loading, &elf_entry, &end);
    if (status == STATUS_OK)
        status = write_start_info(loading, end, &at);
    if (status == STATUS_OK)
        status = entry_protected(loading, entry);
    if (status == STATUS_OK)
        loading->vm->vcpu[0]->gpr[RBX] = at;
    return status;
}
