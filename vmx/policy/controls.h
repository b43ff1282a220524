// The bits of the VMX control words and of the capability MSRs that describe them, and the names of
// the controls. SDM: "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control
// Fields", appendix "VMX Capability Reporting Facility".
#pragma once

#include "lib/bits.h"

// The words of control bits. The two 64-bit words have no bits that must be 1.
enum control_word {
    WORD_PIN,
    WORD_PRIMARY,
    WORD_SECONDARY,
    WORD_TERTIARY,
    WORD_VMEXIT,
    WORD_VMEXIT2,
    WORD_VMENTRY,
    CONTROL_WORDS,
};

// Each control: its word, its bit and the name of its mask (PIN_NMI_EXITING), the manual's name.
// clang-format off
#define VMX_CONTROLS(CONTROL) \
    CONTROL(PIN, 0, EXTERNAL_INTERRUPT_EXITING, "external-interrupt exiting") \
    CONTROL(PIN, 3, NMI_EXITING, "NMI exiting") \
    CONTROL(PIN, 5, VIRTUAL_NMIS, "virtual NMIs") \
    CONTROL(PIN, 6, PREEMPTION_TIMER, "VMX-preemption timer") \
    CONTROL(PIN, 7, POSTED_INTERRUPTS, "process posted interrupts") \
    CONTROL(PRIMARY, 2, INTERRUPT_WINDOW_EXITING, "interrupt-window exiting") \
    CONTROL(PRIMARY, 3, TSC_OFFSETTING, "TSC offsetting") \
    CONTROL(PRIMARY, 7, HLT_EXITING, "HLT exiting") \
    CONTROL(PRIMARY, 9, INVLPG_EXITING, "INVLPG exiting") \
    CONTROL(PRIMARY, 10, MWAIT_EXITING, "MWAIT exiting") \
    CONTROL(PRIMARY, 11, RDPMC_EXITING, "RDPMC exiting") \
    CONTROL(PRIMARY, 12, RDTSC_EXITING, "RDTSC exiting") \
    CONTROL(PRIMARY, 15, CR3_LOAD_EXITING, "CR3-load exiting") \
    CONTROL(PRIMARY, 16, CR3_STORE_EXITING, "CR3-store exiting") \
    CONTROL(PRIMARY, 17, TERTIARY_CONTROLS, "activate tertiary controls") \
    CONTROL(PRIMARY, 19, CR8_LOAD_EXITING, "CR8-load exiting") \
    CONTROL(PRIMARY, 20, CR8_STORE_EXITING, "CR8-store exiting") \
    CONTROL(PRIMARY, 21, TPR_SHADOW, "TPR shadow") \
    CONTROL(PRIMARY, 22, NMI_WINDOW_EXITING, "NMI-window exiting") \
    CONTROL(PRIMARY, 23, MOV_DR_EXITING, "MOV-DR exiting") \
    CONTROL(PRIMARY, 24, UNCONDITIONAL_IO_EXITING, "unconditional I/O exiting") \
    CONTROL(PRIMARY, 25, IO_BITMAPS, "I/O bitmaps") \
    CONTROL(PRIMARY, 27, MONITOR_TRAP_FLAG, "monitor trap flag") \
    CONTROL(PRIMARY, 28, MSR_BITMAPS, "MSR bitmaps") \
    CONTROL(PRIMARY, 29, MONITOR_EXITING, "MONITOR exiting") \
    CONTROL(PRIMARY, 30, PAUSE_EXITING, "PAUSE exiting") \
    CONTROL(PRIMARY, 31, SECONDARY_CONTROLS, "activate secondary controls") \
    CONTROL(SECONDARY, 0, VIRTUALIZE_APIC_ACCESSES, "virtualize APIC accesses") \
    CONTROL(SECONDARY, 1, EPT, "EPT") \
    CONTROL(SECONDARY, 2, DESCRIPTOR_TABLE_EXITING, "descriptor-table exiting") \
    CONTROL(SECONDARY, 3, RDTSCP, "RDTSCP") \
    CONTROL(SECONDARY, 4, VIRTUALIZE_X2APIC, "virtualize x2APIC mode") \
    CONTROL(SECONDARY, 5, VPID, "VPID") \
    CONTROL(SECONDARY, 6, WBINVD_EXITING, "WBINVD exiting") \
    CONTROL(SECONDARY, 7, UNRESTRICTED_GUEST, "unrestricted guest") \
    CONTROL(SECONDARY, 8, APIC_REGISTER, "APIC-register virtualization") \
    CONTROL(SECONDARY, 9, VIRTUAL_INTERRUPT_DELIVERY, "virtual-interrupt delivery") \
    CONTROL(SECONDARY, 10, PAUSE_LOOP_EXITING, "PAUSE-loop exiting") \
    CONTROL(SECONDARY, 11, RDRAND_EXITING, "RDRAND exiting") \
    CONTROL(SECONDARY, 12, INVPCID, "INVPCID") \
    CONTROL(SECONDARY, 13, VM_FUNCTIONS, "VM functions") \
    CONTROL(SECONDARY, 14, VMCS_SHADOWING, "VMCS shadowing") \
    CONTROL(SECONDARY, 15, ENCLS_EXITING, "ENCLS exiting") \
    CONTROL(SECONDARY, 16, RDSEED_EXITING, "RDSEED exiting") \
    CONTROL(SECONDARY, 17, PML, "PML") \
    CONTROL(SECONDARY, 18, EPT_VIOLATION_VE, "EPT-violation #VE") \
    CONTROL(SECONDARY, 19, CONCEAL_FROM_PT, "conceal VMX from PT") \
    CONTROL(SECONDARY, 20, XSAVES, "XSAVES/XRSTORS") \
    CONTROL(SECONDARY, 21, PASID_TRANSLATION, "PASID translation") \
    CONTROL(SECONDARY, 22, MODE_BASED_EXECUTE, "mode-based execute control for EPT") \
    CONTROL(SECONDARY, 23, SUB_PAGE_WRITE, "sub-page write permissions for EPT") \
    CONTROL(SECONDARY, 24, PT_GUEST_PHYSICAL, "PT uses guest physical addresses") \
    CONTROL(SECONDARY, 25, TSC_SCALING, "TSC scaling") \
    CONTROL(SECONDARY, 26, USER_WAIT, "user wait and pause") \
    CONTROL(SECONDARY, 27, PCONFIG, "PCONFIG") \
    CONTROL(SECONDARY, 28, ENCLV_EXITING, "ENCLV exiting") \
    CONTROL(SECONDARY, 30, BUS_LOCK_DETECTION, "VMM bus-lock detection") \
    CONTROL(SECONDARY, 31, INSTRUCTION_TIMEOUT, "instruction timeout") \
    CONTROL(TERTIARY, 0, LOADIWKEY_EXITING, "LOADIWKEY exiting") \
    CONTROL(TERTIARY, 1, HLAT, "HLAT") \
    CONTROL(TERTIARY, 2, EPT_PAGING_WRITE, "EPT paging-write control") \
    CONTROL(TERTIARY, 3, GUEST_PAGING_VERIFICATION, "guest-paging verification") \
    CONTROL(TERTIARY, 4, IPI_VIRTUALIZATION, "IPI virtualization") \
    CONTROL(TERTIARY, 6, MSR_LIST, "MSR-list instructions") \
    CONTROL(TERTIARY, 7, VIRTUALIZE_SPEC_CTRL, "virtualize IA32_SPEC_CTRL") \
    CONTROL(VMEXIT, 2, SAVE_DEBUG_CONTROLS, "save debug controls") \
    CONTROL(VMEXIT, 9, HOST_64_BIT, "host address-space size") \
    CONTROL(VMEXIT, 12, LOAD_PERF_GLOBAL_CTRL, "load IA32_PERF_GLOBAL_CTRL") \
    CONTROL(VMEXIT, 15, ACKNOWLEDGE_INTERRUPT, "acknowledge interrupt on exit") \
    CONTROL(VMEXIT, 18, SAVE_PAT, "save IA32_PAT") \
    CONTROL(VMEXIT, 19, LOAD_PAT, "load IA32_PAT") \
    CONTROL(VMEXIT, 20, SAVE_EFER, "save IA32_EFER") \
    CONTROL(VMEXIT, 21, LOAD_EFER, "load IA32_EFER") \
    CONTROL(VMEXIT, 22, SAVE_PREEMPTION_TIMER, "save VMX-preemption timer value") \
    CONTROL(VMEXIT, 23, CLEAR_BNDCFGS, "clear IA32_BNDCFGS") \
    CONTROL(VMEXIT, 24, CONCEAL_FROM_PT, "conceal VMX from PT") \
    CONTROL(VMEXIT, 25, CLEAR_RTIT_CTL, "clear IA32_RTIT_CTL") \
    CONTROL(VMEXIT, 26, CLEAR_LBR_CTL, "clear IA32_LBR_CTL") \
    CONTROL(VMEXIT, 27, CLEAR_UINV, "clear UINV") \
    CONTROL(VMEXIT, 28, LOAD_CET, "load CET state") \
    CONTROL(VMEXIT, 29, LOAD_PKRS, "load PKRS") \
    CONTROL(VMEXIT, 30, SAVE_PERF_GLOBAL_CTRL, "save IA32_PERF_GLOBAL_CTRL") \
    CONTROL(VMEXIT, 31, SECONDARY_CONTROLS, "activate secondary controls") \
    CONTROL(VMEXIT2, 0, SAVE_FRED, "save IA32_FRED") \
    CONTROL(VMEXIT2, 1, LOAD_FRED, "load IA32_FRED") \
    CONTROL(VMEXIT2, 3, SHADOW_STACK_FIXUP, "prematurely busy shadow stack") \
    CONTROL(VMENTRY, 2, LOAD_DEBUG_CONTROLS, "load debug controls") \
    CONTROL(VMENTRY, 9, IA32E_GUEST, "IA-32e mode guest") \
    CONTROL(VMENTRY, 10, SMM, "entry to SMM") \
    CONTROL(VMENTRY, 11, DEACTIVATE_DUAL_MODE, "deactivate dual-monitor treatment") \
    CONTROL(VMENTRY, 13, LOAD_PERF_GLOBAL_CTRL, "load IA32_PERF_GLOBAL_CTRL") \
    CONTROL(VMENTRY, 14, LOAD_PAT, "load IA32_PAT") \
    CONTROL(VMENTRY, 15, LOAD_EFER, "load IA32_EFER") \
    CONTROL(VMENTRY, 16, LOAD_BNDCFGS, "load IA32_BNDCFGS") \
    CONTROL(VMENTRY, 17, CONCEAL_FROM_PT, "conceal VMX from PT") \
    CONTROL(VMENTRY, 18, LOAD_RTIT_CTL, "load IA32_RTIT_CTL") \
    CONTROL(VMENTRY, 19, LOAD_UINV, "load UINV") \
    CONTROL(VMENTRY, 20, LOAD_CET, "load CET state") \
    CONTROL(VMENTRY, 21, LOAD_LBR_CTL, "load guest IA32_LBR_CTL") \
    CONTROL(VMENTRY, 22, LOAD_PKRS, "load PKRS") \
    CONTROL(VMENTRY, 23, LOAD_FRED, "load IA32_FRED")

