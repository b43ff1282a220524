// The clocks of a PC that the TSC can be measured against, best first.
#pragma once

#include "drivers/host/acpi/acpi.h"
#include "drivers/host/time/calibrate.h"

// The ACPI power-management timer: a counter of 24 or 32 bits at 3579545 Hz that always runs.
// Returns false if ACPI names none, or one that is not a port or in the first 4 GiB (taken as
// mapped where it is). `acpi` must outlive the clock.
bool pmtimer_clock(const struct acpi_info *acpi, struct reference_clock *clock);

// Starts the main counter of the HPET mapped (uncacheable) at `base`, without its interrupts.
// Returns false if there is no sensible HPET.
bool hpet_clock(volatile void *base, struct reference_clock *clock);

// The clock of the last resort: channel 2 of the 8254, the one whose gate is ours and whose output
// interrupts nobody. Starts it (speaker off): 16 bits, to be read at least every 50 ms; and stops
// it again.
void pit_clock(struct reference_clock *clock);
void pit_stop(void);
