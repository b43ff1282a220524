// A watchdog for our own CPUs: one that gets nowhere in root operation ends in a panic that shows
// where it is. CPU 0 watches the others, the next one watches CPU 0; one alone is not watched.
#pragma once

#include "lib/bits.h"

// A CPU that gets nowhere for so many seconds panics. Once all CPUs are started.
void host_watch_init(unsigned seconds);

// Between slices, on each CPU. Returns the host TSC at which it wants to be called again there.
uint64_t host_watch(unsigned cpu);
