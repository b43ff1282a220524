// The rules that several areas of the VMCS share, and the line for a field that breaks one. SDM:
// "Checks on VMX Controls and Host-State Area", "Checks on Guest Control Registers, Debug
// Registers, and MSRs".

#include "vmx/check/check_rules.h"

#include "vmx/policy/fields.h"

void check_that(struct check *check, bool holds, uint32_t encoding, const char *rule)
{
    if (holds)
        return;
    check->violations++;
    print_to(check->to, "%s = %0*lx: %s\n", fields_name(encoding), (int)fields_digits(encoding),
             field(check, encoding), rule);
}

void check_zero(struct check *check, uint32_t encoding, uint64_t mask, const char *rule)
{
    check_that(check, !(field(check, encoding) & mask), encoding, rule);
}

void check_physical(struct check *check, uint32_t encoding, uint64_t zero)
{
    check_zero(check, encoding, zero, "address is not aligned");
    check_zero(check, encoding, ~UINT64_C(0) << check->capabilities->raw.physical_bits,
               "address is beyond the physical-address width");
}

void check_canonical(struct check *check, uint32_t encoding)
{
    check_that(check, is_canonical(field(check, encoding), check->capabilities->raw.linear_bits),
               encoding, "address is not canonical");
}

void check_fixed(struct check *check, uint32_t encoding, struct control_range range,
                 uint64_t except)
{
    check_that(check, !(range.must & ~except & ~field(check, encoding)), encoding,
               "a bit that VMX operation fixes to 1 is 0");
    check_zero(check, encoding, ~range.may & ~except, "a bit that VMX operation fixes to 0 is 1");
}

void check_pat(struct check *check, uint32_t encoding)
{
    uint64_t value = field(check, encoding);
    bool valid = true;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(value >> (8 * i));
        valid = valid && (type <= 1 || (type >= 4 && type <= 7));
    }
    check_that(check, valid, encoding,
               "each byte is 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)");
}

void check_perf_global(struct check *check, uint32_t encoding)
{
    // Which counters exist is CPUID's affair; these bits belong to none on any CPU.
    check_zero(check, encoding, BITS(63, 49), "reserved bits are not 0");
}

void check_s_cet(struct check *check, uint32_t encoding)
{
    check_zero(check, encoding, BITS(9, 6), "reserved bits 9:6 are not 0");
    check_that(check, (field(check, encoding) & BITS(11, 10)) != BITS(11, 10), encoding,
               "SUPPRESS (10) and TRACKER (11) are both 1");
    check_canonical(check, encoding);
}

void check_pkrs(struct check *check, uint32_t encoding)
{
    check_zero(check, encoding, BITS(63, 32), "bits 63:32 are not 0");
}

// Returns LMA, about which guest and host have rules of their own.
bool check_efer(struct check *check, uint32_t encoding)
{
    uint64_t known = EFER_SCE | EFER_LME | EFER_LMA;
    if (check->capabilities->raw.no_execute)
        known |= EFER_NXE;
    check_zero(check, encoding, ~known, "reserved bits are not 0");
    return field(check, encoding) & EFER_LMA;
}

const enum vmcs_field check_word_field[CONTROL_WORDS] = {
    [WORD_PIN] = VMCS_PIN_BASED_CONTROLS,       [WORD_PRIMARY] = VMCS_PRIMARY_CONTROLS,
    [WORD_SECONDARY] = VMCS_SECONDARY_CONTROLS, [WORD_TERTIARY] = VMCS_TERTIARY_CONTROLS,
    [WORD_VMEXIT] = VMCS_EXIT_CONTROLS,         [WORD_VMEXIT2] = VMCS_SECONDARY_EXIT_CONTROLS,
    [WORD_VMENTRY] = VMCS_ENTRY_CONTROLS,
};

uint64_t check_word(const struct check *check, enum control_word word)
{
    if ((word == WORD_SECONDARY && !check_uses(check, WORD_PRIMARY, PRIMARY_SECONDARY_CONTROLS)) ||
        (word == WORD_TERTIARY && !check_uses(check, WORD_PRIMARY, PRIMARY_TERTIARY_CONTROLS)) ||
        (word == WORD_VMEXIT2 && !check_uses(check, WORD_VMEXIT, VMEXIT_SECONDARY_CONTROLS)))
        return 0;
    return field(check, check_word_field[word]);
}
