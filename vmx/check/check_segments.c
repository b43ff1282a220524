// The VM-entry checker: the guest's segment registers. An entry that breaks one of these exits with
// reason 33. SDM: "Checks on Guest Segment Registers".

#include "vmx/check/check.h"
#include "vmx/check/check_rules.h"

struct guest_mode {
    bool virtual_8086;
    bool ia32e;
    bool unrestricted;
    bool protected_mode;
};

#define AR_RESERVED_LOW  UINT64_C(0xf00)
#define AR_RESERVED_HIGH BITS(31, 17)

#define TYPE_ACCESSED   1
#define TYPE_READABLE   2 // of code; writable of data
#define TYPE_CONFORMING 4 // of code; expand-down of data
#define TYPE_CODE       8

static uint64_t access_rights(const struct check *check, unsigned segment)
{
    return field(check, VMCS_GUEST_ACCESS_RIGHTS(segment));
}

static bool is_usable(const struct check *check, unsigned segment)
{
    return !(access_rights(check, segment) & AR_UNUSABLE);
}

static uint64_t type_of(const struct check *check, unsigned segment)
{
    return access_rights(check, segment) & AR_TYPE;
}

static uint64_t dpl_of(const struct check *check, unsigned segment)
{
    return FIELD_GET(AR_DPL, access_rights(check, segment));
}

static uint64_t rpl_of(const struct check *check, unsigned segment)
{
    return field(check, VMCS_GUEST_SELECTOR(segment)) & 3;
}

// Of ES, CS, SS, DS, FS, GS in virtual-8086 mode nothing is free but the selector.
static void check_virtual_8086(struct check *check)
{
    for (unsigned s = ES; s <= GS; s++) {
        uint64_t selector = field(check, VMCS_GUEST_SELECTOR(s));
        check_that(check, field(check, VMCS_GUEST_BASE(s)) == selector << 4, VMCS_GUEST_BASE(s),
                   "is not the selector * 16 in virtual-8086 mode");
        check_that(check, field(check, VMCS_GUEST_LIMIT(s)) == 0xffff, VMCS_GUEST_LIMIT(s),
                   "is not ffff in virtual-8086 mode");
        check_that(check, access_rights(check, s) == 0xf3, VMCS_GUEST_ACCESS_RIGHTS(s),
                   "are not f3 in virtual-8086 mode");
    }
}

static void check_selectors(struct check *check, const struct guest_mode *mode)
{
    const uint64_t table_indicator = 4;
    check_zero(check, VMCS_GUEST_TR_SELECTOR, table_indicator, "TI is not 0");
    if (is_usable(check, LDTR))
        check_zero(check, VMCS_GUEST_LDTR_SELECTOR, table_indicator, "TI is not 0");
    if (!mode->virtual_8086 && !mode->unrestricted)
        check_that(check, rpl_of(check, SS) == rpl_of(check, CS), VMCS_GUEST_SS_SELECTOR,
                   "RPL is not that of CS (no unrestricted guest)");
}

static void check_bases(struct check *check)
{
    check_canonical(check, VMCS_GUEST_TR_BASE);
    check_canonical(check, VMCS_GUEST_FS_BASE);
    check_canonical(check, VMCS_GUEST_GS_BASE);
    if (is_usable(check, LDTR))
        check_canonical(check, VMCS_GUEST_LDTR_BASE);
    for (unsigned s = ES; s <= DS; s++)
        if (s == CS || is_usable(check, s))
            check_zero(check, VMCS_GUEST_BASE(s), BITS(63, 32), "bits 63:32 are not 0");
}

// What holds for every usable segment: present, reserved bits, and a limit that its granularity can
// express.
static void check_common(struct check *check, unsigned segment)
{
    uint32_t at = VMCS_GUEST_ACCESS_RIGHTS(segment);
    uint64_t access = field(check, at), limit = field(check, VMCS_GUEST_LIMIT(segment));
    bool granular = access & AR_GRANULAR;
    check_that(check, access & AR_PRESENT, at, "P is 0");
    check_that(check, !(access & (AR_RESERVED_LOW | AR_RESERVED_HIGH)), at,
               "reserved bits 11:8 or 31:17 are not 0");
    check_that(check, !granular || (limit & 0xfff) == 0xfff, at,
               "G is 1, but the limit does not end in fff");
    check_that(check, granular || !(limit & BITS(31, 20)), at,
               "G is 0, but the limit is above fffff");
}

