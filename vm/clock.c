// The way between the host's TSC and VM time, without 128-bit division. Called when a VM is built
// and wherever a deadline becomes a timer's value.
#include "vm/clock.h"

void clock_init(struct clock *clock, uint64_t hz, uint64_t epoch)
{
    clock->hz = hz;
    clock->epoch = epoch;
    clock->ns_per_tsc = (NS_PER_SECOND << 32) / hz;
    clock->tsc_per_ns = ((hz / NS_PER_SECOND) << 32) + ((hz % NS_PER_SECOND) << 32) / NS_PER_SECOND;
}

uint64_t clock_tsc(const struct clock *clock, uint64_t ns)
{
    // The least `ticks` with ticks * ns_per_tsc >= ns << 32: a long division, 16 bits at a time.
    // The divisor is below 2^42, so that no remainder leaves 64 bits.
    uint64_t divisor = clock->ns_per_tsc;
    uint64_t ticks = ns / divisor, rest = ns % divisor;
    if (ns == UINT64_MAX || ticks >> 32)
        return UINT64_MAX;
    for (unsigned digit = 0; digit < 2; digit++) {
        rest <<= 16;
        ticks = ticks << 16 | rest / divisor;
        rest %= divisor;
    }
    uint64_t tsc = clock->epoch + ticks + (rest != 0);
    if (ticks >> 63 || (tsc < clock->epoch && !(clock->epoch >> 63)))
        return UINT64_MAX;
    return clock->epoch >> 63 && tsc >> 63 ? 0 : tsc; // it was before this machine began
}
