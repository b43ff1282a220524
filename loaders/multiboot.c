// Finds the header, loads the kernel and its modules, and writes the boot information. There is no
// display and no disk: their fields stay zero and their flags clear.

#include "loaders/multiboot.h"

#include "lib/print.h"
#include "lib/bytes.h"
#include "loaders/elf.h"
#include "loaders/entry.h"

#define HEADER_MAGIC          0x1badb002
#define HEADER_SEARCH         8192
#define HEADER_SIZE           12
#define HEADER_WITH_ADDRESSES 32
#define LOADER_MAGIC          0x2badb002

// Flags of the header. Bits 0 to 15 are demands.
#define HEADER_PAGE_ALIGN  BIT32(0) // modules always are
#define HEADER_MEMORY_INFO BIT32(1) // always given
#define HEADER_VIDEO_MODE  BIT32(2) // only a request, by the specification's text
#define HEADER_DEMANDS     UINT32_C(0xffff)
#define HEADER_ADDRESSES   BIT32(16)

// Flags and size of the boot information.
#define INFO_MEMORY      BIT32(0)
#define INFO_CMDLINE     BIT32(2)
#define INFO_MODULES     BIT32(3)
#define INFO_MEMORY_MAP  BIT32(6)
#define INFO_LOADER_NAME BIT32(9)
#define INFO_SIZE        120
#define MODULE_SIZE      16
#define MAP_ENTRY_SIZE   24 // with its leading size field

// Offset of the header, or UINT64_MAX.
static uint64_t find_header(const struct image *image)
{
    uint64_t limit = MIN(image->size, HEADER_SEARCH);
    for (uint64_t at = 0; at + HEADER_SIZE <= limit; at += 4) {
        const uint8_t *h = image->bytes + at;
        if (get32(h) == HEADER_MAGIC && get32(h) + get32(h + 4) + get32(h + 8) == 0)
            return at;
    }
    return UINT64_MAX;
}

bool multiboot_recognise(const struct image *image)
{
    return find_header(image) != UINT64_MAX;
}

status_t multiboot_load_at(struct loading *loading, const struct multiboot_addresses *a,
                           uint64_t *end)
{
    const struct image *kernel = loading->kernel;
    uint64_t offset = 0, load = a->load;
    if (a->load == UINT32_MAX)
        load = a->header - a->header_offset;
    else
        offset = a->header_offset - (a->header - a->load);
    uint64_t size = a->load_end ? a->load_end - load : kernel->size - offset;
    uint64_t bss = a->bss_end ? a->bss_end - load : size;
    if (a->header < load || offset > a->header_offset || size > kernel->size - offset ||
        bss < size || (a->load_end && a->load_end < load) || (a->bss_end && a->bss_end < load))
        return explain(
            loading->why, STATUS_INVALID,
            "%s: the load addresses in its Multiboot header contradict each other or the "
            "file's %lu bytes; build it again",
            kernel->name, kernel->size);
    *end = load + bss;
    return loading_copy(loading, load, kernel->bytes + offset, size, bss, kernel->name);
}

status_t multiboot_load_elf(struct loading *loading, uint32_t *entry, uint64_t *end)
{
    struct elf elf;
    uint64_t at = 0;
    status_t status = elf_open(loading->kernel, &elf, loading->why);
    if (status == STATUS_OK)
        status = elf_load(&elf, loading, &at, end);
    if (status != STATUS_OK)
        return status;
    if (at > UINT32_MAX)
        return explain(loading->why, STATUS_RANGE,
                       "%s: the entry point 0x%lx is above 4 GiB; link it lower",
                       loading->kernel->name, at);
    *entry = (uint32_t)at;
    return STATUS_OK;
}

