// The MSRs that a vCPU keeps in memory. Those that live in the CPU or the VMCS are not here.
#pragma once

#include "lib/bits.h"

struct msr_state {
    uint64_t tsc_adjust;
};
