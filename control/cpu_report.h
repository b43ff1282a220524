// What this machine's CPUs can do and what Corbel uses of it: shown at boot and by the monitor.
#pragma once

#include "lib/print.h"

// The short form, or the whole table.
void cpu_report(struct printer *to, bool whole);
