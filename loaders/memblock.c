// First-fit search over a handful of ranges: the only places worth trying are the edges of RAM and
// of what is taken.

#include "loaders/memblock.h"

static bool inside_ram(const struct memblock *memblock, uint64_t start, uint64_t size)
{
    const struct memory_range *range = memory_map_find(memblock->map, start);
    return range && range->type == MEMORY_RAM && size <= range->start + range->size - start;
}

static const struct memblock_region *find_overlap(const struct memblock *memblock, uint64_t start,
                                                  uint64_t size)
{
    for (unsigned i = 0; i < memblock->count; i++) {
        const struct memblock_region *taken = &memblock->region[i];
        if (start < taken->start + taken->size && taken->start < start + size)
            return taken;
    }
    return NULL;
}

status_t memblock_reserve(struct memblock *memblock, uint64_t start, uint64_t size,
                          const char *name, struct explanation *why)
{
    if (size == 0)
        return STATUS_OK;
    if (!inside_ram(memblock, start, size))
        return explain(
            why, STATUS_RANGE,
            "%s: %lu KiB at 0x%lx are not inside the VM's RAM (below 0x%lx, and 1 MiB to "
            "0x%lx); give it more memory or link the file for another place",
            name, (size + 1023) >> 10, start, EBDA_START, memory_map_low_end(memblock->map));
    const struct memblock_region *taken = find_overlap(memblock, start, size);
    if (taken)
        return explain(
            why, STATUS_OVERLAP,
            "%s: 0x%lx bytes at 0x%lx overlap %s at 0x%lx; the file is damaged or linked "
            "for another place",
            name, size, start, taken->name, taken->start);
    if (memblock->count == MEMBLOCK_REGIONS)
        return explain(why, STATUS_FULL, "%s: more than %d pieces to load", name, MEMBLOCK_REGIONS);
    memblock->region[memblock->count++] = (struct memblock_region){start, size, name};
    return STATUS_OK;
}

static bool fits(const struct memblock *memblock, const struct memblock_request *request,
                 uint64_t at)
{
    return at >= request->low && at <= request->high && request->size <= request->high - at &&
           inside_ram(memblock, at, request->size) && !find_overlap(memblock, at, request->size);
}

// The place between two edges that is nearest to the end where it is wanted, if it fits and is
// better than *best.
static void consider(const struct memblock *memblock, const struct memblock_request *request,
                     uint64_t low, uint64_t high, uint64_t *best)
{
    uint64_t at = align_up(low, request->alignment);
    if (request->is_highest && high < request->size)
        return;
    if (request->is_highest)
        at = align_down(high - request->size, request->alignment);
    bool is_better = *best == UINT64_MAX || (request->is_highest ? at > *best : at < *best);
    if (is_better && fits(memblock, request, at))
        *best = at;
}

status_t memblock_alloc(struct memblock *memblock, const struct memblock_request *request,
                        const char *name, uint64_t *at, struct explanation *why)
{
    *at = UINT64_MAX;
    consider(memblock, request, request->low, request->high, at);
    for (unsigned i = 0; i < memblock->map->count; i++) {
        const struct memory_range *range = &memblock->map->range[i];
        consider(memblock, request, range->start, range->start + range->size, at);
    }
    for (unsigned i = 0; i < memblock->count; i++) {
        const struct memblock_region *taken = &memblock->region[i];
        consider(memblock, request, taken->start + taken->size, taken->start, at);
    }
    if (*at == UINT64_MAX)
        return explain(
            why, STATUS_NO_MEMORY,
            "%s: no free place for %lu KiB between 0x%lx and 0x%lx; give the VM more memory", name,
            (request->size + 1023) >> 10, request->low, request->high);
    return memblock_reserve(memblock, *at, request->size, name, why);
}
