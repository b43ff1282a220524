// The part of the CPUID policy that is a table. For vm/cpuid.c alone.
#pragma once

#include "vm/cpuid.h"

// Appends a leaf. It keeps counting when the list is full; cpuid_build() looks at the count at the
// end.
void cpuid_add(struct cpuid_leaves *leaves, struct cpuid_leaf leaf);

// Appends the leaves of the table, as the host, the machine half and vms.conf leave them.
void cpuid_add_ruled(struct cpuid_leaves *leaves, const struct cpuid_leaves *host,
                     const struct cpuid_inputs *inputs);
