// Which controls and features Corbel uses on these CPUs: the control words by one formula, (want |
// must) & may; what is optional, and what takes its place where it is missing. What is required
// stands in required.h. Called once at boot with the intersection over all CPUs. SDM: "VM-Execution
// Control Fields" and its siblings.
#pragma once

#include "lib/status.h"
#include "vm/trap.h"
#include "vmx/capabilities.h"

// What Corbel uses if the CPUs have it. The order is that of the report.
enum vmx_feature {
    FEATURE_PREEMPTION_TIMER,
    FEATURE_VIRTUAL_NMIS,
    FEATURE_VPID,
    FEATURE_INVVPID_SINGLE,
    FEATURE_INVEPT_SINGLE,
    FEATURE_EPT_AD,
    FEATURE_1G,
    FEATURE_TPR_SHADOW,
    FEATURE_PLE,
    FEATURE_RDTSCP,
    FEATURE_INVPCID,
    FEATURE_XSAVES,
    FEATURE_USER_WAIT,
    FEATURE_WBINVD_EXITING,
    FEATURE_APIC_ACCESS,
    FEATURE_X2APIC_VIRT,
    FEATURE_APIC_REGISTER,
    FEATURE_VIRTUAL_INTERRUPTS,
    FEATURE_POSTED_INTERRUPTS,
    VMX_FEATURES,
};

#define FEATURE(feature) (UINT32_C(1) << (feature))

struct feature_row {
    const char *option;   // the word of `features=` ("vpid")
    const char *name;     // in a report
    const char *fallback; // what takes its place
    enum control_word word;
    uint64_t controls; // of that word
    uint64_t ept_vpid; // bits of IA32_VMX_EPT_VPID_CAP
    uint32_t depends;  // on other features
};

extern const struct feature_row feature_row[VMX_FEATURES];

// What every VMCS of ours sets. Optional features add to it.
extern const uint64_t choice_base[CONTROL_WORDS];

struct vmx_choice {
    uint64_t word[CONTROL_WORDS]; // as written to the VMCS of a vCPU at its first entry
    uint32_t features;            // FEATURE() bits in use
    uint32_t available;           // ... that the CPUs have
    uint32_t switched_off;        // ... that the option took away though the CPUs have them
    uint32_t requested;           // ... that the option asked for by name
    unsigned missing;             // required_missing(): 0 if Corbel can run here
};

// The features that are used where they exist and no option says otherwise: all but TPAUSE and its
// kin.
uint32_t choice_default(void);

// Reads the option `features=`: names with a leading '-' (off) or '+' or nothing (on), separated by
// commas, applied to `wanted` (start with choice_default()) and collected in `requested` when on.
// "all" is choice_default(). STATUS_NOT_FOUND: no such word.
MUST_CHECK status_t choice_parse(const char *option, uint32_t *wanted, uint32_t *requested,
                                 struct explanation *why);

// Chooses for CPUs with these capabilities out of `wanted` features. choice->missing says whether
// they suffice.
void choice_make(struct vmx_choice *choice, const struct vmx_capabilities *capabilities,
                 uint32_t wanted, uint32_t requested);

// The secondary controls that virtualize a local APIC in this mode, beside those of `word`.
// `accepts`: software has enabled it, so that it takes interrupts.
uint64_t choice_apic(const struct vmx_choice *choice, bool enabled, bool x2apic, bool accepts);

// Adds to the words of a VM's vCPUs the exits of a mask of vm/trap.h. STATUS_UNSUPPORTED: the CPUs
// have no control for one of them, and the mask does not say that it may be left out.
MUST_CHECK status_t choice_trap(uint64_t word[CONTROL_WORDS],
                                const struct vmx_capabilities *capabilities, uint32_t traps,
                                struct explanation *why);

static inline bool choice_uses(const struct vmx_choice *choice, enum vmx_feature feature)
{
    return choice->features & FEATURE(feature);
}
