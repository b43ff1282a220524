// The names of MSRs, for people. SDM volume 4; KVM's by Linux's Documentation/virt/kvm/x86/msr.rst.
#pragma once

#include "lib/bits.h"

struct msr_name {
    uint32_t msr;
    const char *name;
};

extern const struct msr_name msr_names[];
extern const unsigned msr_name_count;

// NULL: it has none here.
const char *msr_name(uint32_t msr);