// The bits of IA32_VMX_EPT_VPID_CAP.
#define EPT_VPID_CAPABILITIES(CAPABILITY) \
    CAPABILITY(0, EPT_EXECUTE_ONLY, "execute-only pages") \
    CAPABILITY(6, EPT_4_LEVEL, "4-level walk") \
    CAPABILITY(7, EPT_5_LEVEL, "5-level walk") \
    CAPABILITY(8, EPT_UC, "UC structures") \
    CAPABILITY(14, EPT_WB, "WB structures") \
    CAPABILITY(16, EPT_2M, "2M pages") \
    CAPABILITY(17, EPT_1G, "1G pages") \
    CAPABILITY(20, EPT_INVEPT, "INVEPT") \
    CAPABILITY(21, EPT_ACCESSED_DIRTY, "accessed and dirty flags") \
    CAPABILITY(22, EPT_ADVANCED_EXIT_INFO, "advanced exit information") \
    CAPABILITY(23, EPT_SUPERVISOR_SHADOW, "supervisor shadow-stack control") \
    CAPABILITY(25, EPT_INVEPT_SINGLE, "INVEPT single-context") \
    CAPABILITY(26, EPT_INVEPT_ALL, "INVEPT all-context") \
    CAPABILITY(32, VPID_INVVPID, "INVVPID") \
    CAPABILITY(40, VPID_INVVPID_ADDRESS, "INVVPID individual-address") \
    CAPABILITY(41, VPID_INVVPID_SINGLE, "INVVPID single-context") \
    CAPABILITY(42, VPID_INVVPID_ALL, "INVVPID all-context") \
    CAPABILITY(43, VPID_INVVPID_KEEP_GLOBAL, "INVVPID single-context but globals")
