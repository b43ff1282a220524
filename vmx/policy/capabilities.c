// Decodes the VMX capability MSRs and intersects them over the CPUs. Called once a CPU at boot.
// SDM: appendix "VMX Capability Reporting Facility".

#include "vmx/policy/capabilities.h"

static uint64_t raw_msr(const struct vmx_raw *raw, enum vmx_msr number)
{
    return raw->msr[number - VMX_MSR_FIRST];
}

static bool may(const struct vmx_raw *raw, enum vmx_msr number, uint32_t control)
{
    return (raw_msr(raw, number) >> 32) & control;
}

bool capabilities_msr_exists(const struct vmx_raw *raw, enum vmx_msr number)
{
    bool has_secondary = may(raw, MSR_VMX_PRIMARY, PRIMARY_SECONDARY_CONTROLS);
    if (number == MSR_VMX_SECONDARY)
        return has_secondary;
    if (number == MSR_VMX_EPT_VPID_CAP)
        return has_secondary && may(raw, MSR_VMX_SECONDARY, SECONDARY_EPT | SECONDARY_VPID);
    if (number >= MSR_VMX_TRUE_PIN && number <= MSR_VMX_TRUE_ENTRY)
        return raw_msr(raw, MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS;
    if (number == MSR_VMX_VMFUNC)
        return has_secondary && may(raw, MSR_VMX_SECONDARY, SECONDARY_VM_FUNCTIONS);
    if (number == MSR_VMX_TERTIARY)
        return may(raw, MSR_VMX_PRIMARY, PRIMARY_TERTIARY_CONTROLS);
    if (number == MSR_VMX_SECONDARY_EXIT)
        return may(raw, MSR_VMX_EXIT, VMEXIT_SECONDARY_CONTROLS);
    return raw->vmx && number <= MSR_VMX_VMCS_ENUM;
}

// A 32-bit word's range from the MSR that describes it: the true one where there is one.
static struct control_range range_of(const struct vmx_raw *raw, enum vmx_msr plain,
                                     enum vmx_msr true_controls)
{
    bool use_true = raw_msr(raw, MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS;
    uint64_t value = raw_msr(raw, use_true ? true_controls : plain);
    return (struct control_range){.must = value & UINT32_MAX, .may = value >> 32};
}

void capabilities_decode(struct vmx_capabilities *capabilities)
{
    const struct vmx_raw *raw = &capabilities->raw;
    struct control_range *control = capabilities->control;
    uint64_t misc = raw_msr(raw, MSR_VMX_MISC);

    control[WORD_PIN] = range_of(raw, MSR_VMX_PIN, MSR_VMX_TRUE_PIN);
    control[WORD_PRIMARY] = range_of(raw, MSR_VMX_PRIMARY, MSR_VMX_TRUE_PRIMARY);
    control[WORD_VMEXIT] = range_of(raw, MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT);
    control[WORD_VMENTRY] = range_of(raw, MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY);
    // The others exist only where a control that activates them may be 1; their MSRs may hold
    // anything otherwise.
    control[WORD_SECONDARY] = control[WORD_TERTIARY] = control[WORD_VMEXIT2] =
        (struct control_range){0};
    if (capabilities_allow(capabilities, WORD_PRIMARY, PRIMARY_SECONDARY_CONTROLS))
        control[WORD_SECONDARY] = range_of(raw, MSR_VMX_SECONDARY, MSR_VMX_SECONDARY);
    if (capabilities_allow(capabilities, WORD_PRIMARY, PRIMARY_TERTIARY_CONTROLS))
        control[WORD_TERTIARY].may = raw_msr(raw, MSR_VMX_TERTIARY);
    if (capabilities_allow(capabilities, WORD_VMEXIT, VMEXIT_SECONDARY_CONTROLS))
        control[WORD_VMEXIT2].may = raw_msr(raw, MSR_VMX_SECONDARY_EXIT);

    capabilities->cr0 = (struct control_range){.must = raw_msr(raw, MSR_VMX_CR0_FIXED0),
                                               .may = raw_msr(raw, MSR_VMX_CR0_FIXED1)};
    capabilities->cr4 = (struct control_range){.must = raw_msr(raw, MSR_VMX_CR4_FIXED0),
                                               .may = raw_msr(raw, MSR_VMX_CR4_FIXED1)};
    capabilities->revision = (uint32_t)(raw_msr(raw, MSR_VMX_BASIC) & BASIC_REVISION);
    capabilities->same_revision = true;
    capabilities->same_timer = true;
    capabilities->timer_rate = (uint8_t)FIELD_GET(MISC_TIMER_RATE, misc);
    capabilities->cr3_targets = (uint16_t)FIELD_GET(MISC_CR3_TARGETS, misc);
    capabilities->msr_list_limit = 512 * ((uint32_t)FIELD_GET(MISC_MSR_LIST, misc) + 1);
}

static void narrow(struct control_range *all, const struct control_range *one)
{
    all->must |= one->must;
    all->may &= one->may;
}

static void narrow_raw(struct vmx_raw *all, const struct vmx_raw *one)
{
    uint64_t *misc = &all->msr[MSR_VMX_MISC - VMX_MSR_FIRST];
    uint64_t *basic = &all->msr[MSR_VMX_BASIC - VMX_MSR_FIRST];
    uint64_t limits = MISC_TIMER_RATE | MISC_CR3_TARGETS | MISC_MSR_LIST;
    uint64_t numbers = BASIC_REVISION | BASIC_SIZE | BASIC_MEMORY_TYPE;

    *misc &= raw_msr(one, MSR_VMX_MISC) | limits;
    uint64_t narrow_address = (*basic | raw_msr(one, MSR_VMX_BASIC)) & BASIC_32_BIT_ADDRESS;
    uint64_t size = MAX(*basic & BASIC_SIZE, raw_msr(one, MSR_VMX_BASIC) & BASIC_SIZE);
    *basic =
        ((*basic & (raw_msr(one, MSR_VMX_BASIC) | numbers)) & ~BASIC_SIZE) | size | narrow_address;
    // A memory type that is not WB everywhere is not WB.
    if ((*basic ^ raw_msr(one, MSR_VMX_BASIC)) & BASIC_MEMORY_TYPE)
        *basic &= ~BASIC_MEMORY_TYPE;
    all->msr[MSR_VMX_EPT_VPID_CAP - VMX_MSR_FIRST] &= raw_msr(one, MSR_VMX_EPT_VPID_CAP);
    all->msr[MSR_VMX_VMFUNC - VMX_MSR_FIRST] &= raw_msr(one, MSR_VMX_VMFUNC);
    if (!capabilities_usable(one))
        all->feature_control = one->feature_control;
    all->vmx = all->vmx && one->vmx;
    all->hypervisor = all->hypervisor || one->hypervisor;
    all->long_mode = all->long_mode && one->long_mode;
    all->no_execute = all->no_execute && one->no_execute;
    all->physical_bits = MIN(all->physical_bits, one->physical_bits);
    all->linear_bits = MIN(all->linear_bits, one->linear_bits);
}

void capabilities_intersect(struct vmx_capabilities *all, const struct vmx_capabilities *one)
{
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        narrow(&all->control[word], &one->control[word]);
    narrow(&all->cr0, &one->cr0);
    narrow(&all->cr4, &one->cr4);
    narrow_raw(&all->raw, &one->raw);
    all->same_revision = all->same_revision && all->revision == one->revision;
    all->same_timer = all->same_timer && all->timer_rate == one->timer_rate;
    all->cr3_targets = MIN(all->cr3_targets, one->cr3_targets);
    all->msr_list_limit = MIN(all->msr_list_limit, one->msr_list_limit);
}
