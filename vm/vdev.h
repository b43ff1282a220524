// Virtual devices: a class, const and one for each kind, and a plain state. A device's struct
// begins with its struct vdev; behind it come wiring and state, all of them named in the class's
// table.
#pragma once

#include "lib/fields.h"
#include "vm/deadlines.h"

struct access {
    uint64_t offset; // from the start of the region
    uint64_t value;  // in for writes, out for reads; bits above `size` bytes are zero
    uint64_t now;    // VM time, nanoseconds, for devices that have a deadline()
    uint8_t size;    // 1, 2, 4 or 8 bytes
    bool write;
};

struct vdev;
struct vm;

// A device never reads a clock: time comes in with each call, and deadlines go out.
struct vdev_class {
    const char *name;
    size_t size;      // of the device's struct
    uint16_t version; // of its fields
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
    // What is not zero after power-on. NULL: nothing.
    void (*reset)(struct vdev *);
    // A state was loaded, each field in its range: makes what is derived anew, and keeps together
    // what must agree. NULL: nothing does.
    void (*loaded)(struct vdev *);
    const struct field *fields;
};

struct vdev {
    const struct vdev_class *class;
    const char *name; // its own, on the board
    struct vm *vm;
    struct deadlines *deadlines; // its VM's
    struct deadline deadline;
    struct spinlock lock; // guards the whole device; the functions below take it
};

// Power-on: all fields zero, then what the class sets. Lines are not driven: who resets a whole
// board looks at them afterwards.
void vdev_reset(struct vdev *device);

// One access under the device's lock; a deadline that moved forward is passed on to the VM.
bool vdev_access(struct vdev *device, struct access *access);

// Lets the device do what is due at `now`, under its lock. Returns its next deadline, or NEVER.
uint64_t vdev_tick(struct vdev *device, uint64_t now);

// The end of whatever else was done to a device under its lock: its deadline follows.
void vdev_unlock(struct vdev *device);

// Writes the device's section (lib/fields.h) to `to`, if it fits in `room` bytes. Returns the
// length in any case.
size_t vdev_save(struct vdev *device, uint8_t *to, size_t room);

// Reads the device's section, and moves the input behind it. Only if `commit` is the device
// changed: the caller has the same bytes looked at before, and then lets lines be counted and calls
// vdev_loaded().
MUST_CHECK status_t vdev_load(struct vdev *device, struct section_input *input, bool commit,
                              struct explanation *why);
void vdev_loaded(struct vdev *device);
