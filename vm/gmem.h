// Guest memory: the one way to a guest's RAM. Knows its bounds; dirty logging and ownership will
// live here.
#pragma once

#include "vm/address.h"

#define GMEM_REGIONS 16

struct gmem_region {
    gpa_t start;    // whole pages
    uint64_t size;  // bytes, whole pages
    uint8_t *bytes; // where we see it
};

struct gmem {
    unsigned count;
    struct gmem_region region[GMEM_REGIONS]; // sorted, not overlapping
};

// Where `length` bytes of RAM at `at` can be accessed, or NULL if they do not lie inside one region
// of RAM. The guest can change them at any time: copy what you check.
void *gmem_at(const struct gmem *memory, gpa_t at, uint64_t length);

// Where the guest has what we see at `bytes`. False: nowhere.
MUST_CHECK bool gmem_find(const struct gmem *memory, const void *bytes, gpa_t *at);

// Copies out of and into guest RAM; ranges may run across adjacent regions. False (and nothing
// copied) if any byte is not RAM.
MUST_CHECK bool gmem_read(const struct gmem *memory, gpa_t from, void *to, uint64_t length);
MUST_CHECK bool gmem_write(const struct gmem *memory, gpa_t to, const void *from, uint64_t length);

// Atomically replaces `size` (1, 2, 4, 8) aligned bytes if they still hold `expected`. False: not
// RAM, or changed; *expected then holds the present value (unchanged if not RAM).
MUST_CHECK bool gmem_compare_exchange(const struct gmem *memory, gpa_t at, unsigned size,
                                      uint64_t *expected, uint64_t value);

// The same for 16 aligned bytes, low half first (CMPXCHG16B's shape).
MUST_CHECK bool gmem_compare_exchange_16(const struct gmem *memory, gpa_t at, uint64_t expected[2],
                                         const uint64_t value[2]);

// Copies between RAM that gmem_at() gave and a buffer. An aligned 1, 2, 4 or 8 bytes move in one
// access, as other CPUs expect of a device's or an instruction's single load and store.
void gmem_load(const void *ram, void *to, uint64_t length);
void gmem_store(void *ram, const void *from, uint64_t length);

// Writes what a guest reads between two looks at `version`: odd while it changes, then the next
// even number.
void gmem_publish(void *version, void *ram, const void *from, uint64_t length);
