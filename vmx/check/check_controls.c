// The VM-entry checker: control fields. An entry that breaks one of these fails with VM-instruction
// error 7. SDM: "Checks on VMX Controls".

#include "vmx/check/check.h"
#include "vmx/check/check_rules.h"

#define PAGE_BITS BITS(11, 0)

static void check_allowed(struct check *check, enum control_word word)
{
    uint64_t value = check_word(check, word);
    struct control_range range = check->capabilities->control[word];
    uint64_t wrong = (value & ~range.may) | (range.must & ~value);
    for (; wrong != 0; wrong &= wrong - 1) {
        unsigned bit = lowest_bit(wrong);
        const char *name = control_name(word, bit);
        char rule[96];
        format_text(rule, sizeof(rule), "bit %u (%s) must be %u on this CPU", bit,
                    name != NULL ? name : "reserved", value >> bit & 1 ? 0 : 1);
        check_that(check, false, check_word_field[word], rule);
    }
}

// Controls that need another one.
// clang-format off
#define NEEDS(word, control, other_word, other) \
    {WORD_##word, word##_##control, WORD_##other_word, other_word##_##other}
// clang-format on
static const struct dependency {
    enum control_word word;
    uint64_t control;
    enum control_word other_word;
    uint64_t other;
} dependencies[] = {
    NEEDS(PIN, VIRTUAL_NMIS, PIN, NMI_EXITING),
    NEEDS(PRIMARY, NMI_WINDOW_EXITING, PIN, VIRTUAL_NMIS),
    NEEDS(SECONDARY, VIRTUALIZE_X2APIC, PRIMARY, TPR_SHADOW),
    NEEDS(SECONDARY, APIC_REGISTER, PRIMARY, TPR_SHADOW),
    NEEDS(SECONDARY, VIRTUAL_INTERRUPT_DELIVERY, PRIMARY, TPR_SHADOW),
    NEEDS(TERTIARY, IPI_VIRTUALIZATION, PRIMARY, TPR_SHADOW),
    NEEDS(SECONDARY, UNRESTRICTED_GUEST, SECONDARY, EPT),
    NEEDS(SECONDARY, PML, SECONDARY, EPT),
    NEEDS(SECONDARY, MODE_BASED_EXECUTE, SECONDARY, EPT),
    NEEDS(SECONDARY, SUB_PAGE_WRITE, SECONDARY, EPT),
    NEEDS(SECONDARY, PT_GUEST_PHYSICAL, SECONDARY, EPT),
    NEEDS(TERTIARY, HLAT, SECONDARY, EPT),
    NEEDS(TERTIARY, EPT_PAGING_WRITE, SECONDARY, EPT),
    NEEDS(TERTIARY, GUEST_PAGING_VERIFICATION, SECONDARY, EPT),
    NEEDS(SECONDARY, VIRTUAL_INTERRUPT_DELIVERY, PIN, EXTERNAL_INTERRUPT_EXITING),
    NEEDS(PIN, POSTED_INTERRUPTS, SECONDARY, VIRTUAL_INTERRUPT_DELIVERY),
    NEEDS(PIN, POSTED_INTERRUPTS, VMEXIT, ACKNOWLEDGE_INTERRUPT),
    NEEDS(SECONDARY, PT_GUEST_PHYSICAL, VMENTRY, LOAD_RTIT_CTL),
    NEEDS(SECONDARY, PT_GUEST_PHYSICAL, VMEXIT, CLEAR_RTIT_CTL),
    NEEDS(VMEXIT, SAVE_PREEMPTION_TIMER, PIN, PREEMPTION_TIMER),
};

static void check_dependencies(struct check *check)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(dependencies); i++) {
        const struct dependency *row = &dependencies[i];
        char rule[128];
        if (!check_uses(check, row->word, row->control) ||
            check_uses(check, row->other_word, row->other))
            continue;
        format_text(rule, sizeof(rule), "\"%s\" needs \"%s\"",
                    control_name(row->word, lowest_bit(row->control)),
                    control_name(row->other_word, lowest_bit(row->other)));
        check_that(check, false, check_word_field[row->word], rule);
    }
    check_that(check,
               !check_uses(check, WORD_SECONDARY, SECONDARY_VIRTUALIZE_X2APIC) ||
                   !check_uses(check, WORD_SECONDARY, SECONDARY_VIRTUALIZE_APIC_ACCESSES),
               VMCS_SECONDARY_CONTROLS,
               "\"virtualize x2APIC mode\" and \"virtualize APIC accesses\" are both 1");
}

