// Reads the header's tags, loads the kernel and its modules, and writes the boot information as a
// list of tags.

#include "loaders/multiboot2.h"

#include "lib/string.h"
#include "lib/bytes.h"
#include "loaders/elf.h"
#include "loaders/entry.h"
#include "loaders/multiboot.h"

#define HEADER_MAGIC      0xe85250d6
#define HEADER_SEARCH     32768
#define HEADER_SIZE       16
#define ARCHITECTURE_I386 0
#define LOADER_MAGIC      0x36d76289

// Tags of the header.
enum header_tag {
    HEADER_END = 0,
    HEADER_REQUEST = 1,
    HEADER_ADDRESS = 2,
    HEADER_ENTRY = 3,
    HEADER_FRAMEBUFFER = 5,
    HEADER_RELOCATABLE = 10,
};
#define TAG_OPTIONAL BIT32(0)

// Tags of the boot information.
#define INFO_END         0
#define INFO_CMDLINE     1
#define INFO_LOADER_NAME 2
#define INFO_MODULE      3
#define INFO_MEMORY      4
#define INFO_MEMORY_MAP  6
#define INFO_RSDP        15
#define RSDP_SIZE        36
#define MAP_ENTRY_SIZE   24
#define INFO_MAX         (4 * PAGE_SIZE)

struct header {
    bool has_addresses;
    bool has_entry;
    uint32_t entry;
    struct multiboot_addresses addresses;
};

// Offset of the header, or UINT64_MAX.
static uint64_t find_header(const struct image *image)
{
    uint64_t limit = MIN(image->size, HEADER_SEARCH);
    for (uint64_t at = 0; at + HEADER_SIZE <= limit; at += 8) {
        const uint8_t *h = image->bytes + at;
        if (get32(h) == HEADER_MAGIC && get32(h) + get32(h + 4) + get32(h + 8) + get32(h + 12) == 0)
            return at;
    }
    return UINT64_MAX;
}

bool multiboot2_recognise(const struct image *image)
{
    return find_header(image) != UINT64_MAX;
}

static bool is_given(uint32_t type)
{
    static const uint8_t given[] = {INFO_CMDLINE, INFO_LOADER_NAME, INFO_MODULE,
                                    INFO_MEMORY,  INFO_MEMORY_MAP,  INFO_RSDP};
    for (unsigned i = 0; i < ARRAY_LENGTH(given); i++)
        if (given[i] == type)
            return true;
    return false;
}

static status_t check_request(const struct image *kernel, const uint8_t *tag, uint32_t size,
                              struct explanation *why)
{
    for (uint32_t at = 8; at + 4 <= size; at += 4)
        if (!is_given(get32(tag + at)))
            return explain(why, STATUS_UNSUPPORTED,
                           "%s: demands boot information of type %u, which a VM has not; mark the "
                           "request optional",
                           kernel->name, get32(tag + at));
    return STATUS_OK;
}

// One tag, all of whose `size` bytes lie in the file.
static status_t read_tag(const struct image *kernel, const uint8_t *tag, uint32_t size,
                         struct header *header, struct explanation *why)
{
    uint16_t type = get16(tag);
    bool optional = get16(tag + 2) & TAG_OPTIONAL;
    if (type == HEADER_REQUEST)
        return optional ? STATUS_OK : check_request(kernel, tag, size, why);
    if (type == HEADER_ADDRESS && size >= 24) {
        header->has_addresses = true;
        header->addresses.header = get32(tag + 8);
        header->addresses.load = get32(tag + 12);
        header->addresses.load_end = get32(tag + 16);
        header->addresses.bss_end = get32(tag + 20);
        return STATUS_OK;
    }
    if (type == HEADER_ENTRY && size >= 12) {
        header->has_entry = true;
        header->entry = get32(tag + 8);
        return STATUS_OK;
    }
    if (type == HEADER_FRAMEBUFFER && !optional)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: demands a framebuffer, which a VM has not; mark the tag optional",
                       kernel->name);
    if (type > HEADER_RELOCATABLE && !optional)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: its Multiboot2 header demands an unknown feature (tag %u)",
                       kernel->name, type);
    return STATUS_OK;
}

static status_t read_header(const struct image *kernel, struct header *header,
                            struct explanation *why)
{
    uint64_t at = find_header(kernel);
    if (at == UINT64_MAX)
        return explain(why, STATUS_INVALID,
                       "%s: no Multiboot2 header in the first %d bytes; link it to the front",
                       kernel->name, HEADER_SEARCH);
    *header = (struct header){.addresses.header_offset = at};
    if (get32(kernel->bytes + at + 4) != ARCHITECTURE_I386)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: a Multiboot2 kernel for another machine (number %u)", kernel->name,
                       get32(kernel->bytes + at + 4));
    uint64_t end = at + get32(kernel->bytes + at + 8);
    if (end > HEADER_SEARCH)
        return explain(why, STATUS_INVALID,
                       "%s: its Multiboot2 header ends behind the first %d bytes; build it again",
                       kernel->name, HEADER_SEARCH);
    for (at += HEADER_SIZE; at + 8 <= MIN(end, kernel->size);) {
        const uint8_t *tag = kernel->bytes + at;
        uint32_t size = get32(tag + 4);
        if (get16(tag) == HEADER_END)
            return STATUS_OK;
        if (size < 8 || size > MIN(end, kernel->size) - at)
            break;
        status_t status = read_tag(kernel, tag, size, header, why);
        if (status != STATUS_OK)
            return status;
        at += align_up(size, 8);
    }
    return explain(why, STATUS_TRUNCATED,
                   "%s: its Multiboot2 header has no end tag where it should end; build it again",
                   kernel->name);
}

