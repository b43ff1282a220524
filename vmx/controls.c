// The names of the VMX controls, in the manual's words. Called by the capability report and by
// dumps. SDM: "VM-Execution Control Fields" and its siblings, appendix "VMX Capability Reporting
// Facility".

#include "vmx/controls.h"

static const char *const word_name[CONTROL_WORDS] = {
    [WORD_PIN] = "pin-based",       [WORD_PRIMARY] = "primary",
    [WORD_SECONDARY] = "secondary", [WORD_TERTIARY] = "tertiary",
    [WORD_EXIT] = "VM-exit",        [WORD_SECONDARY_EXIT] = "secondary VM-exit",
    [WORD_ENTRY] = "VM-entry",
};

static const char *const bit_name[CONTROL_WORDS][32] = {
    [WORD_PIN] =
        {
            [0] = "external-interrupt exiting",
            [3] = "NMI exiting",
            [5] = "virtual NMIs",
            [6] = "VMX-preemption timer",
            [7] = "process posted interrupts",
        },
    [WORD_PRIMARY] =
        {
            [2] = "interrupt-window exiting",
            [3] = "TSC offsetting",
            [7] = "HLT exiting",
            [9] = "INVLPG exiting",
            [10] = "MWAIT exiting",
            [11] = "RDPMC exiting",
            [12] = "RDTSC exiting",
            [15] = "CR3-load exiting",
            [16] = "CR3-store exiting",
            [17] = "activate tertiary controls",
            [19] = "CR8-load exiting",
            [20] = "CR8-store exiting",
            [21] = "TPR shadow",
            [22] = "NMI-window exiting",
            [23] = "MOV-DR exiting",
            [24] = "unconditional I/O exiting",
            [25] = "I/O bitmaps",
            [27] = "monitor trap flag",
            [28] = "MSR bitmaps",
            [29] = "MONITOR exiting",
            [30] = "PAUSE exiting",
            [31] = "activate secondary controls",
        },
    [WORD_SECONDARY] =
        {
            [0] = "virtualize APIC accesses",
            [1] = "EPT",
            [2] = "descriptor-table exiting",
            [3] = "RDTSCP",
            [4] = "virtualize x2APIC mode",
            [5] = "VPID",
            [6] = "WBINVD exiting",
            [7] = "unrestricted guest",
            [8] = "APIC-register virtualization",
            [9] = "virtual-interrupt delivery",
            [10] = "PAUSE-loop exiting",
            [11] = "RDRAND exiting",
            [12] = "INVPCID",
            [13] = "VM functions",
            [14] = "VMCS shadowing",
            [15] = "ENCLS exiting",
            [16] = "RDSEED exiting",
            [17] = "PML",
            [18] = "EPT-violation #VE",
            [19] = "conceal VMX from PT",
            [20] = "XSAVES/XRSTORS",
            [21] = "PASID translation",
            [22] = "mode-based execute control for EPT",
            [23] = "sub-page write permissions for EPT",
            [24] = "PT uses guest physical addresses",
            [25] = "TSC scaling",
            [26] = "user wait and pause",
            [27] = "PCONFIG",
            [28] = "ENCLV exiting",
            [30] = "VMM bus-lock detection",
            [31] = "instruction timeout",
        },
    [WORD_TERTIARY] =
        {
            [0] = "LOADIWKEY exiting",
            [1] = "HLAT",
            [2] = "EPT paging-write control",
            [3] = "guest-paging verification",
            [4] = "IPI virtualization",
            [6] = "MSR-list instructions",
            [7] = "virtualize IA32_SPEC_CTRL",
        },
    [WORD_EXIT] =
        {
            [2] = "save debug controls",
            [9] = "host address-space size",
            [12] = "load IA32_PERF_GLOBAL_CTRL",
            [15] = "acknowledge interrupt on exit",
            [18] = "save IA32_PAT",
            [19] = "load IA32_PAT",
            [20] = "save IA32_EFER",
            [21] = "load IA32_EFER",
            [22] = "save VMX-preemption timer value",
            [23] = "clear IA32_BNDCFGS",
            [24] = "conceal VMX from PT",
            [25] = "clear IA32_RTIT_CTL",
            [26] = "clear IA32_LBR_CTL",
            [27] = "clear UINV",
            [28] = "load CET state",
            [29] = "load PKRS",
            [30] = "save IA32_PERF_GLOBAL_CTRL",
            [31] = "activate secondary controls",
        },
    [WORD_SECONDARY_EXIT] =
        {
            [0] = "save IA32_FRED",
            [1] = "load IA32_FRED",
            [3] = "prematurely busy shadow stack",
        },
    [WORD_ENTRY] =
        {
            [2] = "load debug controls",
            [9] = "IA-32e mode guest",
            [10] = "entry to SMM",
            [11] = "deactivate dual-monitor treatment",
            [13] = "load IA32_PERF_GLOBAL_CTRL",
            [14] = "load IA32_PAT",
            [15] = "load IA32_EFER",
            [16] = "load IA32_BNDCFGS",
            [17] = "conceal VMX from PT",
            [18] = "load IA32_RTIT_CTL",
            [19] = "load UINV",
            [20] = "load CET state",
            [21] = "load guest IA32_LBR_CTL",
            [22] = "load PKRS",
            [23] = "load IA32_FRED",
        },
};

static const char *const ept_vpid_bit_name[64] = {
    [0] = "execute-only pages",
    [6] = "4-level walk",
    [7] = "5-level walk",
    [8] = "UC structures",
    [14] = "WB structures",
    [16] = "2M pages",
    [17] = "1G pages",
    [20] = "INVEPT",
    [21] = "accessed and dirty flags",
    [22] = "advanced exit information",
    [23] = "supervisor shadow-stack control",
    [25] = "INVEPT single-context",
    [26] = "INVEPT all-context",
    [32] = "INVVPID",
    [40] = "INVVPID individual-address",
    [41] = "INVVPID single-context",
    [42] = "INVVPID all-context",
    [43] = "INVVPID single-context but globals",
};

const char *control_name(enum control_word word, unsigned bit)
{
    return bit < ARRAY_LENGTH(bit_name[0]) ? bit_name[word][bit] : NULL;
}

const char *control_word_name(enum control_word word)
{
    return word_name[word];
}

const char *ept_vpid_name(unsigned bit)
{
    return bit < ARRAY_LENGTH(ept_vpid_bit_name) ? ept_vpid_bit_name[bit] : NULL;
}
