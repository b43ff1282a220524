// A vCPU's MSRs. Those that live in the VMCS are fields of struct vcpu; the rest is here: the ones
// that live in the CPU's own registers while the vCPU runs, and the ones that exist in memory only.
#pragma once

#include "lib/bits.h"

// STATE_MSR: guests read and write these without an exit; the machine half loads and stores them.
struct msr_live {
    uint64_t star;
    uint64_t lstar;
    uint64_t cstar;
    uint64_t fmask;
    uint64_t kernel_gs_base;
    uint64_t tsc_aux;
    uint64_t spec_ctrl;
    uint64_t xss;
};

#define MTRR_VARIABLE 8
#define MTRR_FIXED    11

// In memory only.
struct msr_state {
    uint64_t tsc_adjust;
    uint64_t misc_enable;
    uint64_t mcg_status;
    uint64_t umwait_control;
    uint64_t mtrr_default;
    uint64_t mtrr_fixed[MTRR_FIXED];
    uint64_t mtrr_base[MTRR_VARIABLE];
    uint64_t mtrr_mask[MTRR_VARIABLE];
    uint64_t kvmclock_system; // as written: address | enable
    uint64_t kvmclock_wall;
};