static status_t load_kernel(struct loading *loading, uint32_t *entry, uint64_t *end)
{
    struct header header;
    status_t status = read_header(loading->kernel, &header, loading->why);
    if (status != STATUS_OK)
        return status;
    if (!header.has_addresses) {
        status = multiboot_load_elf(loading, entry, end);
        if (header.has_entry)
            *entry = header.entry;
        return status;
    }
    if (!header.has_entry)
        return explain(loading->why, STATUS_INVALID,
                       "%s: its Multiboot2 header has load addresses and no entry address; add the "
                       "tag",
                       loading->kernel->name);
    *entry = header.entry;
    return multiboot_load_at(loading, &header.addresses, end);
}

// The boot information grows in guest memory, tag by tag.
struct info {
    struct loading *loading;
    uint64_t start;
    uint64_t used;
};

static void append(struct info *info, const void *bytes, uint64_t size)
{
    loading_write(info->loading, info->start + info->used, bytes, size);
    info->used += size;
}

// A tag of a fixed part and a tail; both may be empty.
static void append_tag(struct info *info, uint32_t type, const void *fixed, uint32_t fixed_size,
                       const void *tail, uint64_t tail_size)
{
    static const uint8_t zeroes[8];
    uint32_t head[2] = {type, (uint32_t)(8 + fixed_size + tail_size)};
    append(info, head, sizeof(head));
    append(info, fixed, fixed_size);
    append(info, tail, tail_size);
    append(info, zeroes, align_up(info->used, 8) - info->used);
}

static void append_module(struct info *info, const struct placed_module *module)
{
    uint32_t range[2] = {(uint32_t)module->start, (uint32_t)(module->start + module->size)};
    char text[CONFIG_PATH * 3] = "";
    uint64_t length = 0; // the text is in guest memory already; it comes back byte by byte
    while (length < sizeof(text) - 1 &&
           gmem_read(&info->loading->vm->memory, gpa(module->text + length), &text[length], 1) &&
           text[length])
        length++;
    text[length] = 0;
    append_tag(info, INFO_MODULE, range, sizeof(range), text, length + 1);
}

static void append_memory(struct info *info)
{
    const struct memory_map *map = &info->loading->map;
    uint32_t sizes[2] = {memory_map_lower_kib(map), memory_map_upper_kib(map)};
    append_tag(info, INFO_MEMORY, sizes, sizeof(sizes), NULL, 0);
    uint32_t format[2] = {MAP_ENTRY_SIZE, 0};
    uint8_t list[MEMORY_RANGES * MAP_ENTRY_SIZE] = {0};
    memory_map_pack(map, list, MAP_ENTRY_SIZE);
    append_tag(info, INFO_MEMORY_MAP, format, sizeof(format), list, map->count * MAP_ENTRY_SIZE);
}

static void append_rsdp(struct info *info)
{
    uint8_t rsdp[RSDP_SIZE];
    if (gmem_read(&info->loading->vm->memory, info->loading->rsdp, rsdp, sizeof(rsdp)))
        append_tag(info, INFO_RSDP, rsdp, sizeof(rsdp), NULL, 0);
}

// The command line, the names and nine modules of the longest texts are well below INFO_MAX.
_Static_assert(CONFIG_CMDLINE + LOADING_MODULES * (CONFIG_PATH * 3 + 32) +
                       MEMORY_RANGES * MAP_ENTRY_SIZE + 256 <
                   INFO_MAX,
               "the boot information fits");

static status_t write_info(struct loading *loading, const struct placed_modules *placed,
                           uint64_t *at)
{
    status_t status = loading_take_info(loading, INFO_MAX, PAGE_SIZE, "boot information", at);
    if (status != STATUS_OK)
        return status;
    struct info info = {loading, *at, 8};
    const char *cmdline = loading->config->cmdline;
    append_tag(&info, INFO_CMDLINE, NULL, 0, cmdline, strlen(cmdline) + 1);
    append_tag(&info, INFO_LOADER_NAME, NULL, 0, MULTIBOOT_LOADER_NAME,
               sizeof(MULTIBOOT_LOADER_NAME));
    for (unsigned i = 0; i < placed->count; i++)
        append_module(&info, &placed->module[i]);
    append_memory(&info);
    append_rsdp(&info);
    append_tag(&info, INFO_END, NULL, 0, NULL, 0);
    uint32_t head[2] = {(uint32_t)info.used, 0};
    loading_write(loading, *at, head, sizeof(head));
    return STATUS_OK;
}

status_t multiboot2_load(struct loading *loading)
{
    struct placed_modules placed;
    uint32_t entry;
    uint64_t end, at;
    status_t status = load_kernel(loading, &entry, &end);
    if (status == STATUS_OK)
        status = loading_place_modules(loading, end, &placed);
    if (status == STATUS_OK)
        status = write_info(loading, &placed, &at);
    if (status == STATUS_OK)
        status = entry_protected(loading, entry);
    if (status != STATUS_OK)
        return status;
    loading->vm->vcpu[0]->gpr[RAX] = LOADER_MAGIC;
    loading->vm->vcpu[0]->gpr[RBX] = at;
    return STATUS_OK;
}