// Addresses that are pages, each in use with one control.
static void check_pages(struct check *check)
{
    static const struct {
        enum control_word word;
        uint64_t control;
        enum vmcs_field field;
        uint64_t zero;
    } page[] = {
        {WORD_PRIMARY, PRIMARY_IO_BITMAPS, VMCS_IO_BITMAP_A, PAGE_BITS},
        {WORD_PRIMARY, PRIMARY_IO_BITMAPS, VMCS_IO_BITMAP_B, PAGE_BITS},
        {WORD_PRIMARY, PRIMARY_MSR_BITMAPS, VMCS_MSR_BITMAPS, PAGE_BITS},
        {WORD_PRIMARY, PRIMARY_TPR_SHADOW, VMCS_VIRTUAL_APIC_ADDRESS, PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_VIRTUALIZE_APIC_ACCESSES, VMCS_APIC_ACCESS_ADDRESS, PAGE_BITS},
        {WORD_PIN, PIN_POSTED_INTERRUPTS, VMCS_POSTED_INTERRUPT_DESCRIPTOR, BITS(5, 0)},
        {WORD_SECONDARY, SECONDARY_PML, VMCS_PML_ADDRESS, PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_SUB_PAGE_WRITE, VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER,
         PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, VMCS_VMREAD_BITMAP, PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_VMCS_SHADOWING, VMCS_VMWRITE_BITMAP, PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_EPT_VIOLATION_VE, VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION,
         PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_PASID_TRANSLATION, VMCS_LOW_PASID_DIRECTORY, PAGE_BITS},
        {WORD_SECONDARY, SECONDARY_PASID_TRANSLATION, VMCS_HIGH_PASID_DIRECTORY, PAGE_BITS},
        {WORD_TERTIARY, TERTIARY_HLAT, VMCS_HLAT_POINTER, BITS(11, 5) | BITS(2, 0)},
        {WORD_TERTIARY, TERTIARY_IPI_VIRTUALIZATION, VMCS_PID_POINTER_TABLE, BITS(2, 0)},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(page); i++)
        if (check_uses(check, page[i].word, page[i].control))
            check_physical(check, page[i].field, page[i].zero);
}

static void check_ept_pointer(struct check *check)
{
    uint64_t pointer = field(check, VMCS_EPT_POINTER);
    const struct vmx_capabilities *cpu = check->capabilities;
    uint64_t type = pointer & BITS(2, 0), length = FIELD_GET(BITS(5, 3), pointer);
    bool type_known = (type == 0 && capabilities_ept_vpid(cpu, EPT_UC)) ||
                      (type == 6 && capabilities_ept_vpid(cpu, EPT_WB));
    bool length_known = (length == 3 && capabilities_ept_vpid(cpu, EPT_4_LEVEL)) ||
                        (length == 4 && capabilities_ept_vpid(cpu, EPT_5_LEVEL));

    check_that(check, type_known, VMCS_EPT_POINTER, "memory type (2:0) is not one of this CPU's");
    check_that(check, length_known, VMCS_EPT_POINTER,
               "walk length (5:3) is not one of this CPU's (3 for 4 levels)");
    check_that(check, !(pointer & BIT(6)) || capabilities_ept_vpid(cpu, EPT_ACCESSED_DIRTY),
               VMCS_EPT_POINTER, "bit 6 is 1, but this CPU has no accessed and dirty flags");
    check_that(check, !(pointer & BIT(7)) || capabilities_ept_vpid(cpu, EPT_SUPERVISOR_SHADOW),
               VMCS_EPT_POINTER, "bit 7 is 1, but this CPU has no supervisor shadow-stack control");
    check_physical(check, VMCS_EPT_POINTER, BITS(11, 8));
}

static void check_tpr_threshold(struct check *check)
{
    uint64_t threshold = field(check, VMCS_TPR_THRESHOLD);
    check_zero(check, VMCS_TPR_THRESHOLD, BITS(31, 4), "bits 31:4 are not 0");
    const unsigned vtpr = 0x80;
    if (check->virtual_apic != NULL &&
        !check_uses(check, WORD_SECONDARY, SECONDARY_VIRTUALIZE_APIC_ACCESSES))
        check_that(check, (threshold & 0xf) <= check->virtual_apic[vtpr] >> 4, VMCS_TPR_THRESHOLD,
                   "bits 3:0 are above VTPR[7:4] in the virtual-APIC page");
}

