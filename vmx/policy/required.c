// What Corbel requires of every CPU. See required.h.
// SDM: "Discovering Support for VMX", appendix "VMX Capability Reporting Facility".

#include "vmx/policy/required.h"

// The first GATES decide whether the others can be read at all.
#define GATES 2
enum requirement {
    HAS_VMX,
    FIRMWARE_ALLOWS,
    HAS_LONG_MODE,
    VMCS_IS_USABLE,
    IS_ONE_FORMAT,
    CR3_IS_FREE,
    STORES_LMA,
    REQUIREMENTS
};

static const struct {
    const char *name;
    uint32_t msr; // that says so; 0: CPUID
} requirement[REQUIREMENTS] = {
    [HAS_VMX] = {"Intel VMX (CPUID.1:ECX bit 5)", 0},
    [FIRMWARE_ALLOWS] = {"VMX switched on by the firmware", MSR_FEATURE_CONTROL},
    [HAS_LONG_MODE] = {"64-bit mode and no-execute (CPUID.80000001H)", 0},
    [VMCS_IS_USABLE] = {"VMCS of 4 KiB in write-back memory", MSR_VMX_BASIC},
    [IS_ONE_FORMAT] = {"the same VMCS revision on all CPUs", MSR_VMX_BASIC},
    [CR3_IS_FREE] = {"CR3 accesses without exits", MSR_VMX_TRUE_PRIMARY},
    [STORES_LMA] = {"EFER.LMA stored on exit", MSR_VMX_MISC},
};

static bool is_met(const struct vmx_capabilities *cpu, enum requirement which)
{
    uint64_t basic = vmx_msr(cpu, MSR_VMX_BASIC);
    const bool met[REQUIREMENTS] = {
        [HAS_VMX] = cpu->raw.vmx,
        [FIRMWARE_ALLOWS] = capabilities_usable(&cpu->raw),
        [HAS_LONG_MODE] = cpu->raw.long_mode && cpu->raw.no_execute,
        [VMCS_IS_USABLE] = FIELD_GET(BASIC_SIZE, basic) <= 4096 &&
                           FIELD_GET(BASIC_MEMORY_TYPE, basic) == 6 &&
                           !(basic & BASIC_32_BIT_ADDRESS),
        [IS_ONE_FORMAT] = cpu->same_revision,
        [CR3_IS_FREE] = !(cpu->control[WORD_PRIMARY].must &
                          (PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING)),
        [STORES_LMA] = vmx_msr(cpu, MSR_VMX_MISC) & MISC_STORES_LMA,
    };
    return met[which];
}

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
    return controls_always[word] | now_and_then[word];
}

unsigned required_count(void)
{
    unsigned count = REQUIREMENTS + bit_count(REQUIRED_EPT);
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        count += bit_count(required_controls(word));
    return count;
}

// Nothing without a printer. `which` is REQUIREMENTS for a control or a capability of EPT.
static void print_missing(struct printer *to, const struct vmx_capabilities *capabilities,
                          enum requirement which, const char *name, uint32_t msr)
{
    const char *remedy = "use an Intel CPU with VT-x and EPT (Westmere, 2010, or later)";
    if (which == IS_ONE_FORMAT)
        remedy = "switch the cores of one kind off in firmware setup";
    else if (capabilities->raw.hypervisor)
        remedy = "QEMU: -cpu host, kvm_intel nested=1 ept=1 unrestricted_guest=1; "
                 "others: docs/running.md";
    else if (which == FIRMWARE_ALLOWS)
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
    for (unsigned i = 0; i < REQUIREMENTS; i++) {
        if (is_met(capabilities, i))
            continue;
        print_missing(to, capabilities, i, requirement[i].name, requirement[i].msr);
        missing++;
        if (i < GATES)
            return missing;
    }
    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        uint64_t lacks = required_controls(word) & ~capabilities->control[word].may;
        for (; lacks; lacks &= lacks - 1, missing++)
            print_missing(to, capabilities, REQUIREMENTS, control_name(word, lowest_bit(lacks)),
                          word_msr[word]);
    }
    uint64_t lacks = REQUIRED_EPT & ~vmx_msr(capabilities, MSR_VMX_EPT_VPID_CAP);
    for (; lacks; lacks &= lacks - 1, missing++)
        print_missing(to, capabilities, REQUIREMENTS, ept_vpid_name(lowest_bit(lacks)),
                      MSR_VMX_EPT_VPID_CAP);
    return missing;
}
