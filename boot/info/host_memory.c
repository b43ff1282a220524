// Resolves a firmware's memory map, which may be unsorted and may contradict itself. A sweep from
// the lowest address to the highest: at each boundary the most careful type among the entries that
// cover it wins.

#include "boot/info/host_memory.h"
#include "lib/bytes.h"

#define PAGE             4096U
#define MAP_HEADER_BYTES 8U
#define MAP_ENTRY_BYTES  24U

struct map {
    const uint8_t *entries;
    size_t count;
    size_t entry_size;
};

static enum memory_type type_from_tag(uint32_t number)
{
    if (number >= MEMORY_USABLE && number <= MEMORY_BAD)
        return (enum memory_type)number;
    return MEMORY_RESERVED;
}

// Higher is more careful: it wins where two entries overlap.
static const uint8_t care[] = {
    [MEMORY_USABLE] = 1,   [MEMORY_ACPI] = 2, [MEMORY_NVS] = 3,
    [MEMORY_RESERVED] = 4, [MEMORY_BAD] = 5,
};

static struct memory_range map_entry(const struct map *map, size_t index)
{
    const uint8_t *entry = map->entries + index * map->entry_size;
    uint64_t base = get64(entry);
    uint64_t length = get64(entry + 8);
    uint64_t end = length > UINT64_MAX - base ? UINT64_MAX : base + length;
    return (struct memory_range){base, end, type_from_tag(get32(entry + 16))};
}

// The lowest address above `from` where an entry begins or ends, or `from` if there is none.
static uint64_t next_boundary(const struct map *map, uint64_t from)
{
    uint64_t lowest = from;
    for (size_t i = 0; i < 2 * map->count; i++) {
        struct memory_range range = map_entry(map, i / 2);
        uint64_t candidate = i % 2 ? range.end : range.start;
        if (candidate > from && (lowest == from || candidate < lowest))
            lowest = candidate;
    }
    return lowest;
}

// The type that holds from `at` up to the next boundary; MEMORY_NONE if no entry covers it.
static enum memory_type type_at(const struct map *map, uint64_t at)
{
    enum memory_type type = MEMORY_NONE;
    for (size_t i = 0; i < map->count; i++) {
        struct memory_range range = map_entry(map, i);
        if (at >= range.start && at < range.end && care[range.type] > care[type])
            type = range.type;
    }
    return type;
}

// What was found so far.
struct found {
    struct memory_range *range;
    uint32_t count;
};

// Appends a range, joined to its neighbour where type and address allow. False if the table is
// full.
static bool append(struct found *found, struct memory_range range)
{
    if (found->count > 0) {
        struct memory_range *last = &found->range[found->count - 1];
        if (last->type == range.type && last->end == range.start) {
            last->end = range.end;
            return true;
        }
    }
    if (found->count == BOOT_MEMORY_MAX)
        return false;
    found->range[found->count++] = range;
    return true;
}

// Usable memory counts in whole pages: a page shared with something else is not ours. True: there
// is some.
static bool keep_whole_pages(struct found *found)
{
    uint32_t kept = 0;
    bool has_usable = false;
    for (uint32_t i = 0; i < found->count; i++) {
        struct memory_range range = found->range[i];
        if (range.type == MEMORY_USABLE) {
            if (range.start > UINT64_MAX - PAGE)
                continue;
            range.start = align_up(range.start, PAGE);
            range.end = align_down(range.end, PAGE);
        }
        if (range.start >= range.end)
            continue;
        has_usable |= range.type == MEMORY_USABLE;
        found->range[kept++] = range;
    }
    found->count = kept;
    return has_usable;
}

static void sweep(struct found *found, struct notes *notes, const struct map *map)
{
    for (uint64_t at = 0, next; (next = next_boundary(map, at)) != at; at = next) {
        struct memory_range range = {at, next, type_at(map, at)};
        if (range.type != MEMORY_NONE && !append(found, range)) {
            notes_warn(notes,
                       "the memory map has more than %d ranges: memory from 0x%lx on is not used",
                       BOOT_MEMORY_MAX, at);
            return;
        }
    }
}

status_t host_memory_parse(struct memory_range *memory, uint32_t *count, struct notes *notes,
                           const uint8_t *bytes, size_t size)
{
    struct found found = {memory, 0};
    *count = 0;
    if (size < MAP_HEADER_BYTES)
        return notes_fail(
            notes, STATUS_TRUNCATED,
            "the memory map tag has %zu bytes, its header needs %u: the boot loader is broken",
            size, MAP_HEADER_BYTES);
    struct map map = {.entries = bytes + MAP_HEADER_BYTES, .entry_size = get32(bytes)};
    if (map.entry_size < MAP_ENTRY_BYTES || map.entry_size % 8 != 0)
        return notes_fail(
            notes, STATUS_INVALID,
            "the memory map has entries of %zu bytes, %u are needed: the boot loader is broken",
            map.entry_size, MAP_ENTRY_BYTES);
    map.count = (size - MAP_HEADER_BYTES) / map.entry_size;
    sweep(&found, notes, &map);
    bool has_usable = keep_whole_pages(&found);
    *count = found.count;
    if (!has_usable)
        return notes_fail(notes, STATUS_NOT_FOUND,
                          "the memory map names no usable memory in %zu entries", map.count);
    return STATUS_OK;
}
