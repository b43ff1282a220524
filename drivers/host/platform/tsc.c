// The TSC as a clock: see tsc.h.

#include "drivers/host/platform/tsc.h"
#include "arch/x86_64/tsc.h"
#include "drivers/host/platform/clocks.h"

// Before calibration no slower than any CPU, so that waits are long enough.
#define HZ_ASSUMED UINT64_C(5000000000)

static uint64_t frequency;

static bool measure(const struct reference_clock *clock, struct explanation *line)
{
    struct explanation why;
    if (calibrate_tsc(clock, rdtsc, &frequency, &why) != STATUS_OK) {
        // The last failure stands if nothing works.
        *line = why;
        return false;
    }
    explain(line, STATUS_OK, "%lu kHz, by %s", frequency / 1000, clock->name);
    return true;
}

uint64_t tsc_calibrate(const struct acpi_info *acpi, volatile void *hpet, struct explanation *line)
{
    struct reference_clock clock;
    if (pmtimer_clock(acpi, &clock) && measure(&clock, line))
        return frequency;
    if (hpet != NULL && hpet_clock(hpet, &clock) && measure(&clock, line))
        return frequency;
    pit_clock(&clock);
    measure(&clock, line);
    pit_stop();
    return frequency;
}

void tsc_wait(uint32_t microseconds)
{
    uint64_t hz = frequency != 0 ? frequency : HZ_ASSUMED;
    uint64_t begin = rdtsc();
    uint64_t ticks = (hz / 1000 + 1) * microseconds / 1000;
    while (rdtsc() - begin < ticks)
        pause();
}
