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
           inside_ram(room, at, wish->size) && !find_overlap(room, at, wish->size);
}

// The place between two edges that is nearest to the end where it is wished, if it fits and is
// better than *best.
static void consider(const struct room *room, const struct room_wish *wish, uint64_t low,
                     uint64_t high, uint64_t *best)
{
    uint64_t at = align_up(low, wish->alignment);
    if (wish->is_highest && high < wish->size)
        return;
    if (wish->is_highest)
        at = align_down(high - wish->size, wish->alignment);
    bool is_better = *best == UINT64_MAX || (wish->is_highest ? at > *best : at < *best);
    if (is_better && fits(room, wish, at))
        *best = at;
}

status_t room_take(struct room *room, const struct room_wish *wish, const char *name, uint64_t *at,
                   struct explanation *why)
{
    *at = UINT64_MAX;
    consider(room, wish, wish->low, wish->high, at);
    for (unsigned i = 0; i < room->map->count; i++) {
        const struct memory_range *range = &room->map->range[i];
        consider(room, wish, range->start, range->start + range->size, at);
    }
    for (unsigned i = 0; i < room->count; i++) {
        const struct room_range *taken = &room->range[i];
        consider(room, wish, taken->start + taken->size, taken->start, at);
    }
    if (*at == UINT64_MAX)
        return explain(
            why, STATUS_NO_MEMORY,
            "%s: no free place for %lu KiB between 0x%lx and 0x%lx; give the VM more memory", name,
            (wish->size + 1023) >> 10, wish->low, wish->high);
    return room_claim(room, *at, wish->size, name, why);
}
