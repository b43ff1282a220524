// What memory-type range registers say. See mtrr.h; the registers themselves are read and written
// in mtrr_set.c.

#include "arch/x86_64/policy/mtrr.h"

#define DEFAULT_ON   BIT(11)
#define DEFAULT_TYPE UINT64_C(0xff)
#define MASK_VALID   BIT(11)
#define BASE_TYPE    UINT64_C(0xff)
#define ADDRESS      BITS(51, 12)
#define WRITE_BACK   6

bool mtrr_are_on(const struct mtrr_state *state)
{
    return state->default_type & DEFAULT_ON;
}

// Ranges of several types may overlap: write-back is what none of them says otherwise of.
bool mtrr_is_write_back(const struct mtrr_state *state, uint64_t at, uint64_t *end)
{
    bool is_claimed = false, is_other = false;
    for (unsigned i = 0; i < state->count; i++) {
        uint64_t mask = state->mask[i] & ADDRESS, base = state->base[i] & mask;
        if (!(state->mask[i] & MASK_VALID) || !mask)
            continue;
        if ((at & mask) == base) {
            is_claimed = true;
            is_other = is_other || (state->base[i] & BASE_TYPE) != WRITE_BACK;
            *end = MIN(*end, base + BIT(lowest_bit(mask)));
        } else if (at < base) {
            *end = MIN(*end, base);
        }
    }
    if (!is_claimed)
        return (state->default_type & DEFAULT_TYPE) == WRITE_BACK;
    return !is_other;
}
