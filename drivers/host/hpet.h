// The high-precision event timer, as a clock only: its main counter.
#pragma once

#include "drivers/host/calibrate.h"

// Starts the main counter of the HPET mapped (uncacheable) at `base`, without its interrupts, and
// makes it a reference clock. Returns false if there is no sensible HPET.
bool hpet_clock(volatile void *base, struct reference_clock *clock);
