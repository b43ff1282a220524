// The memory-type range registers, which firmware sets: read, judged and made the same on all CPUs.
// SDM: "Memory Type Range Registers (MTRRs)", "MTRR Considerations in MP Systems".
#pragma once

#include "lib/bits.h"

#define MTRR_RANGES 32
#define MTRR_FIXED  11

struct mtrr_state {
    uint64_t default_type; // IA32_MTRR_DEF_TYPE; 0: off, or there are none
    uint32_t count;        // of variable ranges
    uint64_t base[MTRR_RANGES], mask[MTRR_RANGES];
    uint64_t fixed[MTRR_FIXED]; // the first MiB
};

bool mtrr_are_on(const struct mtrr_state *state);

// Whether memory at `at`, above 1 MiB, is write-back, and (in *end) up to where that holds: at most
// the *end that is given.
bool mtrr_is_write_back(const struct mtrr_state *state, uint64_t at, uint64_t *end);

// This CPU's; and all of them set as on another, with interrupts off.
void mtrr_read(struct mtrr_state *state);
void mtrr_write(const struct mtrr_state *state);
