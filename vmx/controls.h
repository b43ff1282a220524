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
    WORD_EXIT,
    WORD_SECONDARY_EXIT,
    WORD_ENTRY,
    CONTROL_WORDS,
};

#define PIN_EXTERNAL_INTERRUPT_EXITING BIT32(0)
#define PIN_NMI_EXITING                BIT32(3)
#define PIN_VIRTUAL_NMIS               BIT32(5)
#define PIN_PREEMPTION_TIMER           BIT32(6)
#define PIN_POSTED_INTERRUPTS          BIT32(7)

#define PRIMARY_INTERRUPT_WINDOW_EXITING BIT32(2)
#define PRIMARY_TSC_OFFSETTING           BIT32(3)
#define PRIMARY_HLT_EXITING              BIT32(7)
#define PRIMARY_INVLPG_EXITING           BIT32(9)
#define PRIMARY_MWAIT_EXITING            BIT32(10)
#define PRIMARY_RDPMC_EXITING            BIT32(11)
#define PRIMARY_RDTSC_EXITING            BIT32(12)
#define PRIMARY_CR3_LOAD_EXITING         BIT32(15)
#define PRIMARY_CR3_STORE_EXITING        BIT32(16)
#define PRIMARY_TERTIARY_CONTROLS        BIT32(17)
#define PRIMARY_CR8_LOAD_EXITING         BIT32(19)
#define PRIMARY_CR8_STORE_EXITING        BIT32(20)
#define PRIMARY_TPR_SHADOW               BIT32(21)
#define PRIMARY_NMI_WINDOW_EXITING       BIT32(22)
#define PRIMARY_MOV_DR_EXITING           BIT32(23)
#define PRIMARY_UNCONDITIONAL_IO_EXITING BIT32(24)
#define PRIMARY_IO_BITMAPS               BIT32(25)
#define PRIMARY_MONITOR_TRAP_FLAG        BIT32(27)
#define PRIMARY_MSR_BITMAPS              BIT32(28)
#define PRIMARY_MONITOR_EXITING          BIT32(29)
#define PRIMARY_PAUSE_EXITING            BIT32(30)
#define PRIMARY_SECONDARY_CONTROLS       BIT32(31)

#define SECONDARY_VIRTUALIZE_APIC_ACCESSES   BIT32(0)
#define SECONDARY_EPT                        BIT32(1)
#define SECONDARY_DESCRIPTOR_TABLE_EXITING   BIT32(2)
#define SECONDARY_RDTSCP                     BIT32(3)
#define SECONDARY_VIRTUALIZE_X2APIC          BIT32(4)
#define SECONDARY_VPID                       BIT32(5)
#define SECONDARY_WBINVD_EXITING             BIT32(6)
#define SECONDARY_UNRESTRICTED_GUEST         BIT32(7)
#define SECONDARY_APIC_REGISTER              BIT32(8)
#define SECONDARY_VIRTUAL_INTERRUPT_DELIVERY BIT32(9)
#define SECONDARY_PAUSE_LOOP_EXITING         BIT32(10)
#define SECONDARY_RDRAND_EXITING             BIT32(11)
#define SECONDARY_INVPCID                    BIT32(12)
#define SECONDARY_VM_FUNCTIONS               BIT32(13)
#define SECONDARY_VMCS_SHADOWING             BIT32(14)
#define SECONDARY_ENCLS_EXITING              BIT32(15)
#define SECONDARY_RDSEED_EXITING             BIT32(16)
#define SECONDARY_PML                        BIT32(17)
#define SECONDARY_EPT_VIOLATION_VE           BIT32(18)
#define SECONDARY_CONCEAL_FROM_PT            BIT32(19)
#define SECONDARY_XSAVES                     BIT32(20)
#define SECONDARY_PASID_TRANSLATION          BIT32(21)
#define SECONDARY_MODE_BASED_EXECUTE         BIT32(22)
#define SECONDARY_SUB_PAGE_WRITE             BIT32(23)
#define SECONDARY_PT_GUEST_PHYSICAL          BIT32(24)
#define SECONDARY_TSC_SCALING                BIT32(25)
#define SECONDARY_USER_WAIT                  BIT32(26)
#define SECONDARY_PCONFIG                    BIT32(27)
#define SECONDARY_ENCLV_EXITING              BIT32(28)
#define SECONDARY_BUS_LOCK_DETECTION         BIT32(30)
#define SECONDARY_INSTRUCTION_TIMEOUT        BIT32(31)

#define TERTIARY_LOADIWKEY_EXITING         BIT(0)
#define TERTIARY_HLAT                      BIT(1)
#define TERTIARY_EPT_PAGING_WRITE          BIT(2)
#define TERTIARY_GUEST_PAGING_VERIFICATION BIT(3)
#define TERTIARY_IPI_VIRTUALIZATION        BIT(4)
#define TERTIARY_MSR_LIST                  BIT(6)
#define TERTIARY_VIRTUALIZE_SPEC_CTRL      BIT(7)

