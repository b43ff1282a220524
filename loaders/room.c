// First-fit search over a handful of ranges: the only places worth trying are the edges of RAM and
// of what is taken.

#include "loaders/room.h"

static bool inside_ram(const struct room *room, uint64_t start, uint64_t size)
{
    const struct memory_range *range = memory_map_find(room->map, start);
    return range && range->type == MEMORY_RAM && size <= range->start + range->size - start;
}

static const struct room_range *find_overlap(const struct room *room, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < room->count; i++) {
        const struct room_range *taken = &room->range[i];
        if (start < taken->start + taken->size && taken->start < start + size)
            return taken;
    }
    return NULL;
}

bool room_is_free(const struct room *room, uint64_t start, uint64_t size)
{
    return inside_ram(room, start, size) && !find_overlap(room, start, size);
}

status_t room_claim(struct room *room, uint64_t start, uint64_t size, const char *name,
                    struct explanation *why)
{
    if (size == 0)
        return STATUS_OK;
    if (!inside_ram(room, start, size))
        return explain(
            why, STATUS_RANGE,
            "%s: %lu KiB at 0x%lx are not inside the VM's RAM (below 0x%lx, and 1 MiB to "
            "0x%lx); give it more memory or link the file for another place",
            name, (size + 1023) >> 10, start, EBDA_START, memory_map_low_end(room->map));
    const struct room_range *taken = find_overlap(room, start, size);
    if (taken)
        return explain(
            why, STATUS_OVERLAP,
            "%s: 0x%lx bytes at 0x%lx overlap %s at 0x%lx; the file is damaged or linked "
            "for another place",
            name, size, start, taken->name, taken->start);
    if (room->count == ROOM_RANGES)
        return explain(why, STATUS_FULL, "%s: more than %d pieces to load", name, ROOM_RANGES);
    room->range[room->count++] = (struct room_range){start, size, name};
    return STATUS_OK;
}

static bool fits(const struct room *room, const struct room_wish *wish, uint64_t at)
{
    return at >= wish->low && at <= wish->high && wish->size <= wish->high - at &&
           room_is_free(room, at, wish->size);
}

static status_t no_place(const struct room_wish *wish, const char *name, struct explanation *why)
{
    return explain(why, STATUS_NO_MEMORY,
                   "%s: no free place for %lu KiB between 0x%lx and 0x%lx; give the VM more memory",
                   name, (wish->size + 1023) >> 10, wish->low, wish->high);
}

status_t room_take_lowest(struct room *room, const struct room_wish *wish, const char *name,
                          uint64_t *at, struct explanation *why)
{
    uint64_t best = UINT64_MAX, try = align_up(wish->low, wish->alignment);
    if (fits(room, wish, try))
        best = try;
    for (unsigned i = 0; i < room->map->count; i++) {
        try = align_up(room->map->range[i].start, wish->alignment);
        if (try < best && fits(room, wish, try))
            best = try;
    }
    for (unsigned i = 0; i < room->count; i++) {
        try = align_up(room->range[i].start + room->range[i].size, wish->alignment);
        if (try < best && fits(room, wish, try))
            best = try;
    }
    if (best == UINT64_MAX)
        return no_place(wish, name, why);
    *at = best;
    return room_claim(room, best, wish->size, name, why);
}

// The highest aligned place that ends at or before `end`, if it fits and is above *best.
static void try_below(const struct room *room, const struct room_wish *wish, uint64_t end,
                      uint64_t *best)
{
    if (end < wish->size)
        return;
    uint64_t try = align_down(end - wish->size, wish->alignment);
    if (fits(room, wish, try) && (*best == UINT64_MAX || try > *best))
        *best = try;
}

status_t room_take_highest(struct room *room, const struct room_wish *wish, const char *name,
                           uint64_t *at, struct explanation *why)
{
    uint64_t best = UINT64_MAX;
    try_below(room, wish, wish->high, &best);
    for (unsigned i = 0; i < room->map->count; i++)
        try_below(room, wish, room->map->range[i].start + room->map->range[i].size, &best);
    for (unsigned i = 0; i < room->count; i++)
        try_below(room, wish, room->range[i].start, &best);
    if (best == UINT64_MAX)
        return no_place(wish, name, why);
    *at = best;
    return room_claim(room, best, wish->size, name, why);
}
