// The names of CPU features, as /proc/cpuinfo and QEMU spell them, and where CPUID reports each.
// vms.conf's `cpuid` key speaks in these names.
#pragma once

#include "lib/bits.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct cpu_feature {
    const char *name;
    uint32_t leaf;
    uint32_t subleaf;
    enum cpuid_register in;
    uint8_t bit;
};

extern const struct cpu_feature cpu_features[];
extern const unsigned cpu_feature_count;
