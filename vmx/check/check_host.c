// The VM-entry checker: the host-state area. An entry that breaks one of these fails with
// VM-instruction error 8. SDM: "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host
// Segment and Descriptor-Table Registers", "Checks Related to Address-Space Size".

#include "vmx/check/check.h"
#include "vmx/check/check_rules.h"

static void check_registers(struct check *check)
{
    check_fixed(check, VMCS_HOST_CR0, check->capabilities->cr0, 0);
    check_fixed(check, VMCS_HOST_CR4, check->capabilities->cr4, 0);
    check_that(check,
               !(field(check, VMCS_HOST_CR4) & CR4_CET) || (field(check, VMCS_HOST_CR0) & CR0_WP),
               VMCS_HOST_CR4, "CET is 1 while CR0.WP is 0");
    check_physical(check, VMCS_HOST_CR3, 0);
    check_canonical(check, VMCS_HOST_SYSENTER_ESP);
    check_canonical(check, VMCS_HOST_SYSENTER_EIP);
}

static void check_msrs(struct check *check)
{
    uint64_t exit = check_word(check, WORD_VMEXIT);
    if (exit & VMEXIT_LOAD_PERF_GLOBAL_CTRL)
        check_perf_global(check, VMCS_HOST_PERF_GLOBAL_CTRL);
    if (exit & VMEXIT_LOAD_PAT)
        check_pat(check, VMCS_HOST_PAT);
    if (exit & VMEXIT_LOAD_EFER) {
        bool lma = check_efer(check, VMCS_HOST_EFER);
        bool lme = field(check, VMCS_HOST_EFER) & EFER_LME, wide = exit & VMEXIT_HOST_64_BIT;
        check_that(check, lma == wide && lme == wide, VMCS_HOST_EFER,
                   "LMA and LME are not those of \"host address-space size\"");
    }
    if (exit & VMEXIT_LOAD_CET) {
        check_s_cet(check, VMCS_HOST_S_CET);
        check_canonical(check, VMCS_HOST_INTERRUPT_SSP_TABLE);
        check_canonical(check, VMCS_HOST_SSP);
        check_zero(check, VMCS_HOST_SSP, 3, "bits 1:0 are not 0");
    }
    if (exit & VMEXIT_LOAD_PKRS)
        check_pkrs(check, VMCS_HOST_PKRS);
}

static void check_host_segments(struct check *check)
{
    // ES, CS, SS, DS, FS, GS, TR
    for (uint32_t at = VMCS_HOST_ES_SELECTOR; at <= VMCS_HOST_TR_SELECTOR; at += 2)
        check_zero(check, at, 7, "RPL or TI is not 0");
    check_that(check, field(check, VMCS_HOST_CS_SELECTOR) != 0, VMCS_HOST_CS_SELECTOR, "is null");
    check_that(check, field(check, VMCS_HOST_TR_SELECTOR) != 0, VMCS_HOST_TR_SELECTOR, "is null");
    check_canonical(check, VMCS_HOST_FS_BASE);
    check_canonical(check, VMCS_HOST_GS_BASE);
    check_canonical(check, VMCS_HOST_TR_BASE);
    check_canonical(check, VMCS_HOST_GDTR_BASE);
    check_canonical(check, VMCS_HOST_IDTR_BASE);
}

void check_host(struct check *check)
{
    check_registers(check);
    check_msrs(check);
    check_host_segments(check);
    // We enter from 64-bit mode, and go back to it.
    check_that(check, check_uses(check, WORD_VMEXIT, VMEXIT_HOST_64_BIT), VMCS_EXIT_CONTROLS,
               "\"host address-space size\" is 0, but the CPU is in IA-32e mode");
    check_that(check, field(check, VMCS_HOST_CR4) & CR4_PAE, VMCS_HOST_CR4,
               "PAE is 0, but the host is in IA-32e mode");
    check_canonical(check, VMCS_HOST_RIP);
}