static status_t load_kernel(struct loading *loading, uint32_t *entry, uint64_t *end)
{
    const struct image *kernel = loading->kernel;
    uint64_t at = find_header(kernel);
    if (at == UINT64_MAX)
        return explain(loading->why, STATUS_INVALID,
                       "%s: no Multiboot header in the first %d bytes; link it to the front",
                       kernel->name, HEADER_SEARCH);
    const uint8_t *header = kernel->bytes + at;
    uint32_t flags = get32(header + 4);
    uint32_t unknown =
        flags & HEADER_DEMANDS & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | HEADER_VIDEO_MODE);
    if (unknown)
        return explain(loading->why, STATUS_UNSUPPORTED,
                       "%s: its Multiboot header demands unknown features (flags 0x%x)",
                       kernel->name, unknown);
    if (!(flags & HEADER_ADDRESSES))
        return multiboot_load_elf(loading, entry, end);
    if (kernel->size - at < HEADER_WITH_ADDRESSES)
        return explain(loading->why, STATUS_TRUNCATED,
                       "%s: the file (%lu bytes) ends inside its Multiboot header; copy it again",
                       kernel->name, kernel->size);
    struct multiboot_addresses addresses = {
        .header_offset = at,
        .header = get32(header + 12),
        .load = get32(header + 16),
        .load_end = get32(header + 20),
        .bss_end = get32(header + 24),
    };
    *entry = get32(header + 28);
    return multiboot_load_at(loading, &addresses, end);
}

static status_t write_modules(struct loading *loading, uint64_t low, uint8_t *info)
{
    struct placed_modules placed;
    status_t status = loading_place_modules(loading, low, &placed);
    if (status != STATUS_OK)
        return status;
    uint8_t list[LOADING_MODULES * MODULE_SIZE] = {0};
    for (unsigned i = 0; i < placed.count; i++) {
        const struct placed_module *module = &placed.module[i];
        uint8_t *entry = list + i * MODULE_SIZE;
        put32(entry, (uint32_t)module->start);
        put32(entry + 4, (uint32_t)(module->start + module->size));
        put32(entry + 8, (uint32_t)module->text);
    }
    uint64_t at = 0;
    status = loading_place_info(loading, list, sizeof(list), "list of modules", &at);
    put32(info + 20, placed.count);
    put32(info + 24, (uint32_t)at);
    return status;
}

static status_t write_memory_map(struct loading *loading, uint8_t *info)
{
    const struct memory_map *map = &loading->map;
    uint8_t list[MEMORY_RANGES * MAP_ENTRY_SIZE];
    for (unsigned i = 0; i < map->count; i++)
        put32(list + i * MAP_ENTRY_SIZE, MAP_ENTRY_SIZE - 4);
    memory_map_pack(map, list + 4, MAP_ENTRY_SIZE);
    uint64_t at = 0;
    status_t status =
        loading_place_info(loading, list, map->count * MAP_ENTRY_SIZE, "memory map", &at);
    put32(info + 4, memory_map_lower_kib(map));
    put32(info + 8, memory_map_upper_kib(map));
    put32(info + 44, map->count * MAP_ENTRY_SIZE);
    put32(info + 48, (uint32_t)at);
    return status;
}

// With the test devices the file's name stands before the command line, as QEMU has it.
static status_t place_cmdline(struct loading *loading, uint64_t *at)
{
    const struct vm_config *config = loading->config;
    char text[CONFIG_PATH + CONFIG_CMDLINE];
    format_text(text, sizeof(text), "%s%s%s", config->traits.testdev ? config->kernel : "",
                config->traits.testdev ? " " : "", config->cmdline);
    return loading_place_text(loading, text, "command line", at);
}

static status_t write_texts(struct loading *loading, uint8_t *info)
{
    uint64_t cmdline, name;
    status_t status = place_cmdline(loading, &cmdline);
    if (status == STATUS_OK)
        status = loading_place_text(loading, MULTIBOOT_LOADER_NAME, "boot information", &name);
    if (status != STATUS_OK)
        return status;
    put32(info + 16, (uint32_t)cmdline);
    put32(info + 64, (uint32_t)name);
    return STATUS_OK;
}

status_t multiboot_load(struct loading *loading)
{
    uint8_t info[INFO_SIZE] = {0};
    uint32_t entry;
    uint64_t end, at;
    status_t status = load_kernel(loading, &entry, &end);
    if (status == STATUS_OK)
        status = write_modules(loading, end, info);
    if (status == STATUS_OK)
        status = write_memory_map(loading, info);
    if (status == STATUS_OK)
        status = write_texts(loading, info);
    put32(info, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME);
    if (status == STATUS_OK)
        status = loading_place_info(loading, info, sizeof(info), "boot information", &at);
    if (status == STATUS_OK)
        status = entry_protected(loading, entry);
    if (status != STATUS_OK)
        return status;
    loading->vm->vcpu[0]->gpr[RAX] = LOADER_MAGIC;
    loading->vm->vcpu[0]->gpr[RBX] = at;
    return STATUS_OK;
}
