// A vCPU's MSRs. Those that live in the VMCS are fields of struct vcpu; the rest is here: the ones
// that live in the CPU's own registers while the vCPU runs, and the ones that exist in memory only.
#pragma once

#include "vm/cpu/mce.h"

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
    uint64_t mcg_ctl;
    uint64_t mcg_ext_ctl;
    uint64_t mce[MCE_BANKS][MCE_REGISTERS];
    uint64_t umwait_control;
    uint64_t mtrr_default;
    uint64_t mtrr_fixed[MTRR_FIXED];
    uint64_t mtrr_variable[2 * MTRR_VARIABLE]; // base and mask by turns
    uint64_t kvmclock_system;                  // as written: address | enable
    uint64_t kvmclock_wall;
    uint64_t kvm_steal; // likewise
    uint64_t kvm_eoi;
    bool direct; // the VM's CPUID hides no row that is done at a glance
};

struct vcpu;

// What an MSR does when it is read or written. False: #GP(0), and nothing has changed.
typedef bool msr_reader(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now);
typedef bool msr_writer(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now);

// Whether it takes the value.
typedef bool msr_check(const struct vcpu *vcpu, uint32_t index, uint64_t value);

// What the MSR bitmap lets through, because the VMCS or STATE_MSR holds the guest's value while it
// runs, or because the CPU applies the TSC offset itself.
#define PASS_READ  1
#define PASS_WRITE 2
#define PASS_BOTH  3

// One MSR, or a range that behaves alike.
struct msr_row {
    uint32_t first;
    uint32_t width;  // of the range, less one
    uint32_t groups; // STATE_ groups that must be fetched, and are dirty after a write
    // CPUID_BIT of vm/cpu/cpuid.h without which it does not exist; 0: always there
    uint32_t feature;
    uint16_t field; // offset of its uint64_t, or of a range's array, in struct vcpu; 0: none
    // What is done at a glance, as long as the VM's CPUID hides no such row:
    bool direct_read;   // the field, no array, is all that a read looks at
    bool direct_write;  // the writer, which needs no group, is all that a write looks at
    uint8_t pass;       // PASS_: accesses that need no exit
    uint64_t constant;  // what it reads as without a field and a reader
    uint64_t writable;  // bits that a write may set; 0 without a writer: read-only
    msr_check *accepts; // what `writable` cannot say; NULL: nothing
    msr_reader *read;   // instead of the field
    msr_writer *write;  // instead of the field
};

// What exits most comes first; the last row, of the widest range, is that of every MSR that does
// not exist.
extern const struct msr_row msr_rows[];

static inline const struct msr_row *msr_find(uint32_t index)
{
    const struct msr_row *row = msr_rows;
    while (index - row->first > row->width)
        row++;
    return row;
}

// The state after power-on, where all was zero: as firmware leaves it, all memory write-back but
// the VGA window. INIT changes nothing here.
void msr_reset(struct vcpu *vcpu);

// Another state was loaded: in the CPU's own registers goes only what it takes.
void msr_loaded(struct vcpu *vcpu);
