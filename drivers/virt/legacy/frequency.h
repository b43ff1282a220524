// Clocks of a device and nanoseconds of VM time, exactly and without a 128-bit division: whole
// seconds apart.
#pragma once

#include "lib/bits.h"

#define NS_PER_SECOND UINT64_C(1000000000)

#define CLOCKS_MOST BIT(60) // of a clock that was loaded: what is computed from it fits

// How many clocks of `hz` (at most 2^32) have begun and ended at `ns`.
static inline uint64_t clocks_at(uint64_t ns, uint64_t hz)
{
    return ns / NS_PER_SECOND * hz + ns % NS_PER_SECOND * hz / NS_PER_SECOND;
}

// The first nanosecond at which clocks_at() is not below `clocks`. The result must fit.
static inline uint64_t ns_at(uint64_t clocks, uint64_t hz)
{
    return clocks / hz * NS_PER_SECOND + (clocks % hz * NS_PER_SECOND + hz - 1) / hz;
}
