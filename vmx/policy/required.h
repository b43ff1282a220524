// What Corbel cannot do without, and the line for the person whose machine lacks it. Called at boot
// with the intersection over all CPUs, or with one CPU to name it.
#pragma once

#include "lib/print.h"
#include "vmx/policy/capabilities.h"

unsigned required_count(void);

// How many requirements these CPUs do not meet; 0: Corbel can run. A line for each: what is
// missing, where that was read, and the remedy (`to` may be NULL). Without usable VMX nothing else
// is looked at.
unsigned required_missing(const struct vmx_capabilities *capabilities, struct printer *to);