// clang-format on

#define CONTROL_MASK(word, bit, name, text) word##_##name = BIT32(bit),
enum control_mask { VMX_CONTROLS(CONTROL_MASK) };
#define CAPABILITY_MASK(bit, name, text) name = BIT(bit),
enum ept_vpid_mask { EPT_VPID_CAPABILITIES(CAPABILITY_MASK) };

// IA32_VMX_BASIC
#define BASIC_REVISION       BITS(30, 0)
#define BASIC_SIZE           BITS(44, 32)
#define BASIC_32_BIT_ADDRESS BIT(48)
#define BASIC_MEMORY_TYPE    BITS(53, 50)
#define BASIC_INS_OUTS       BIT(54)
#define BASIC_TRUE_CONTROLS  BIT(55)
// hardware exceptions may be injected with or without an error code
#define BASIC_ANY_ERROR_CODE BIT(56)

// IA32_VMX_MISC
#define MISC_TIMER_RATE            BITS(4, 0) // the preemption timer counts when this bit of the TSC changes
#define MISC_STORES_LMA            BIT(5)
#define MISC_ACTIVITY_HLT          BIT(6)
#define MISC_ACTIVITY_SHUTDOWN     BIT(7)
#define MISC_ACTIVITY_WAIT_SIPI    BIT(8)
#define MISC_CR3_TARGETS           BITS(24, 16)
#define MISC_MSR_LIST              BITS(27, 25) // 512 * (this + 1) entries are safe
#define MISC_ZERO_LENGTH_INJECTION BIT(30)

// IA32_FEATURE_CONTROL
#define FEATURE_CONTROL_LOCK BIT(0)
#define FEATURE_CONTROL_VMX  BIT(2) // outside SMX

// What every VMCS of ours sets. Optional features add to it (vmcs_config.h).
extern const uint64_t controls_always[CONTROL_WORDS];

// The manual's name of a control ("NMI exiting"), or NULL for a bit that has none (`bit` from 0 to
// 63).
const char *control_name(enum control_word word, unsigned bit);

// The name of a word ("pin-based").
const char *control_word_name(enum control_word word);

// The name of a bit of IA32_VMX_EPT_VPID_CAP, or NULL.
const char *ept_vpid_name(unsigned bit);

// Lets guests with this MSR bitmap access an MSR without an exit. It has four parts: reads and
// writes of 0..1FFF and of C0000000..C0001FFF; a clear bit passes through.
static inline void msr_bitmap_pass(uint8_t *bitmap, uint32_t index, bool is_write)
{
    uint32_t part = (is_write ? 2048 : 0) + (index >= 0xc0000000 ? 1024 : 0);
    uint32_t bit = index & 0x1fff;
    bitmap[part + bit / 8] &= (uint8_t)~BIT(bit % 8);
}
