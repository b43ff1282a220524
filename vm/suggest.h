// "Did you mean ...?": the nearest of a list of words to one that is not in it.
#pragma once

#include "lib/bits.h"

// How many letters must be inserted, dropped, changed or swapped with their neighbour to turn one
// word into the other; words longer than 31 letters are far from everything (UINT_MAX).
unsigned suggest_distance(const char *a, size_t a_length, const char *b);

// True if `distance` is near enough for a word of that length to be a slip of the fingers.
static inline bool suggest_is_near(unsigned distance, size_t length)
{
    return distance <= (length <= 4 ? 1U : 2U);
}
