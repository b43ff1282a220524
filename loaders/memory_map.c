// Builds the guest's memory map from its regions of RAM and the fixed addresses of vm/platform.h.
// Ranges are appended in ascending order; what a PC reserves below 1 MiB is cut out of the RAM
// there.

#include "loaders/memory_map.h"

#include "lib/bytes.h"
#include "vm/platform.h"

struct memory_layout memory_layout(const struct vm_traits *traits)
{
    uint64_t low = MIN(traits->memory, vm_low_memory_end(traits));
    return (struct memory_layout){.low = low, .high = traits->memory - low};
}

static status_t append(struct memory_map *map, uint64_t start, uint64_t end, enum memory_type type,
                       struct explanation *why)
{
    if (start >= end)
        return STATUS_OK;
    struct memory_range *last = map->count ? &map->range[map->count - 1] : NULL;
    if (last && last->type == type && last->start + last->size == start) {
        last->size += end - start;
        return STATUS_OK;
    }
    if (map->count == MEMORY_RANGES)
        return explain(why, STATUS_FULL, "memory map: more than %d ranges of guest memory",
                       MEMORY_RANGES);
    map->range[map->count++] = (struct memory_range){start, end - start, type};
    return STATUS_OK;
}

// The RAM that lies in [low, high).
static status_t append_ram(struct memory_map *map, const struct gmem *memory, uint64_t low,
                           uint64_t high, struct explanation *why)
{
    for (unsigned i = 0; i < memory->count; i++) {
        uint64_t start = memory->region[i].start.value;
        uint64_t end = start + memory->region[i].size;
        status_t status = append(map, MAX(start, low), MIN(end, high), MEMORY_RAM, why);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

status_t memory_map_build(const struct gmem *memory, struct memory_map *map,
                          struct explanation *why)
{
    static const struct {
        uint64_t start, end;
        bool is_ram; // whatever RAM there is, else reserved
    } plan[] = {
        {0, EBDA_START, true},
        {EBDA_START, LEGACY_START, false},
        {BIOS_START, BIOS_END, false},
        {BIOS_END, LOW_MEMORY_END, true},
        {PCI_ECAM, PCI_ECAM + PCI_ECAM_LENGTH, false},
        {MMIO_IOAPIC, MMIO_IOAPIC + MMIO_IOAPIC_LENGTH, false},
        {MMIO_LAPIC, MMIO_LAPIC + MMIO_LAPIC_LENGTH, false},
        {MMIO_GENERATION, MMIO_GENERATION + PAGE_SIZE, false},
        {HIGH_MEMORY_START, UINT64_MAX, true},
    };
    map->count = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(plan); i++) {
        status_t status = plan[i].is_ram
                              ? append_ram(map, memory, plan[i].start, plan[i].end, why)
                              : append(map, plan[i].start, plan[i].end, MEMORY_RESERVED, why);
        if (status != STATUS_OK)
            return status;
    }
    uint8_t last_byte;
    if (map->range[0].start != 0 || map->range[0].size != EBDA_START ||
        !gmem_read(memory, gpa(BIOS_END - 1), &last_byte, 1))
        return explain(why, STATUS_RANGE,
                       "memory map: the VM's memory does not fill the first MiB; give it more");
    return STATUS_OK;
}

const struct memory_range *memory_map_find(const struct memory_map *map, uint64_t at)
{
    for (unsigned i = 0; i < map->count; i++)
        if (at >= map->range[i].start && at - map->range[i].start < map->range[i].size)
            return &map->range[i];
    return NULL;
}

uint64_t memory_map_low_end(const struct memory_map *map)
{
    const struct memory_range *low = memory_map_find(map, BIOS_END);
    return low && low->type == MEMORY_RAM ? low->start + low->size : BIOS_END;
}

void memory_map_pack(const struct memory_map *map, uint8_t *to, unsigned stride)
{
    for (unsigned i = 0; i < map->count; i++, to += stride) {
        put64(to, map->range[i].start);
        put64(to + 8, map->range[i].size);
        put32(to + 16, map->range[i].type);
    }
}

uint32_t memory_map_lower_kib(const struct memory_map *map)
{
    return (uint32_t)(map->range[0].size >> 10);
}

uint32_t memory_map_upper_kib(const struct memory_map *map)
{
    return (uint32_t)((memory_map_low_end(map) - BIOS_END) >> 10);
}
