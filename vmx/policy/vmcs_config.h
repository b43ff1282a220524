// Which controls and features Corbel uses on these CPUs: the control words by one formula, (want |
// must) & may; what is optional, and what takes its place where it is missing. What is required
// stands in required.h. Called once at boot with the intersection over all CPUs. SDM: "VM-Execution
// Control Fields" and its siblings.
#pragma once

#include "lib/status.h"
#include "vm/traits.h"
#include "vmx/policy/capabilities.h"

struct cpuid_policy;

struct feature_row {
    const char *option;   // the word of `features=` ("vpid")
    const char *name;     // in a report
    const char *fallback; // what takes its place
    enum control_word word;
    uint64_t controls; // of that word
    uint64_t ept_vpid; // bits of IA32_VMX_EPT_VPID_CAP
    uint32_t depends;  // on other features
};

// What Corbel uses if the CPUs have it, in the order of the report: our name and the fields above.
// clang-format off
#define VMX_FEATURE_ROWS(ROW) \
    ROW(PREEMPTION_TIMER, "preemption_timer", "VMX-preemption timer", \
        "slices end by the local APIC timer", \
        .word = WORD_PIN, .controls = PIN_PREEMPTION_TIMER) \
    ROW(VIRTUAL_NMIS, "vnmi", "virtual NMIs", "NMI blocking of the guest is tracked in software", \
        .word = WORD_PIN, .controls = PIN_VIRTUAL_NMIS) \
    ROW(VPID, "vpid", "VPID", "every entry and exit flushes the TLB", \
        .word = WORD_SECONDARY, .controls = SECONDARY_VPID, \
        .ept_vpid = VPID_INVVPID | VPID_INVVPID_ALL) \
    ROW(INVVPID_SINGLE, "invvpid_single", "INVVPID single-context", "all VPIDs are flushed", \
        .ept_vpid = VPID_INVVPID_SINGLE, .depends = FEATURE(FEATURE_VPID)) \
    ROW(INVEPT_SINGLE, "invept_single", "INVEPT single-context", "INVEPT flushes all VMs", \
        .ept_vpid = EPT_INVEPT_SINGLE) \
    ROW(EPT_AD, "ept_ad", "EPT accessed and dirty flags", \
        "pages that a guest writes are found by protecting them", \
        .ept_vpid = EPT_ACCESSED_DIRTY) \
    ROW(PML, "pml", "page-modification logging", \
        "pages that a guest wrote are looked for", \
        .word = WORD_SECONDARY, .controls = SECONDARY_PML, \
        .depends = FEATURE(FEATURE_EPT_AD)) \
    ROW(1G, "1g", "EPT 1G pages", "guest memory is mapped by 2M pages", \
        .ept_vpid = EPT_1G) \
    ROW(TPR_SHADOW, "tpr_shadow", "TPR shadow", "each MOV to and from CR8 exits", \
        .word = WORD_PRIMARY, .controls = PRIMARY_TPR_SHADOW) \
    ROW(PLE, "ple", "PAUSE-loop exiting", "a spinning vCPU runs to the end of its slice", \
        .word = WORD_SECONDARY, .controls = SECONDARY_PAUSE_LOOP_EXITING) \
    ROW(RDTSCP, "rdtscp", "RDTSCP in guests", "hidden from guests", \
        .word = WORD_SECONDARY, .controls = SECONDARY_RDTSCP) \
    ROW(INVPCID, "invpcid", "INVPCID in guests", "hidden from guests", \
        .word = WORD_SECONDARY, .controls = SECONDARY_INVPCID) \
    ROW(XSAVES, "xsaves", "XSAVES in guests", "hidden from guests", \
        .word = WORD_SECONDARY, .controls = SECONDARY_XSAVES) \
    ROW(USER_WAIT, "user_wait", "TPAUSE, UMONITOR, UMWAIT in guests", "hidden from guests", \
        .word = WORD_SECONDARY, .controls = SECONDARY_USER_WAIT) \
    ROW(WBINVD_EXITING, "wbinvd", "WBINVD exiting", "guests flush the host's caches themselves", \
        .word = WORD_SECONDARY, .controls = SECONDARY_WBINVD_EXITING) \
    ROW(BUS_LOCK, "bus_lock", "VMM bus-lock detection", "guests may lock the bus at no charge", \
        .word = WORD_SECONDARY, .controls = SECONDARY_BUS_LOCK_DETECTION) \
    ROW(APIC_ACCESS, "apic_access", "virtualize APIC accesses", "xAPIC accesses are emulated", \
        .word = WORD_SECONDARY, .controls = SECONDARY_VIRTUALIZE_APIC_ACCESSES, \
        .depends = FEATURE(FEATURE_TPR_SHADOW)) \
    ROW(X2APIC_VIRT, "x2apic_virt", "virtualize x2APIC mode", "x2APIC accesses exit", \
        .word = WORD_SECONDARY, .controls = SECONDARY_VIRTUALIZE_X2APIC, \
        .depends = FEATURE(FEATURE_TPR_SHADOW)) \
    ROW(APIC_REGISTER, "apicv", "APIC-register virtualization", "reads of the local APIC exit", \
        .word = WORD_SECONDARY, .controls = SECONDARY_APIC_REGISTER, \
        .depends = FEATURE(FEATURE_TPR_SHADOW)) \
    ROW(VIRTUAL_INTERRUPTS, "vid", "virtual-interrupt delivery", \
        "interrupts are injected, EOIs exit", \
        .word = WORD_SECONDARY, .controls = SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, \
        .depends = FEATURE(FEATURE_TPR_SHADOW)) \
    ROW(POSTED_INTERRUPTS, "posted", "posted interrupts", "a remote vCPU is made to exit", \
        .word = WORD_PIN, .controls = PIN_POSTED_INTERRUPTS, \
        .depends = FEATURE(FEATURE_VIRTUAL_INTERRUPTS))
