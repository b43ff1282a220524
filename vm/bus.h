// The buses that virtual devices answer on: ports and memory (MMIO) share one shape. Regions come
// and go while the VM runs; look-ups take no lock: who finds that the bus has changed meanwhile
// looks again.
#pragma once

#include "lib/spinlock.h"
#include "lib/status.h"
#include "vm/vdev.h"

struct bus_region {
    uint64_t first;
    uint64_t last; // inclusive
    uint64_t base; // offset 0 of the device is at this address, modulo 2^64
    struct vdev *device;
};

#define BUS_REGIONS    128
#define BUS_NEAR_SHIFT 5
#define BUS_NEAR       2048

struct bus {
    // Sorted by address. Behind the last one are sentinels: no device, and no address is above
    // them.
    struct bus_region region[BUS_REGIONS + 1];
    // How many changes have begun, and how many are done. A look-up reads what is done, then what
    // it looks for, then what has begun: if they agree, no change came between.
    _Atomic uint32_t begun;
    _Atomic uint32_t done;
    // Where to begin the search for an address below `near_end`, 32 addresses an entry. That takes
    // in all ports, so that a look-up there is a few comparisons at most.
    uint8_t near[BUS_NEAR];
    uint64_t near_end;
    unsigned count;
    struct spinlock lock; // of who changes the bus
    const char *name;
};

// Claims [first, first + length) for the device. An overlap or a full table is an error that names
// both devices.
MUST_CHECK status_t bus_insert(struct bus *bus, uint64_t first, uint64_t length,
                               struct vdev *device, struct explanation *why);

// The same for one of several regions of a device: its offsets count from `base`, modulo 2^64.
MUST_CHECK status_t bus_insert_part(struct bus *bus, uint64_t first, uint64_t length, uint64_t base,
                                    struct vdev *device, struct explanation *why);

// Takes away the device's region that begins at `first`, if there is one. An access that was looked
// up before still reaches the device.
void bus_remove(struct bus *bus, uint64_t first, const struct vdev *device);

// Builds the near table; from now on it follows each change. What comes before is cheaper.
void bus_index(struct bus *bus);

// How far the changes are, for bus_is_same() after the look-up. Nothing of the region is to be
// trusted before that, and no device touched.
static inline uint32_t bus_begin(const struct bus *bus)
{
    return atomic_load_explicit(&bus->done, memory_order_acquire);
}

static inline bool bus_is_same(const struct bus *bus, uint32_t since)
{
    atomic_thread_fence(memory_order_acquire);
    return __builtin_expect(atomic_load_explicit(&bus->begun, memory_order_relaxed) == since, true);
}

#define BUS_READ(member) __atomic_load_n(&(member), __ATOMIC_RELAXED)

// The first region that does not end below an address under `near_end` (any port); a sentinel if
// there is none.
static inline const struct bus_region *bus_near(const struct bus *bus, uint64_t address)
{
    const struct bus_region *region = &bus->region[BUS_READ(bus->near[address >> BUS_NEAR_SHIFT])];
    while (BUS_READ(region->last) < address)
        region++;
    return region;
}

// A region as it is now: a copy, to be trusted if bus_is_same() says so.
static inline struct bus_region bus_copy(const struct bus_region *from)
{
    return (struct bus_region){BUS_READ(from->first), BUS_READ(from->last), BUS_READ(from->base),
                               BUS_READ(from->device)};
}

// Whether an access is wholly the device's of this region: vdev_access() then, with the offset from
// region->base.
static inline bool bus_is_within(const struct bus_region *region, uint64_t address, unsigned size)
{
    return address >= region->first && region->last - address >= size - 1 && region->device &&
           (size == 1 || !region->device->class->bytewise);
}

// Routes one access of at most 8 bytes to the device that claims its first byte; an access that
// runs over the region's end, or that is wider than a bytewise device, is split at byte
// granularity. `access->offset` holds the absolute address before and after. False: nobody answered
// any byte (reads are then all ones).
bool bus_access(const struct bus *bus, struct access *access);
