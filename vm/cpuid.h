// What a VM's guests read with CPUID. Computed once from the host's own leaves (vm/cpuid.c holds the policy table);
// the exit handler then looks leaves up.
#pragma once

#include "lib/status.h"

struct cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES 96

// A list of leaves as one CPU (host or guest) reports them.
struct cpuid_leaves {
    unsigned count;
    struct cpuid_leaf leaf[CPUID_LEAVES];
};

struct cpuid_policy {
    struct cpuid_leaves leaves;
};
