// The TSC against a reference clock: see calibrate.h.

#include "drivers/host/time/calibrate.h"

#define MEASUREMENTS   3 // the middle one counts
#define TRIES          3
#define PER_SECOND     100U    // a measurement takes 1/100 s
#define STALE_READS    200000  // without a change: the clock stands still
#define READS_MAX      8000000 // in a measurement: the clock crawls
#define SPREAD_DIVISOR 500U
#define TSC_HZ_LOWEST  UINT64_C(10000000)
#define TSC_HZ_HIGHEST UINT64_C(20000000000)

struct instant {
    uint64_t tsc;
    uint32_t count;
};

// Waits until the clock changes, so that an instant lies at the beginning of a count. False if it
// does not, or when
// `*reads_left` is used up.
static bool wait_for_change(const struct reference_clock *clock, uint64_t (*read_tsc)(void),
                            uint32_t from, int *reads_left, struct instant *instant)
{
    for (int i = 0; i < STALE_READS && --*reads_left >= 0; i++) {
        instant->count = clock->read(clock->context) & clock->mask;
        instant->tsc = read_tsc();
        if (instant->count != from)
            return true;
    }
    return false;
}

// One measurement. False if the clock stops or crawls.
static bool measure(const struct reference_clock *clock, uint64_t (*read_tsc)(void), uint64_t *hz)
{
    struct instant begin, now;
    uint64_t elapsed = 0, wanted = clock->hz / PER_SECOND;
    int reads_left = READS_MAX;
    uint32_t before = clock->read(clock->context) & clock->mask;
    if (!wait_for_change(clock, read_tsc, before, &reads_left, &begin))
        return false;
    for (now = begin; elapsed < wanted; elapsed += (now.count - before) & clock->mask) {
        before = now.count;
        if (!wait_for_change(clock, read_tsc, before, &reads_left, &now))
            return false;
    }
    // The product fits: seconds of a TSC below 2^35 Hz, times a clock of up to 2^30 Hz.
    *hz = (now.tsc - begin.tsc) * clock->hz / elapsed;
    return true;
}

status_t calibrate_tsc(const struct reference_clock *clock, uint64_t (*read_tsc)(void),
                       uint64_t *hz, struct explanation *why)
{
    uint64_t lowest = 0, highest = 0;
    for (int try = 0; try < TRIES; try++) {
        uint64_t sum = 0;
        for (int i = 0; i < MEASUREMENTS; i++) {
            uint64_t result;
            if (!measure(clock, read_tsc, &result))
                return explain(why, STATUS_NOT_FOUND, "%s stands still: not used", clock->name);
            lowest = i ? MIN(lowest, result) : result;
            highest = i ? MAX(highest, result) : result;
            sum += result;
        }
        uint64_t middle = sum - lowest - highest;
        if (highest - lowest > middle / SPREAD_DIVISOR)
            continue;
        if (middle < TSC_HZ_LOWEST || middle > TSC_HZ_HIGHEST)
            return explain(why, STATUS_RANGE, "%s gives the TSC %lu Hz: not used", clock->name,
                           middle);
        *hz = middle;
        return STATUS_OK;
    }
    return explain(why, STATUS_INVALID, "%s and the TSC disagree (%lu to %lu Hz): not used",
                   clock->name, lowest, highest);
}