#define VMEXIT_SAVE_DEBUG_CONTROLS   BIT32(2)
#define VMEXIT_HOST_64_BIT           BIT32(9) // "host address-space size"
#define VMEXIT_LOAD_PERF_GLOBAL_CTRL BIT32(12)
#define VMEXIT_ACKNOWLEDGE_INTERRUPT BIT32(15)
#define VMEXIT_SAVE_PAT              BIT32(18)
#define VMEXIT_LOAD_PAT              BIT32(19)
#define VMEXIT_SAVE_EFER             BIT32(20)
#define VMEXIT_LOAD_EFER             BIT32(21)
#define VMEXIT_SAVE_PREEMPTION_TIMER BIT32(22)
#define VMEXIT_CLEAR_BNDCFGS         BIT32(23)
#define VMEXIT_CONCEAL_FROM_PT       BIT32(24)
#define VMEXIT_CLEAR_RTIT_CTL        BIT32(25)
#define VMEXIT_CLEAR_LBR_CTL         BIT32(26)
#define VMEXIT_CLEAR_UINV            BIT32(27)
#define VMEXIT_LOAD_CET              BIT32(28)
#define VMEXIT_LOAD_PKRS             BIT32(29)
#define VMEXIT_SAVE_PERF_GLOBAL_CTRL BIT32(30)
#define VMEXIT_SECONDARY_CONTROLS    BIT32(31)

#define VMEXIT2_SAVE_FRED          BIT(0)
#define VMEXIT2_LOAD_FRED          BIT(1)
#define VMEXIT2_SHADOW_STACK_FIXUP BIT(3)

#define VMENTRY_LOAD_DEBUG_CONTROLS   BIT32(2)
#define VMENTRY_IA32E_GUEST           BIT32(9)
#define VMENTRY_SMM                   BIT32(10)
#define VMENTRY_DEACTIVATE_DUAL_MODE  BIT32(11)
#define VMENTRY_LOAD_PERF_GLOBAL_CTRL BIT32(13)
#define VMENTRY_LOAD_PAT              BIT32(14)
#define VMENTRY_LOAD_EFER             BIT32(15)
#define VMENTRY_LOAD_BNDCFGS          BIT32(16)
#define VMENTRY_CONCEAL_FROM_PT       BIT32(17)
#define VMENTRY_LOAD_RTIT_CTL         BIT32(18)
#define VMENTRY_LOAD_UINV             BIT32(19)
#define VMENTRY_LOAD_CET              BIT32(20)
#define VMENTRY_LOAD_LBR_CTL          BIT32(21)
#define VMENTRY_LOAD_PKRS             BIT32(22)
#define VMENTRY_LOAD_FRED             BIT32(23)

// IA32_VMX_BASIC
#define BASIC_REVISION       BITS(30, 0)
#define BASIC_SIZE           BITS(44, 32)
#define BASIC_32_BIT_ADDRESS BIT(48)
#define BASIC_DUAL_MONITOR   BIT(49)
#define BASIC_MEMORY_TYPE    BITS(53, 50)
#define BASIC_INS_OUTS       BIT(54)
#define BASIC_TRUE_CONTROLS  BIT(55)
#define BASIC_ANY_ERROR_CODE                                                                       \
    BIT(56) // hardware exceptions may be injected with or without an error code
#define BASIC_NESTED_EXCEPTION BIT(58)

// IA32_VMX_MISC
#define MISC_TIMER_RATE            BITS(4, 0) // the preemption timer counts when this bit of the TSC changes
#define MISC_STORES_LMA            BIT(5)
#define MISC_ACTIVITY_HLT          BIT(6)
#define MISC_ACTIVITY_SHUTDOWN     BIT(7)
#define MISC_ACTIVITY_WAIT_SIPI    BIT(8)
#define MISC_PT_IN_VMX             BIT(14)
#define MISC_SMBASE_MSR            BIT(15)
#define MISC_CR3_TARGETS           BITS(24, 16)
#define MISC_MSR_LIST              BITS(27, 25) // 512 * (this + 1) entries are safe
#define MISC_SMM_MONITOR_CTL       BIT(28)
#define MISC_VMWRITE_ANY           BIT(29)
#define MISC_ZERO_LENGTH_INJECTION BIT(30)

// IA32_VMX_EPT_VPID_CAP
#define EPT_EXECUTE_ONLY         BIT(0)
#define EPT_4_LEVEL              BIT(6)
#define EPT_5_LEVEL              BIT(7)
#define EPT_UC                   BIT(8)
#define EPT_WB                   BIT(14)
#define EPT_2M                   BIT(16)
#define EPT_1G                   BIT(17)
#define EPT_INVEPT               BIT(20)
#define EPT_ACCESSED_DIRTY       BIT(21)
#define EPT_ADVANCED_EXIT_INFO   BIT(22)
#define EPT_SUPERVISOR_SHADOW    BIT(23)
#define EPT_INVEPT_SINGLE        BIT(25)
#define EPT_INVEPT_ALL           BIT(26)
#define VPID_INVVPID             BIT(32)
#define VPID_INVVPID_ADDRESS     BIT(40)
#define VPID_INVVPID_SINGLE      BIT(41)
#define VPID_INVVPID_ALL         BIT(42)
#define VPID_INVVPID_KEEP_GLOBAL BIT(43)

// IA32_FEATURE_CONTROL
#define FEATURE_CONTROL_LOCK       BIT(0)
#define FEATURE_CONTROL_VMX_IN_SMX BIT(1)
#define FEATURE_CONTROL_VMX        BIT(2) // outside SMX

// The manual's name of a control ("NMI exiting"), or NULL for a bit that has none (`bit` from 0 to
// 63).
const char *control_name(enum control_word word, unsigned bit);

// The name of a word ("pin-based").
const char *control_word_name(enum control_word word);

// The name of a bit of IA32_VMX_EPT_VPID_CAP, or NULL.
const char *ept_vpid_name(unsigned bit);
