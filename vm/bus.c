// Buses: which device answers at an address, and one access to it. Called for each port and MMIO
// access of a guest, so look-ups take no lock and share no hint between CPUs: a binary search over
// a frozen table.
#include "vm/bus.h"

#include "lib/panic.h"
#include "lib/string.h"
#include "vm/vm.h"

status_t bus_insert(struct bus *bus, uint64_t first, uint64_t length, struct vdev *device,
                    struct explanation *why)
{
    return bus_insert_part(bus, first, length, first, device, why);
}

status_t bus_insert_part(struct bus *bus, uint64_t first, uint64_t length, uint64_t base,
                         struct vdev *device, struct explanation *why)
{
    assert(!bus->frozen && base <= first);
    uint64_t last = first + length - 1;
    if (length == 0 || last < first)
        return explain(why, STATUS_RANGE, "%s: %s claims 0x%lx bytes at 0x%lx: not a range",
                       bus->name, device->name, length, first);
    if (bus->count == BUS_REGIONS)
        return explain(why, STATUS_FULL, "%s: no room for %s at 0x%lx: raise BUS_REGIONS (now %u)",
                       bus->name, device->name, first, BUS_REGIONS);
    unsigned at = 0;
    while (at < bus->count && bus->region[at].last < first)
        at++;
    if (at < bus->count && bus->region[at].first <= last)
        return explain(why, STATUS_OVERLAP,
                       "%s: %s at 0x%lx-0x%lx overlaps %s at 0x%lx: move one of them", bus->name,
                       device->name, first, last, bus->region[at].device->name,
                       bus->region[at].first);
    memmove(&bus->region[at + 1], &bus->region[at], (bus->count - at) * sizeof(bus->region[0]));
    bus->region[at] = (struct bus_region){first, last, base, device};
    bus->count++;
    bus->region[bus->count] = (struct bus_region){UINT64_MAX, UINT64_MAX, 0, NULL};
    return STATUS_OK;
}

void bus_freeze(struct bus *bus)
{
    unsigned at = 0;
    bus->region[bus->count] = (struct bus_region){UINT64_MAX, UINT64_MAX, 0, NULL};
    for (unsigned i = 0; i < BUS_NEAR; i++) {
        while (bus->region[at].last < (uint64_t)i << BUS_NEAR_SHIFT)
            at++;
        bus->near[i] = (uint8_t)at;
    }
    bus->near_end = (uint64_t)BUS_NEAR << BUS_NEAR_SHIFT;
    bus->frozen = true;
}

// The first region that does not end below the address; the sentinel if there is none.
static const struct bus_region *search(const struct bus *bus, uint64_t address)
{
    const struct bus_region *region = bus->region;
    for (unsigned left = bus->count; left > 0;) {
        unsigned half = (left + 1) / 2;
        region += region[half - 1].last < address ? half : 0;
        left -= half;
    }
    return region;
}

// The same, by the near table where it reaches.
static inline const struct bus_region *region_from(const struct bus *bus, uint64_t address)
{
    return address < bus->near_end ? bus_near(bus, address) : search(bus, address);
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

bool vdev_access(struct vdev *device, struct access *access)
{
    spin_lock(&device->lock);
    bool answered = device->access(device, access);
    uint64_t deadline = device->deadline ? device->deadline(device) : NEVER;
    spin_unlock(&device->lock);
    if (deadline != NEVER)
        vm_request_tick(device->vm, deadline);
    return answered;
}

bool bus_access(const struct bus *bus, struct access *access)
{
    uint64_t address = access->offset;
    const struct bus_region *region = region_from(bus, address);
    if (!bus_is_within(region, address, access->size))
        return access_unusual(bus, region, access);

    access->offset = address - region->base;
    bool answered = vdev_access(region->device, access);
    access->offset = address;
    return answered || all_ones(access);
}

uint64_t vdev_tick(struct vdev *device, uint64_t now)
{
    uint64_t deadline = NEVER;
    spin_lock(&device->lock);
    if (device->tick)
        device->tick(device, now);
    if (device->deadline)
        deadline = device->deadline(device);
    spin_unlock(&device->lock);
    return deadline;
}
