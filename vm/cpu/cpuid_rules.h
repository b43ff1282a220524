// The part of the CPUID policy that is a table. For vm/cpu/cpuid.c alone.
#pragma once

#include "vm/cpu/cpuid.h"

// Appends a leaf. It keeps counting when the list is full; cpuid_build() looks at the count at the
// end.
void cpuid_add(struct cpuid_leaves *leaves, struct cpuid_leaf leaf);

// A leaf that was appended, to be changed.
static inline struct cpuid_leaf *cpuid_listed(struct cpuid_leaves *leaves, uint32_t leaf,
                                              uint32_t subleaf)
{
    return (struct cpuid_leaf *)cpuid_find(leaves, leaf, subleaf);
}

// Whether the list announces the feature (a CPUID_BIT).
bool cpuid_lists(const struct cpuid_leaves *leaves, uint32_t feature);

// Appends the leaves of the table, as the host, the machine half and vms.conf leave them.
void cpuid_add_ruled(struct cpuid_leaves *leaves, const struct cpuid_leaves *host,
                     const struct cpuid_inputs *inputs);
