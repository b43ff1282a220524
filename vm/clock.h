// Two clocks and the way between them: the host's TSC, and VM time in nanoseconds since the VM
// began.
#pragma once

#include "lib/bits.h"

// Nanoseconds between two ticks of a periodic timer at least. A guest may ask for periods shorter
// than a tick takes: then it gets fewer, and gets on.
#define TICK_LEAST UINT64_C(50000)

#define NS_PER_SECOND UINT64_C(1000000000)

struct clock {
    uint64_t hz;         // of the TSC
    uint64_t epoch;      // host TSC at VM time 0: negative, if the VM began in another machine
    uint64_t ns_per_tsc; // 32.32 fixed point
    uint64_t tsc_per_ns; // 32.32 fixed point
};

// `hz` from 1 MHz to 2^36.
void clock_init(struct clock *clock, uint64_t hz, uint64_t epoch);

static inline uint64_t scale_32(uint64_t value, uint64_t factor)
{
    return (uint64_t)(((unsigned __int128)value * factor) >> 32);
}

// Host TSC to VM time. A TSC before the epoch is VM time 0.
static inline uint64_t clock_ns(const struct clock *clock, uint64_t tsc)
{
    uint64_t ticks = tsc - clock->epoch;
    return __builtin_expect(ticks >> 63, false) ? 0 : scale_32(ticks, clock->ns_per_tsc);
}

// The first host TSC, from the epoch and from 0 on, at which clock_ns() is not before `ns`. NEVER
// (all ones) stays NEVER, as does what no TSC of 64 bits reaches.
uint64_t clock_tsc(const struct clock *clock, uint64_t ns);
