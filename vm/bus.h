// Virtual devices and the buses that they answer on: ports, memory (MMIO) and MSRs share one shape.
// Regions are inserted while the VM is built, then frozen; afterwards look-ups take no lock.
#pragma once

#include "lib/spinlock.h"
#include "lib/status.h"

struct access {
    uint64_t offset; // from the start of the region
    uint64_t value;  // in for writes, out for reads; bits above `size` bytes are zero
    uint64_t now;    // VM time, nanoseconds, for devices that have a deadline()
    uint8_t size;    // 1, 2, 4 or 8 bytes
    bool write;
};

#define NEVER UINT64_MAX // a deadline that never comes

struct vm;

// A virtual device. It never reads a clock: time comes in with each call, and deadlines go out.
struct vdev {
    const char *name;
    struct vm *vm; // whose device_deadline follows deadline(); may be NULL for a device without one
    // An ISA device of one-byte registers: wider accesses arrive one byte at a time, as the
    // neighbours' do.
    bool bytewise;
    // False: nothing answers at this offset (ports and memory: all ones; MSRs: #GP). A read sets no
    // bits above the access's size.
    bool (*access)(struct vdev *, struct access *);
    // When tick() wants to be called next, in VM time, or NEVER. NULL: the device has no clock, and
    // never looks at `now`.
    uint64_t (*deadline)(struct vdev *);
    void (*tick)(struct vdev *, uint64_t now);
    struct spinlock lock; // guards the whole device; vdev_access() and vdev_tick() take it
};

struct bus_region {
    uint64_t first;
    uint64_t last; // inclusive
    uint64_t base; // offset 0 of the device is at this address
    struct vdev *device;
};

#define BUS_REGIONS    48
#define BUS_NEAR_SHIFT 5
#define BUS_NEAR       2048

struct bus {
    const char *name;
    unsigned count;
    bool frozen;
    // Sorted by address. The one behind the last is a sentinel: no device, and no address is above
    // it.
    struct bus_region region[BUS_REGIONS + 1];
    // Where to begin the search for an address below `near_end`, 32 addresses an entry. Built by
    // bus_freeze(); that takes in all ports, so that a look-up there is a few comparisons at most.
    uint64_t near_end;
    uint8_t near[BUS_NEAR];
};

// Claims [first, first + length) for the device. An overlap or a full table is an error that names
// both devices.
MUST_CHECK status_t bus_insert(struct bus *bus, uint64_t first, uint64_t length,
                               struct vdev *device, struct explanation *why);

// The same for one of several regions of a device: its offsets count from `base`, which is not
// above `first`.
MUST_CHECK status_t bus_insert_part(struct bus *bus, uint64_t first, uint64_t length, uint64_t base,
                                    struct vdev *device, struct explanation *why);

void bus_freeze(struct bus *bus);

// The first region that does not end below an address under `near_end` (any port); the sentinel if
// there is none.
static inline const struct bus_region *bus_near(const struct bus *bus, uint64_t address)
{
    const struct bus_region *region = &bus->region[bus->near[address >> BUS_NEAR_SHIFT]];
    while (region->last < address)
        region++;
    return region;
}

// Whether an access is wholly the device's of this region: vdev_access() then, with the offset from
// region->base.
static inline bool bus_is_within(const struct bus_region *region, uint64_t address, unsigned size)
{
    return address >= region->first && region->last - address >= size - 1 && region->device &&
           (size == 1 || !region->device->bytewise);
}

// Routes one access of at most 8 bytes to the device that claims its first byte; an access that
// runs over the region's end, or that is wider than a bytewise device, is split at byte
// granularity. `access->offset` holds the absolute address before and after. False: nobody answered
// any byte (reads are then all ones).
bool bus_access(const struct bus *bus, struct access *access);

// One access under the device's lock; a deadline that moved forward is passed on to the VM.
bool vdev_access(struct vdev *device, struct access *access);

// Lets the device do what is due at `now`, under its lock. Returns its next deadline, or NEVER.
uint64_t vdev_tick(struct vdev *device, uint64_t now);
