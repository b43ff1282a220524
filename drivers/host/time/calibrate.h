// Measures the TSC against a clock of known frequency. Pure: both are read through functions, so
// that dead, jumping and wrapping clocks can be tested. Called by tsc.c.
#pragma once

#include "lib/status.h"

struct reference_clock {
    const char *name;
    uint32_t (*read)(void *context); // counts up, wraps at `mask`
    void *context;
    uint64_t hz;   // 1 MHz to 1 GHz
    uint32_t mask; // of the counter's bits: 2^n - 1
};

// Three measurements of 10 ms each must agree to within 1/500 (three tries). On success `*hz` is
// the middle one. STATUS_NOT_FOUND: the clock stands still. STATUS_INVALID: the measurements
// disagree. STATUS_RANGE: less than 10 MHz or more than 20 GHz. Reads the clock a bounded number of
// times.
status_t calibrate_tsc(const struct reference_clock *clock, uint64_t (*read_tsc)(void),
                       uint64_t *hz, struct explanation *why);
