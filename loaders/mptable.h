// The tables of the MultiProcessor Specification, for kernels that know no ACPI.
#pragma once

#include "loaders/loading.h"

// Writes the floating pointer at BIOS_ROM, where kernels scan for it, and the configuration table
// behind it. The vCPUs must have their apic_id, and the VM its CPUID policy.
void mptable_write(struct loading *loading);
