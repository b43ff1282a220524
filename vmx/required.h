// What Corbel cannot do without, and the line for the person whose machine lacks it. Called at boot
// with the intersection over all CPUs, or with one CPU to name it.
#pragma once

#include "lib/status.h"
#include "vmx/capabilities.h"

// Bits over the requirements, from 0 to required_count() - 1, that these CPUs do not meet; 0:
// Corbel can run. Without usable VMX nothing else is looked at.
uint64_t required_missing(const struct vmx_capabilities *capabilities);

unsigned required_count(void);

// Writes the line for a requirement that is not met: what is missing, where that was read, and the
// remedy.
void required_explain(const struct vmx_capabilities *capabilities, unsigned index,
                      struct explanation *line);