// clang-format on

#define FEATURE_ENUMERATOR(name, ...) FEATURE_##name,
enum vmx_feature { VMX_FEATURE_ROWS(FEATURE_ENUMERATOR) VMX_FEATURES };

#define FEATURE(feature) (UINT32_C(1) << (feature))

extern const struct feature_row feature_row[VMX_FEATURES];

struct vmcs_config {
    uint64_t word[CONTROL_WORDS]; // as written to the VMCS of a vCPU at its first entry
    uint32_t features;            // FEATURE() bits in use
    uint32_t available;           // ... that the CPUs have
    uint32_t switched_off;        // ... that the option took away though the CPUs have them
    uint32_t requested;           // ... that the option asked for by name
    unsigned missing;             // required_missing(): 0 if Corbel can run here
};

// The features that are used where they exist and no option says otherwise: all but TPAUSE and its
// kin.
uint32_t vmcs_config_default(void);

// Reads the option `features=`: names with a leading '-' (off) or '+' or nothing (on), separated by
// commas, applied to `wanted` (start with vmcs_config_default()) and collected in `requested` when
// on. "all" is vmcs_config_default(). STATUS_NOT_FOUND: no such word.
MUST_CHECK status_t vmcs_config_parse(const char *option, uint32_t *wanted, uint32_t *requested,
                                      struct explanation *why);

// Chooses for CPUs with these capabilities out of `wanted` features. config->missing says whether
// they suffice.
void vmcs_config_make(struct vmcs_config *config, const struct vmx_capabilities *capabilities,
                      uint32_t wanted, uint32_t requested);

// The secondary controls that virtualize a local APIC in this mode, beside those of `word`.
// `accepts`: software has enabled it, so that it takes interrupts.
uint64_t vmcs_config_apic(const struct vmcs_config *config, bool enabled, bool x2apic,
                          bool accepts);

// Adds to the words of a VM's vCPUs the exits of a mask of TRAP_ bits. STATUS_UNSUPPORTED:
// the CPUs have no control for one of them, and the mask does not say that it may be left out.
MUST_CHECK status_t vmcs_config_trap(uint64_t word[CONTROL_WORDS],
                                     const struct vmx_capabilities *capabilities, uint32_t traps,
                                     struct explanation *why);

// Takes from the words of a VM's vCPUs what its CPUID hides: such an instruction is undefined then.
// One that the CPUs have no control for stays.
void vmcs_config_hide(uint64_t word[CONTROL_WORDS], const struct vmx_capabilities *capabilities,
                      const struct cpuid_policy *cpuid);

static inline bool vmcs_config_uses(const struct vmcs_config *config, enum vmx_feature feature)
{
    return config->features & FEATURE(feature);
}
