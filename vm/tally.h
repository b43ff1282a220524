// Counts by address: what a guest touched that is not there. A table of fixed size that any CPU may
// count into; when it is full, further addresses are counted together. Nothing is lost and nothing
// is locked.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"

#define TALLY_ENTRIES 64 // a power of two

struct tally_entry {
    _Atomic uint64_t key; // address + 1; 0: free
    _Atomic uint64_t count;
};

struct tally {
    struct tally_entry entry[TALLY_ENTRIES];
    _Atomic uint64_t others; // addresses that found no room
};

// Counts one access to `address` (any but all ones).
void tally_count(struct tally *tally, uint64_t address);

// The next address in the table, from *position (0 at first) on: false at the end of the table. The
// order is not that of addresses.
bool tally_next(const struct tally *tally, unsigned *position, uint64_t *address, uint64_t *count);
