// The ACPI power-management timer: a counter of 24 or 32 bits at 3579545 Hz that always runs.
#pragma once

#include "drivers/host/acpi.h"
#include "drivers/host/calibrate.h"

#define PMTIMER_HZ 3579545U

// Makes it a reference clock. Returns false if ACPI names none, or one that is not a port or in the
// first 4 GiB (taken as mapped where it is). `acpi` must outlive the clock.
bool pmtimer_clock(const struct acpi_info *acpi, struct reference_clock *clock);
