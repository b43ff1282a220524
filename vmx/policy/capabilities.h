// What one CPU, or all CPUs together, can do in VMX operation. The machine half reads the MSRs and
// a little of CPUID into `raw`; everything else is computed here, so that it can be tested with the
// values of any CPU. SDM: appendix "VMX Capability Reporting Facility".
#pragma once

#include "vmx/policy/controls.h"

#define MSR_FEATURE_CONTROL UINT32_C(0x3a)

// The capability MSRs: our name for each, and the manual's.
// clang-format off
#define VMX_CAPABILITY_MSRS(MSR) \
    MSR(0x480, BASIC, "IA32_VMX_BASIC") \
    MSR(0x481, PIN, "IA32_VMX_PINBASED_CTLS") \
    MSR(0x482, PRIMARY, "IA32_VMX_PROCBASED_CTLS") \
    MSR(0x483, EXIT, "IA32_VMX_EXIT_CTLS") \
    MSR(0x484, ENTRY, "IA32_VMX_ENTRY_CTLS") \
    MSR(0x485, MISC, "IA32_VMX_MISC") \
    MSR(0x486, CR0_FIXED0, "IA32_VMX_CR0_FIXED0") \
    MSR(0x487, CR0_FIXED1, "IA32_VMX_CR0_FIXED1") \
    MSR(0x488, CR4_FIXED0, "IA32_VMX_CR4_FIXED0") \
    MSR(0x489, CR4_FIXED1, "IA32_VMX_CR4_FIXED1") \
    MSR(0x48a, VMCS_ENUM, "IA32_VMX_VMCS_ENUM") \
    MSR(0x48b, SECONDARY, "IA32_VMX_PROCBASED_CTLS2") \
    MSR(0x48c, EPT_VPID_CAP, "IA32_VMX_EPT_VPID_CAP") \
    MSR(0x48d, TRUE_PIN, "IA32_VMX_TRUE_PINBASED_CTLS") \
    MSR(0x48e, TRUE_PRIMARY, "IA32_VMX_TRUE_PROCBASED_CTLS") \
    MSR(0x48f, TRUE_EXIT, "IA32_VMX_TRUE_EXIT_CTLS") \
    MSR(0x490, TRUE_ENTRY, "IA32_VMX_TRUE_ENTRY_CTLS") \
    MSR(0x491, VMFUNC, "IA32_VMX_VMFUNC") \
    MSR(0x492, TERTIARY, "IA32_VMX_PROCBASED_CTLS3") \
    MSR(0x493, SECONDARY_EXIT, "IA32_VMX_EXIT_CTLS2")
// clang-format on

#define MSR_NUMBER(number, name, text) MSR_VMX_##name = (number),
enum vmx_msr { VMX_CAPABILITY_MSRS(MSR_NUMBER) };

#define VMX_MSR_FIRST MSR_VMX_BASIC
#define VMX_MSRS      20

// As read on one CPU. MSRs that the CPU does not have stay 0.
struct vmx_raw {
    uint64_t msr[VMX_MSRS]; // at [number - VMX_MSR_FIRST]
    uint64_t feature_control;
    uint32_t signature;    // CPUID.1:EAX
    bool vmx;              // CPUID.1:ECX.VMX
    bool hypervisor;       // CPUID.1:ECX bit 31: another hypervisor is below us
    bool long_mode;        // CPUID.80000001H:EDX
    bool no_execute;       // CPUID.80000001H:EDX
    uint8_t physical_bits; // MAXPHYADDR, CPUID.80000008H:EAX[7:0]
    uint8_t linear_bits;   // CPUID.80000008H:EAX[15:8]: 48 or 57
};

// The settings that a control word allows: a bit of `must` has to be 1, a bit outside `may` has to
// be 0.
struct control_range {
    uint64_t must;
    uint64_t may;
};

struct vmx_capabilities {
    struct vmx_raw raw; // of the intersection: what holds on every CPU
    struct control_range control[CONTROL_WORDS];
    // bits fixed in VMX operation (before the exceptions for an unrestricted guest)
    struct control_range cr0;
    struct control_range cr4;
    uint32_t revision;
    bool same_revision; // false in an intersection: a VMCS cannot move between all CPUs
    bool same_timer;    // false in an intersection: the preemption timers count at different rates
    uint8_t timer_rate; // the timer counts once in 2^timer_rate TSC ticks
    uint16_t cr3_targets;
    uint32_t msr_list_limit; // entries in an MSR area
};

static inline uint64_t vmx_msr(const struct vmx_capabilities *capabilities, enum vmx_msr number)
{
    return capabilities->raw.msr[number - VMX_MSR_FIRST];
}

// Whether firmware lets VMX be used: IA32_FEATURE_CONTROL allows it, or is not locked yet.
static inline bool capabilities_usable(const struct vmx_raw *raw)
{
    return !(raw->feature_control & FEATURE_CONTROL_LOCK) ||
           (raw->feature_control & FEATURE_CONTROL_VMX);
}

// Whether an MSR of 0x480..0x493 exists according to those before it: the order of reading is
// ascending, and each one asks what is already in `raw`. On an emulated CPU the absence of #GP
// proves nothing.
bool capabilities_msr_exists(const struct vmx_raw *raw, enum vmx_msr number);

// Computes everything outside `raw` from it.
void capabilities_decode(struct vmx_capabilities *capabilities);

// Narrows `all` (decoded) to what `one` (decoded) can do as well.
void capabilities_intersect(struct vmx_capabilities *all, const struct vmx_capabilities *one);

// Whether the bits `controls` of a word may be 1.
static inline bool capabilities_allow(const struct vmx_capabilities *capabilities,
                                      enum control_word word, uint64_t controls)
{
    return (capabilities->control[word].may & controls) == controls;
}

// Whether the CPU has all of these bits of IA32_VMX_EPT_VPID_CAP.
static inline bool capabilities_ept_vpid(const struct vmx_capabilities *capabilities, uint64_t bits)
{
    return (vmx_msr(capabilities, MSR_VMX_EPT_VPID_CAP) & bits) == bits;
}
