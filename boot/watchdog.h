// The watchdog over VMs that ask for one (`watchdog = SECONDS`).
#pragma once

#include "lib/bits.h"

// Looks at the VMs once a second, and says in the log which of them show no life. CPU 0, between
// slices; `now` is the host TSC.
void watchdog_attend(uint64_t now);
