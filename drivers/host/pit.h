// Channel 2 of the 8254 timer, as a clock of the last resort: the one channel whose gate is ours
// and whose output interrupts nobody.
#pragma once

#include "drivers/host/calibrate.h"

#define PIT_HZ 1193182U

// Starts the channel (speaker off) and makes it a reference clock of 16 bits: it must be read at
// least every 50 ms.
void pit_clock(struct reference_clock *clock);

// Stops the channel again.
void pit_stop(void);
