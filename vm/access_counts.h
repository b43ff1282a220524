// Counts by address: what a guest touched that is not there. A table of fixed size that any CPU may
// count into; when it is full, further addresses are counted together. Nothing is lost and nothing
// is locked.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"

#define ACCESS_COUNTS 64 // a power of two

struct access_count {
    _Atomic uint64_t key; // address + 1; 0: free
    _Atomic uint64_t count;
};

struct access_counts {
    struct access_count entry[ACCESS_COUNTS];
    _Atomic uint64_t others; // addresses that found no room
};

// Counts one access to `address` (any but all ones).
void access_counts_add(struct access_counts *counts, uint64_t address);

// All accesses that were counted.
uint64_t access_counts_total(const struct access_counts *counts);

// The next address in the table, from *position (0 at first) on: false at the end of the table. The
// order is not that of addresses.
bool access_counts_next(const struct access_counts *counts, unsigned *position, uint64_t *address,
                        uint64_t *count);
