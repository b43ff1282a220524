// The VM-entry checker: the guest's control registers, MSRs, tables, RIP, RFLAGS and PDPTEs. An
// entry that breaks one of these exits with reason 33. SDM: "Checks on Guest Control Registers,
// Debug Registers, and MSRs", "Checks on Guest Descriptor-Table Registers", "Checks on Guest RIP,
// RFLAGS, and SSP", "Checks on Guest Page-Directory-Pointer-Table Entries".

#include "vmx/check/check.h"
#include "vmx/check/check_rules.h"

// LBR, BTF, bus-lock detection, and 6 to 15. SDM: "IA32_DEBUGCTL MSR".
#define DEBUGCTL_KNOWN (BITS(15, 6) | BITS(2, 0))

static void check_control_registers(struct check *check, bool ia32e)
{
    uint64_t cr0 = field(check, VMCS_GUEST_CR0), cr4 = field(check, VMCS_GUEST_CR4);
    // Entries do not load CD and NW, and an unrestricted guest may switch off protection and
    // paging.
    uint64_t free_bits = CR0_CD | CR0_NW;
    if (check_uses(check, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST))
        free_bits |= CR0_PE | CR0_PG;
    check_fixed(check, VMCS_GUEST_CR0, check->capabilities->cr0, free_bits);
    check_fixed(check, VMCS_GUEST_CR4, check->capabilities->cr4, 0);
    check_that(check, !(cr0 & CR0_PG) || (cr0 & CR0_PE), VMCS_GUEST_CR0, "PG is 1 while PE is 0");
    check_that(check, !(cr4 & CR4_CET) || (cr0 & CR0_WP), VMCS_GUEST_CR4,
               "CET is 1 while CR0.WP is 0");
    check_that(check, !ia32e || (cr0 & CR0_PG), VMCS_GUEST_CR0, "PG is 0 in an IA-32e mode guest");
    check_that(check, !ia32e || (cr4 & CR4_PAE), VMCS_GUEST_CR4,
               "PAE is 0 in an IA-32e mode guest");
    check_that(check, ia32e || !(cr4 & CR4_PCIDE), VMCS_GUEST_CR4,
               "PCIDE is 1 outside IA-32e mode");
    check_physical(check, VMCS_GUEST_CR3, 0);
}

static void check_guest_msrs(struct check *check, bool ia32e)
{
    uint64_t entry = check_word(check, WORD_VMENTRY);
    if (entry & VMENTRY_LOAD_DEBUG_CONTROLS) {
        check_zero(check, VMCS_GUEST_DEBUGCTL, ~DEBUGCTL_KNOWN, "reserved bits are not 0");
        check_zero(check, VMCS_GUEST_DR7, BITS(63, 32), "bits 63:32 are not 0");
    }
    check_canonical(check, VMCS_GUEST_SYSENTER_ESP);
    check_canonical(check, VMCS_GUEST_SYSENTER_EIP);
    if (entry & VMENTRY_LOAD_PERF_GLOBAL_CTRL)
        check_perf_global(check, VMCS_GUEST_PERF_GLOBAL_CTRL);
    if (entry & VMENTRY_LOAD_PAT)
        check_pat(check, VMCS_GUEST_PAT);
    if (entry & VMENTRY_LOAD_EFER) {
        bool lma = check_efer(check, VMCS_GUEST_EFER);
        bool lme = field(check, VMCS_GUEST_EFER) & EFER_LME;
        check_that(check, lma == ia32e, VMCS_GUEST_EFER,
                   "LMA is not that of the control \"IA-32e mode guest\"");
        check_that(check, !(field(check, VMCS_GUEST_CR0) & CR0_PG) || lma == lme, VMCS_GUEST_EFER,
                   "LMA is not LME while CR0.PG is 1");
    }
    if (entry & VMENTRY_LOAD_BNDCFGS) {
        check_zero(check, VMCS_GUEST_BNDCFGS, BITS(11, 2), "reserved bits 11:2 are not 0");
        check_canonical(check, VMCS_GUEST_BNDCFGS);
    }
    if (entry & VMENTRY_LOAD_CET) {
        check_s_cet(check, VMCS_GUEST_S_CET);
        check_canonical(check, VMCS_GUEST_INTERRUPT_SSP_TABLE);
    }
    if (entry & VMENTRY_LOAD_PKRS)
        check_pkrs(check, VMCS_GUEST_PKRS);
    if (entry & VMENTRY_LOAD_UINV)
        check_zero(check, VMCS_GUEST_UINV, BITS(15, 8), "bits 15:8 are not 0");
}

