// What a CPU lets speculation leak, and what Corbel does about it: policy alone, from CPUID and a
// few MSRs. The machine half (vmx/mitigations.c, vmx/enter.asm) does what `actions` says. Names and
// words are those of Linux in /sys/devices/system/cpu/vulnerabilities. SDM: "IA32_ARCH_CAPABILITIES
// MSR", "Speculative Execution Side Channel Mitigations".
#pragma once

#include "lib/print.h"

enum mitigations {
    MITIGATIONS_AUTO, // what applies, as far as the CPU has the means
    MITIGATIONS_OFF,
    MITIGATIONS_FORCE, // everything that the CPU has the means for: to see what it costs
};

// What one CPU says of itself.
struct speculation_facts {
    uint32_t signature;         // CPUID.1:EAX
    uint32_t structured_ebx;    // CPUID.7.0
    uint32_t structured_edx;    // CPUID.7.0
    uint32_t predictors;        // CPUID.7.2:EDX
    uint64_t arch_capabilities; // 0 if there is no such MSR
    uint64_t mcu_opt_ctrl;      // IA32_MCU_OPT_CTRL, 0 if there is none
    bool hypervisor;            // another one is below us
    bool emulated;              // a program that does not speculate
};

// What is to be done on a CPU.
#define MITIGATION_VERW BIT32(0) // before each VM entry: clears buffers
// IBRS is written after each VM exit, the guest's value before an entry
#define MITIGATION_IBRS       BIT32(1)
#define MITIGATION_RSB_FILL   BIT32(2)   // after each VM exit
#define MITIGATION_RSB_ONE    BIT32(3)   // the same where one entry is enough
#define MITIGATION_BHB        BIT32(4)   // after each VM exit: clears the branch history
#define MITIGATION_IBPB       BIT32(5)   // when a CPU goes from one VM to another
#define MITIGATION_L1D_FLUSH  BIT32(6)   // when a CPU's loop gives it to a vCPU
#define MITIGATION_4K         BIT32(7)   // guest code is mapped by pages of 4K alone
#define MITIGATION_TSX_OFF    BIT32(10)  // always: transactions abort
#define MITIGATION_SPEC_CTRL  BIT32(8)   // IA32_SPEC_CTRL is there
#define MITIGATION_CORE       BIT32(9)   // threads of a core run vCPUs of one VM at a time
#define MITIGATIONS_OF_SWITCH BITS(4, 0) // those of the world switch: enter.asm

#define SPEC_CTRL_IBRS      BIT32(0)
#define SPEC_CTRL_STIBP     BIT32(1)
#define SPEC_CTRL_SSBD      BIT32(2)
#define SPEC_CTRL_BHI_DIS_S BIT32(10)

// clang-format off
#define SPECULATION_ISSUES(ISSUE) \
    ISSUE(GDS, "gather_data_sampling") \
    ISSUE(ITS, "indirect_target_selection") \
    ISSUE(ITLB_MULTIHIT, "itlb_multihit") \
    ISSUE(L1TF, "l1tf") \
    ISSUE(MDS, "mds") \
    ISSUE(MELTDOWN, "meltdown") \
    ISSUE(MMIO, "mmio_stale_data") \
    ISSUE(RFDS, "reg_file_data_sampling") \
    ISSUE(RETBLEED, "retbleed") \
    ISSUE(SSB, "spec_store_bypass") \
    ISSUE(SPECTRE_V1, "spectre_v1") \
    ISSUE(SPECTRE_V2, "spectre_v2") \
    ISSUE(SRBDS, "srbds") \
    ISSUE(TAA, "tsx_async_abort")
// clang-format on

#define ISSUE_ENUMERATOR(name, text) ISSUE_##name,
enum speculation_issue { SPECULATION_ISSUES(ISSUE_ENUMERATOR) ISSUES };

struct speculation {
    uint32_t mitigations; // MITIGATION_
    uint32_t spec_ctrl;   // bits that are set in IA32_SPEC_CTRL while Corbel runs
    char text[ISSUES][128];
};

enum speculation_smt { SMT_OFF, SMT_ON, SMT_UNKNOWN };

void speculation_judge(const struct speculation_facts *facts, enum mitigations mode,
                       enum speculation_smt smt, struct speculation *result);

// Whether a line says that something is open.
bool speculation_is_open(const char *text);

// Narrows `all` to what holds on `one` as well: mitigations add up, the worse line stays.
void speculation_merge(struct speculation *all, const struct speculation *one);

// One line an issue, as Linux says it; or, short, what is done and what stays open.
void speculation_report(struct printer *to, const struct speculation *speculation);
void speculation_summary(struct printer *to, const struct speculation *speculation);

// What guests may know of IA32_ARCH_CAPABILITIES, and what holds on two CPUs.
uint64_t speculation_for_guests(uint64_t arch_capabilities);
uint64_t speculation_intersect(uint64_t one, uint64_t other);