static void check_execution(struct check *check)
{
    bool virtual_delivery = check_uses(check, WORD_SECONDARY, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    check_dependencies(check);
    check_pages(check);
    // The manual's limit is 4; a CPU may have fewer.
    check_that(check,
               field(check, VMCS_CR3_TARGET_COUNT) <= MIN(4, check->capabilities->cr3_targets),
               VMCS_CR3_TARGET_COUNT, "more CR3-target values than this CPU has");
    if (check_uses(check, WORD_PRIMARY, PRIMARY_TPR_SHADOW) && !virtual_delivery)
        check_tpr_threshold(check);
    if (check_uses(check, WORD_PIN, PIN_POSTED_INTERRUPTS))
        check_zero(check, VMCS_POSTED_INTERRUPT_VECTOR, BITS(15, 8), "vector is above 255");
    if (check_uses(check, WORD_SECONDARY, SECONDARY_VPID))
        check_that(check, field(check, VMCS_VPID) != 0, VMCS_VPID, "VPID 0 is the host's");
    if (check_uses(check, WORD_SECONDARY, SECONDARY_EPT))
        check_ept_pointer(check);
    if (check_uses(check, WORD_SECONDARY, SECONDARY_TSC_SCALING))
        check_that(check, field(check, VMCS_TSC_MULTIPLIER) != 0, VMCS_TSC_MULTIPLIER,
                   "TSC multiplier is 0");
    if (check_uses(check, WORD_SECONDARY, SECONDARY_VM_FUNCTIONS)) {
        uint64_t functions = field(check, VMCS_VM_FUNCTION_CONTROLS);
        check_that(check, !(functions & ~vmx_msr(check->capabilities, MSR_VMX_VMFUNC)),
                   VMCS_VM_FUNCTION_CONTROLS, "a VM function that this CPU does not have");
        if (functions & BIT(0)) {
            check_that(check, check_uses(check, WORD_SECONDARY, SECONDARY_EPT),
                       VMCS_VM_FUNCTION_CONTROLS, "EPTP switching needs \"EPT\"");
            check_physical(check, VMCS_EPTP_LIST_ADDRESS, PAGE_BITS);
        }
    }
}

static void check_msr_area(struct check *check, enum vmcs_field count_field,
                           enum vmcs_field address_field)
{
    uint64_t count = field(check, count_field);
    if (count == 0)
        return;
    uint64_t last = field(check, address_field) + count * 16 - 1;
    check_physical(check, address_field, BITS(3, 0));
    check_that(check, !(last >> check->capabilities->raw.physical_bits), count_field,
               "the area runs beyond the physical-address width");
    check_that(check, count <= check->capabilities->msr_list_limit, count_field,
               "more entries than IA32_VMX_MISC recommends");
}

static bool has_error_code(uint64_t vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
           vector == VECTOR_AC;
}

static void check_error_code(struct check *check, uint64_t info)
{
    bool has = info & EVENT_HAS_ERROR;
    bool is_exception = FIELD_GET(EVENT_TYPE, info) == EVENT_EXCEPTION;
    bool real_mode = check_uses(check, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST) &&
                     !(field(check, VMCS_GUEST_CR0) & CR0_PE);
    bool any = vmx_msr(check->capabilities, MSR_VMX_BASIC) & BASIC_ANY_ERROR_CODE;
    const enum vmcs_field at = VMCS_ENTRY_INTERRUPTION_INFORMATION;

    check_that(check, !has || is_exception, at, "only hardware exceptions deliver an error code");
    check_that(check, !has || !real_mode, at, "no error code is delivered while CR0.PE is 0");
    if (is_exception && !real_mode && !any)
        check_that(check, has == has_error_code(info & EVENT_VECTOR), at,
                   has ? "this vector has no error code" : "this vector has an error code");
    if (has)
        check_zero(check, VMCS_ENTRY_EXCEPTION_ERROR_CODE, BITS(31, 16), "bits 31:16 are not 0");
}

static void check_injection(struct check *check)
{
    const enum vmcs_field at = VMCS_ENTRY_INTERRUPTION_INFORMATION;
    uint64_t info = field(check, at);
    if (!(info & EVENT_VALID))
        return;
    uint64_t type = FIELD_GET(EVENT_TYPE, info), vector = info & EVENT_VECTOR;
    bool trap_flag =
        capabilities_allow(check->capabilities, WORD_PRIMARY, PRIMARY_MONITOR_TRAP_FLAG);

    check_that(check, type != 1, at, "interruption type 1 is reserved");
    check_that(check, type != EVENT_OTHER || trap_flag, at,
               "type 7 (pending MTF) needs a CPU with the monitor trap flag");
    check_that(check, type != EVENT_NMI || vector == VECTOR_NMI, at, "an NMI has vector 2");
    check_that(check, type != EVENT_EXCEPTION || vector <= 31, at,
               "a hardware exception has a vector up to 31");
    check_that(check, type != EVENT_OTHER || vector == 0, at, "type 7 has vector 0");
    check_zero(check, at, BITS(30, 12), "reserved bits 30:12 are not 0");
    check_error_code(check, info);
    if (type >= EVENT_SOFTWARE_INTERRUPT && type <= EVENT_SOFTWARE_EXCEPTION) {
        uint64_t length = field(check, VMCS_ENTRY_INSTRUCTION_LENGTH);
        bool zero_allowed = vmx_msr(check->capabilities, MSR_VMX_MISC) & MISC_ZERO_LENGTH_INJECTION;
        check_that(check, length <= 15 && (length > 0 || zero_allowed),
                   VMCS_ENTRY_INSTRUCTION_LENGTH,
                   "a software interrupt or exception has an instruction length from 1 to 15");
    }
}

void check_controls(struct check *check)
{
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        check_allowed(check, word);
    check_execution(check);
    check_msr_area(check, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDRESS);
    check_msr_area(check, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDRESS);
    check_msr_area(check, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDRESS);
    check_injection(check);
    check_that(check, !check_uses(check, WORD_VMENTRY, VMENTRY_SMM | VMENTRY_DEACTIVATE_DUAL_MODE),
               VMCS_ENTRY_CONTROLS,
               "\"entry to SMM\" and \"deactivate dual-monitor treatment\" are for SMM alone");
}