static void check_cs(struct check *check, const struct guest_mode *mode)
{
    const uint32_t at = VMCS_GUEST_CS_ACCESS_RIGHTS;
    uint64_t type = type_of(check, CS), dpl = dpl_of(check, CS), ss_dpl = dpl_of(check, SS);
    bool is_code = (type & TYPE_CODE) && (type & TYPE_ACCESSED);
    bool is_data = mode->unrestricted && type == (TYPE_READABLE | TYPE_ACCESSED);

    check_common(check, CS);
    check_that(check, is_code || is_data, at,
               mode->unrestricted ? "type is not 9, 11, 13, 15 or 3"
                                  : "type is not 9, 11, 13 or 15 (no unrestricted guest)");
    check_that(check, access_rights(check, CS) & AR_CODE_DATA, at, "S is 0");
    if (type == 3)
        check_that(check, dpl == 0, at, "DPL is not 0 with type 3");
    else if (is_code && !(type & TYPE_CONFORMING))
        check_that(check, dpl == ss_dpl, at, "DPL of non-conforming code is not that of SS");
    else if (is_code)
        check_that(check, dpl <= ss_dpl, at, "DPL of conforming code is above that of SS");
    check_that(check,
               !mode->ia32e || (access_rights(check, CS) & (AR_LONG | AR_DB)) != (AR_LONG | AR_DB),
               at, "L and D/B are both 1 in IA-32e mode");
}

static void check_ss(struct check *check, const struct guest_mode *mode)
{
    const uint32_t at = VMCS_GUEST_SS_ACCESS_RIGHTS;
    uint64_t type = type_of(check, SS), dpl = dpl_of(check, SS);
    if (is_usable(check, SS)) {
        check_common(check, SS);
        check_that(check, type == 3 || type == 7, at, "type is not 3 or 7");
        check_that(check, access_rights(check, SS) & AR_CODE_DATA, at, "S is 0");
    }
    if (!mode->unrestricted)
        check_that(check, dpl == rpl_of(check, SS), at,
                   "DPL is not the selector's RPL (no unrestricted guest)");
    check_that(check, dpl == 0 || type_of(check, CS) != 3, at, "DPL is not 0 with CS of type 3");
    check_that(check, dpl == 0 || mode->protected_mode, at, "DPL is not 0 while CR0.PE is 0");
}

static void check_data(struct check *check, const struct guest_mode *mode, unsigned segment)
{
    uint32_t at = VMCS_GUEST_ACCESS_RIGHTS(segment);
    uint64_t type = type_of(check, segment);
    if (!is_usable(check, segment))
        return;
    check_common(check, segment);
    check_that(check, type & TYPE_ACCESSED, at, "type is not accessed");
    check_that(check, !(type & TYPE_CODE) || (type & TYPE_READABLE), at,
               "type is code that is not readable");
    check_that(check, access_rights(check, segment) & AR_CODE_DATA, at, "S is 0");
    if (!mode->unrestricted && type <= 11)
        check_that(check, dpl_of(check, segment) >= rpl_of(check, segment), at,
                   "DPL is below the selector's RPL (no unrestricted guest)");
}

static void check_system(struct check *check, const struct guest_mode *mode)
{
    uint64_t tr = type_of(check, TR);
    check_common(check, TR);
    check_that(check, tr == 11 || (tr == 3 && !mode->ia32e), VMCS_GUEST_TR_ACCESS_RIGHTS,
               mode->ia32e ? "type is not 11 (busy 64-bit TSS)" : "type is not 3 or 11 (busy TSS)");
    check_that(check, !(access_rights(check, TR) & AR_CODE_DATA), VMCS_GUEST_TR_ACCESS_RIGHTS,
               "S is 1");
    check_that(check, is_usable(check, TR), VMCS_GUEST_TR_ACCESS_RIGHTS, "is unusable");
    if (!is_usable(check, LDTR))
        return;
    check_common(check, LDTR);
    check_that(check, type_of(check, LDTR) == 2, VMCS_GUEST_LDTR_ACCESS_RIGHTS,
               "type is not 2 (LDT)");
    check_that(check, !(access_rights(check, LDTR) & AR_CODE_DATA), VMCS_GUEST_LDTR_ACCESS_RIGHTS,
               "S is 1");
}

void check_segments(struct check *check)
{
    struct guest_mode mode = {
        .virtual_8086 = field(check, VMCS_GUEST_RFLAGS) & RFLAGS_VM,
        .ia32e = check_uses(check, WORD_VMENTRY, VMENTRY_IA32E_GUEST),
        .unrestricted = check_uses(check, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST),
        .protected_mode = field(check, VMCS_GUEST_CR0) & CR0_PE,
    };
    check_selectors(check, &mode);
    check_bases(check);
    if (mode.virtual_8086) {
        check_virtual_8086(check);
    } else {
        check_cs(check, &mode);
        check_ss(check, &mode);
        check_data(check, &mode, ES);
        check_data(check, &mode, DS);
        check_data(check, &mode, FS);
        check_data(check, &mode, GS);
    }
    check_system(check, &mode);
}
