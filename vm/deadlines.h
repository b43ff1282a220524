// The deadlines of a VM's devices: a heap by VM time. Who has a deadline keeps it here; the loop of
// vCPU 0 reads the earliest and takes what is due.
#pragma once

#include "lib/spinlock.h"

#define NEVER     UINT64_MAX // a deadline that never comes
#define DEADLINES 32

struct deadline {
    _Atomic uint64_t at; // VM time
    unsigned place;      // in the heap, if `at` is not NEVER
};

struct deadlines {
    _Atomic uint64_t first; // the earliest, or NEVER; read without the lock
    // An access has made `first` earlier. Called without a lock, by any CPU.
    void (*earlier)(struct deadlines *);
    struct spinlock lock; // guards the following, and each struct deadline's place
    unsigned count;
    struct deadline *heap[DEADLINES];
};

// Moves a deadline, also from and to NEVER. True: the first one became earlier. The caller holds
// what guards the deadline's owner.
bool deadlines_set(struct deadlines *all, struct deadline *deadline, uint64_t at);

// Takes the first deadline out if it is due at `now`: it becomes NEVER, and its owner's next one is
// the caller's to set. NULL: none is due.
struct deadline *deadlines_take(struct deadlines *all, uint64_t now);
