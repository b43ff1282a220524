// What Corbel requires of every CPU. See required.h.
// SDM: "Discovering Support for VMX", appendix "VMX Capability Reporting Facility".

#include "vmx/required.h"

#include "vmx/choice.h"

static bool has_vmx(const struct vmx_capabilities *capabilities)
{
    return capabilities->raw.vmx;
}

static bool firmware_allows(const struct vmx_capabilities *capabilities)
{
    return capabilities_usable(&capabilities->raw);
}

static bool is_one_format(const struct vmx_capabilities *capabilities)
{
    return capabilities->same_revision;
}

static bool has_long_mode(const struct vmx_capabilities *capabilities)
{
    return capabilities->raw.long_mode && capabilities->raw.no_execute;
}

static bool has_usable_vmcs(const struct vmx_capabilities *capabilities)
{
    uint64_t basic = vmx_msr(capabilities, MSR_VMX_BASIC);
    return FIELD_GET(BASIC_SIZE, basic) <= 4096 && FIELD_GET(BASIC_MEMORY_TYPE, basic) == 6 &&
           !(basic & BASIC_32_BIT_ADDRESS);
}

static bool cr3_exits_can_be_off(const struct vmx_capabilities *capabilities)
{
    return !(capabilities->control[WORD_PRIMARY].must &
             (PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING));
}

static bool stores_lma(const struct vmx_capabilities *capabilities)
{
    return vmx_msr(capabilities, MSR_VMX_MISC) & MISC_STORES_LMA;
}

// The first two decide whether the others can be read at all.
#define GATES 2

static const struct requirement {
    const char *name;
    uint32_t msr; // that says so; 0: CPUID
    bool (*is_met)(const struct vmx_capabilities *);
} requirement[] = {
    {"Intel VMX (CPUID.1:ECX bit 5)", 0, has_vmx},
    {"VMX switched on by the firmware", MSR_FEATURE_CONTROL, firmware_allows},
    {"64-bit mode and no-execute (CPUID.80000001H)", 0, has_long_mode},
    {"VMCS of 4 KiB in write-back memory", MSR_VMX_BASIC, has_usable_vmcs},
    {"the same VMCS revision on all CPUs", MSR_VMX_BASIC, is_one_format},
    {"CR3 accesses without exits", MSR_VMX_TRUE_PRIMARY, cr3_exits_can_be_off},
    {"EFER.LMA stored on exit", MSR_VMX_MISC, stores_lma},
};

// Besides: the controls that every VMCS of ours sets, those that it sets now and then ...
static const uint64_t now_and_then[CONTROL_WORDS] = {
    [WORD_PRIMARY] = PRIMARY_INTERRUPT_WINDOW_EXITING,
    [WORD_VMENTRY] = VMENTRY_IA32E_GUEST,
};

static const uint32_t word_msr[CONTROL_WORDS] = {
    [WORD_PIN] = MSR_VMX_PIN,       [WORD_PRIMARY] = MSR_VMX_PRIMARY,
    [WORD_VMEXIT] = MSR_VMX_EXIT,   [WORD_SECONDARY] = MSR_VMX_SECONDARY,
    [WORD_VMENTRY] = MSR_VMX_ENTRY,
};

// ... and of EPT these.
#define REQUIRED_EPT ((uint64_t)(EPT_4_LEVEL | EPT_WB | EPT_2M | EPT_INVEPT | EPT_INVEPT_ALL))

static uint64_t required_controls(unsigned word)
{
    return choice_base[word] | now_and_then[word];
}

unsigned required_count(void)
{
    unsigned count = ARRAY_LENGTH(requirement) + bit_count(REQUIRED_EPT);
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        count += bit_count(required_controls(word));
    return count;
}

// Nothing without a printer. `row` is NULL for a control or a capability of EPT.
static void print_missing(struct printer *to, const struct vmx_capabilities *capabilities,
                          const struct requirement *row, const char *name, uint32_t msr)
{
    const char *remedy = "use an Intel CPU with VT-x and EPT (Westmere, 2010, or later)";
    if (row && row->is_met == is_one_format)
        remedy = "switch the cores of one kind off in firmware setup";
    else if (capabilities->raw.hypervisor)
        remedy = "QEMU: -cpu host, kvm_intel nested=1 ept=1 unrestricted_guest=1; "
                 "others: docs/running.md";
    else if (row && row->is_met == firmware_allows)
        remedy =
            "enable VT-x (Intel Virtualization Technology) in firmware setup, then power-cycle";

    if (!to)
        return;
    print_to(to, "missing: %s", name);
    if (msr == MSR_FEATURE_CONTROL)
        print_to(to, " (MSR 3a=%#lx)", capabilities->raw.feature_control);
    else if (msr != 0)
        print_to(to, " (MSR %x=%016lx)", msr, vmx_msr(capabilities, msr));
    print_to(to, "; %s\n", remedy);
}

unsigned required_missing(const struct vmx_capabilities *capabilities, struct printer *to)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(requirement); i++) {
        const struct requirement *row = &requirement[i];
        if (row->is_met(capabilities))
            continue;
        print_missing(to, capabilities, row, row->name, row->msr);
        missing++;
        if (i < GATES)
            return missing;
    }
    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        uint64_t lacks = required_controls(word) & ~capabilities->control[word].may;
        for (; lacks; lacks &= lacks - 1, missing++)
            print_missing(to, capabilities, NULL, control_name(word, lowest_bit(lacks)),
                          word_msr[word]);
    }
    uint64_t lacks = REQUIRED_EPT & ~vmx_msr(capabilities, MSR_VMX_EPT_VPID_CAP);
    for (; lacks; lacks &= lacks - 1, missing++)
        print_missing(to, capabilities, NULL, ept_vpid_name(lowest_bit(lacks)),
                      MSR_VMX_EPT_VPID_CAP);
    return missing;
}
