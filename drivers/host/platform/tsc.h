// The frequency of the TSC, measured against a timer that exists; and waiting by it. CPUID's own
// figures are not used: under emulation they lie.
#pragma once

#include "drivers/host/acpi/acpi.h"

// Measures, against the PM timer, else the HPET mapped at `hpet` (NULL: none), else the PIT.
// Returns the frequency in Hz, or 0 if no timer works (waits then assume a fast CPU, and may be
// long). `line` says what was used, or what was wrong. About 30 ms.
uint64_t tsc_calibrate(const struct acpi_info *acpi, volatile void *hpet, struct explanation *line);

// Waits at least `microseconds` (up to a minute), without sleeping.
void tsc_wait(uint32_t microseconds);
