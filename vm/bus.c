// Buses: which device answers at an address, and one access to it. Called for each port and MMIO
// access of a guest, so look-ups take no lock and share no hint between CPUs: a binary search over
// a table that seldom changes.
#include "vm/bus.h"

#include "lib/string.h"

status_t bus_insert(struct bus *bus, uint64_t first, uint64_t length, struct vdev *device,
                    struct explanation *why)
{
    return bus_insert_part(bus, first, length, first, device, why);
}

static void build_near(struct bus *bus)
{
    unsigned at = 0;
    for (unsigned i = 0; i < BUS_NEAR; i++) {
        while (bus->region[at].last < (uint64_t)i << BUS_NEAR_SHIFT)
            at++;
        __atomic_store_n(&bus->near[i], (uint8_t)at, __ATOMIC_RELAXED);
    }
}

// Whoever looks up meanwhile sees anything, but ends: the last sentinel stays, and indices are in
// range. He looks again.
static void begin_change(struct bus *bus)
{
    atomic_fetch_add(&bus->begun, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

// `first`: of the region that came or went. What begins above the near ones changes no index of
// theirs.
static void end_change(struct bus *bus, uint64_t first)
{
    for (unsigned i = bus->count; i < BUS_REGIONS + 1; i++)
        bus->region[i] = (struct bus_region){UINT64_MAX, UINT64_MAX, 0, NULL};
    if (first < bus->near_end)
        build_near(bus);
    atomic_store_explicit(&bus->done, bus->begun, memory_order_release);
}

static status_t insert(struct bus *bus, const struct bus_region *claim, struct explanation *why)
{
    if (bus->count == BUS_REGIONS)
        return explain(why, STATUS_FULL, "%s: no room for %s at 0x%lx: raise BUS_REGIONS (now %u)",
                       bus->name, claim->device->name, claim->first, BUS_REGIONS);
    unsigned at = 0;
    while (at < bus->count && bus->region[at].last < claim->first)
        at++;
    struct bus_region *place = &bus->region[at];
    if (at < bus->count && place->first <= claim->last)
        return explain(why, STATUS_OVERLAP,
                       "%s: %s at 0x%lx-0x%lx overlaps %s at 0x%lx: move one of them", bus->name,
                       claim->device->name, claim->first, claim->last, place->device->name,
                       place->first);
    begin_change(bus);
    memmove(place + 1, place, (bus->count++ - at) * sizeof(*place));
    *place = *claim;
    end_change(bus, claim->first);
    return STATUS_OK;
}

status_t bus_insert_part(struct bus *bus, uint64_t first, uint64_t length, uint64_t base,
                         struct vdev *device, struct explanation *why)
{
    uint64_t last = first + length - 1;
    if (length == 0 || last < first)
        return explain(why, STATUS_RANGE, "%s: %s claims 0x%lx bytes at 0x%lx: not a range",
                       bus->name, device->name, length, first);
    spin_lock(&bus->lock);
    status_t status = insert(bus, &(struct bus_region){first, last, base, device}, why);
    spin_unlock(&bus->lock);
    return status;
}

void bus_remove(struct bus *bus, uint64_t first, const struct vdev *device)
{
    spin_lock(&bus->lock);
    for (struct bus_region *at = bus->region; at < bus->region + bus->count; at++) {
        if (at->first != first || at->device != device)
            continue;
        begin_change(bus);
        bus->count--;
        memmove(at, at + 1, (size_t)(bus->region + bus->count - at) * sizeof(*at));
        end_change(bus, first);
        break;
    }
    spin_unlock(&bus->lock);
}

void bus_index(struct bus *bus)
{
    spin_lock(&bus->lock);
    begin_change(bus);
    bus->near_end = (uint64_t)BUS_NEAR << BUS_NEAR_SHIFT;
    end_change(bus, 0);
    spin_unlock(&bus->lock);
}

// The first region that does not end below the address; a sentinel if there is none.
static const struct bus_region *search(const struct bus *bus, uint64_t address)
{
    const struct bus_region *region = bus->region;
    for (unsigned left = BUS_READ(bus->count); left > 0;) {
        unsigned half = (left + 1) / 2;
        region += BUS_READ(region[half - 1].last) < address ? half : 0;
        left -= half;
    }
    return region;
}

// The same, by the near table where it reaches; a copy that no change has come across.
static struct bus_region find(const struct bus *bus, uint64_t address)
{
    for (;;) {
        uint32_t since = bus_begin(bus);
        const struct bus_region *at =
            address < BUS_READ(bus->near_end) ? bus_near(bus, address) : search(bus, address);
        struct bus_region found = bus_copy(at);
        if (bus_is_same(bus, since))
            return found;
        __builtin_ia32_pause();
    }
}

// Each byte to whoever claims it.
__attribute__((noinline)) static bool access_by_bytes(const struct bus *bus, struct access *access)
{
    bool answered = false;
    uint64_t value = 0;
    for (unsigned i = 0; i < access->size; i++) {
        struct access byte = {.offset = access->offset + i,
                              .value = access->write ? (access->value >> (8 * i)) & 0xff : 0,
                              .now = access->now,
                              .size = 1,
                              .write = access->write};
        answered |= bus_access(bus, &byte);
        value |= byte.value << (8 * i);
    }
    if (!access->write)
        access->value = value;
    return answered;
}

// What nobody answers. Returns false.
static bool all_ones(struct access *access)
{
    if (!access->write)
        access->value = size_mask(access->size);
    return false;
}

// Some byte of the access, but not all of it, belongs to `region`, or its device takes bytes only;
// or nobody answers.
__attribute__((noinline)) static bool
access_unusual(const struct bus *bus, const struct bus_region *region, struct access *access)
{
    uint64_t last = access->offset + access->size - 1;
    if (region->device && region->first <= last && access->offset <= last)
        return access_by_bytes(bus, access);
    return all_ones(access);
}

bool bus_access(const struct bus *bus, struct access *access)
{
    uint64_t address = access->offset;
    struct bus_region region = find(bus, address);
    if (!bus_is_within(&region, address, access->size))
        return access_unusual(bus, &region, access);

    access->offset = address - region.base;
    bool answered = vdev_access(region.device, access);
    access->offset = address;
    return answered || all_ones(access);
}