static void check_tables(struct check *check)
{
    check_canonical(check, VMCS_GUEST_GDTR_BASE);
    check_canonical(check, VMCS_GUEST_IDTR_BASE);
    check_zero(check, VMCS_GUEST_GDTR_LIMIT, BITS(31, 16), "bits 31:16 are not 0");
    check_zero(check, VMCS_GUEST_IDTR_LIMIT, BITS(31, 16), "bits 31:16 are not 0");
}

// RIP and SSP: of 32 bits outside 64-bit mode; in it the bits above the linear-address width are
// all the same (the one below them may differ: a guest may run off the edge).
static void check_linear(struct check *check, uint32_t at, bool is_64bit)
{
    uint64_t value = field(check, at);
    uint64_t high = value >> check->capabilities->raw.linear_bits;
    uint64_t ones = UINT64_MAX >> check->capabilities->raw.linear_bits;
    if (is_64bit)
        check_that(check, high == 0 || high == ones, at, "address is not canonical");
    else
        check_that(check, !(value >> 32), at, "bits 63:32 are not 0 outside 64-bit mode");
}

static void check_flow(struct check *check, bool ia32e)
{
    uint64_t flags = field(check, VMCS_GUEST_RFLAGS);
    uint64_t injected = field(check, VMCS_ENTRY_INTERRUPTION_INFORMATION);
    bool is_64bit = ia32e && (field(check, VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_LONG);

    check_linear(check, VMCS_GUEST_RIP, is_64bit);
    if (check_uses(check, WORD_VMENTRY, VMENTRY_LOAD_CET)) {
        check_linear(check, VMCS_GUEST_SSP, is_64bit);
        check_zero(check, VMCS_GUEST_SSP, 3, "bits 1:0 are not 0");
    }
    check_zero(check, VMCS_GUEST_RFLAGS, BITS(63, 22) | BIT(15) | BIT(5) | BIT(3),
               "reserved bits are not 0");
    check_that(check, flags & RFLAGS_FIXED, VMCS_GUEST_RFLAGS, "bit 1 is 0");
    check_that(check, !(flags & RFLAGS_VM) || (!ia32e && (field(check, VMCS_GUEST_CR0) & CR0_PE)),
               VMCS_GUEST_RFLAGS, "VM is 1 in IA-32e mode or while CR0.PE is 0");
    bool external = (injected & EVENT_VALID) && FIELD_GET(EVENT_TYPE, injected) == EVENT_EXTERNAL;
    check_that(check, !external || (flags & RFLAGS_IF), VMCS_GUEST_RFLAGS,
               "IF is 0, but an external interrupt is injected");
}

static void check_pdptes(struct check *check, bool ia32e)
{
    if (!(field(check, VMCS_GUEST_CR0) & CR0_PG) || !(field(check, VMCS_GUEST_CR4) & CR4_PAE) ||
        ia32e || !check_uses(check, WORD_SECONDARY, SECONDARY_EPT))
        return;
    uint64_t beyond = ~UINT64_C(0) << check->capabilities->raw.physical_bits;
    for (uint32_t at = VMCS_GUEST_PDPTE_0; at <= VMCS_GUEST_PDPTE_3; at += 2) {
        uint64_t entry = field(check, at);
        check_that(check, !(entry & BIT(0)) || !(entry & (BITS(2, 1) | BITS(8, 5) | beyond)), at,
                   "reserved bits of a present entry are not 0");
    }
}

void check_guest(struct check *check)
{
    bool ia32e = check_uses(check, WORD_VMENTRY, VMENTRY_IA32E_GUEST);
    check_control_registers(check, ia32e);
    check_guest_msrs(check, ia32e);
    check_segments(check);
    check_tables(check);
    check_flow(check, ia32e);
    check_interruptibility(check);
    check_pdptes(check, ia32e);
}
