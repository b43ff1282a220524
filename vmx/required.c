// The list of what Corbel requires of every CPU. See required.h.
// SDM: "Discovering Support for VMX", appendix "VMX Capability Reporting Facility".

#include "vmx/required.h"

#include "lib/print.h"

struct requirement {
    const char *name;
    uint32_t msr;                                    // the MSR that says so; 0: CPUID
    bool (*is_met)(const struct vmx_capabilities *); // NULL: the controls of a word
    enum control_word word;
    uint64_t controls;
    uint64_t ept_vpid;
};

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

#define CONTROL(name_, msr_, word_, controls_)                                                     \
    {                                                                                              \
        .name = (name_), .msr = (msr_), .word = (word_), .controls = (controls_)                   \
    }
#define EPT_BIT(name_, bits_)                                                                      \
    {                                                                                              \
        .name = (name_), .msr = MSR_VMX_EPT_VPID_CAP, .ept_vpid = (bits_)                          \
    }

// The first two decide whether the others can be read at all.
#define GATES 2

static const struct requirement requirement[] = {
    {.name = "Intel VMX (CPUID.1:ECX bit 5)", .is_met = has_vmx},
    {.name = "VMX switched on by the firmware",
     .msr = MSR_FEATURE_CONTROL,
     .is_met = firmware_allows},
    {.name = "64-bit mode and no-execute (CPUID.80000001H)", .is_met = has_long_mode},
    {.name = "VMCS of 4 KiB in write-back memory", .msr = MSR_VMX_BASIC, .is_met = has_usable_vmcs},
    {.name = "the same VMCS revision on all CPUs", .msr = MSR_VMX_BASIC, .is_met = is_one_format},
    CONTROL("external-interrupt exiting", MSR_VMX_PIN, WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING),
    CONTROL("NMI exiting", MSR_VMX_PIN, WORD_PIN, PIN_NMI_EXITING),
    CONTROL("interrupt-window exiting", MSR_VMX_PRIMARY, WORD_PRIMARY,
            PRIMARY_INTERRUPT_WINDOW_EXITING),
    CONTROL("TSC offsetting", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_TSC_OFFSETTING),
    CONTROL("HLT exiting", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_HLT_EXITING),
    CONTROL("MWAIT and MONITOR exiting", MSR_VMX_PRIMARY, WORD_PRIMARY,
            PRIMARY_MWAIT_EXITING | PRIMARY_MONITOR_EXITING),
    CONTROL("RDPMC exiting", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_RDPMC_EXITING),
    CONTROL("I/O bitmaps", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_IO_BITMAPS),
    CONTROL("MSR bitmaps", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_MSR_BITMAPS),
    {.name = "CR3 accesses without exits",
     .msr = MSR_VMX_TRUE_PRIMARY,
     .is_met = cr3_exits_can_be_off},
    CONTROL("secondary controls", MSR_VMX_PRIMARY, WORD_PRIMARY, PRIMARY_SECONDARY_CONTROLS),
    CONTROL("EPT", MSR_VMX_SECONDARY, WORD_SECONDARY, SECONDARY_EPT),
    CONTROL("unrestricted guest", MSR_VMX_SECONDARY, WORD_SECONDARY, SECONDARY_UNRESTRICTED_GUEST),
    EPT_BIT("EPT of 4 levels", EPT_4_LEVEL),
    EPT_BIT("EPT in write-back memory", EPT_WB),
    EPT_BIT("EPT 2M pages", EPT_2M),
    EPT_BIT("INVEPT, all contexts", EPT_INVEPT | EPT_INVEPT_ALL),
    CONTROL("acknowledge interrupt on exit", MSR_VMX_EXIT, WORD_VMEXIT,
            VMEXIT_ACKNOWLEDGE_INTERRUPT),
    CONTROL("64-bit host", MSR_VMX_EXIT, WORD_VMEXIT, VMEXIT_HOST_64_BIT),
    CONTROL("save and load IA32_EFER on exit", MSR_VMX_EXIT, WORD_VMEXIT,
            VMEXIT_SAVE_EFER | VMEXIT_LOAD_EFER),
    CONTROL("save and load IA32_PAT on exit", MSR_VMX_EXIT, WORD_VMEXIT,
            VMEXIT_SAVE_PAT | VMEXIT_LOAD_PAT),
    CONTROL("IA-32e mode guest", MSR_VMX_ENTRY, WORD_VMENTRY, VMENTRY_IA32E_GUEST),
    CONTROL("load IA32_EFER on entry", MSR_VMX_ENTRY, WORD_VMENTRY, VMENTRY_LOAD_EFER),
    CONTROL("load IA32_PAT on entry", MSR_VMX_ENTRY, WORD_VMENTRY, VMENTRY_LOAD_PAT),
    {.name = "EFER.LMA stored on exit", .msr = MSR_VMX_MISC, .is_met = stores_lma},
};
_Static_assert(ARRAY_LENGTH(requirement) <= 64, "required_missing() returns one bit each");

static bool is_met(const struct requirement *row, const struct vmx_capabilities *capabilities)
{
    if (row->is_met != NULL)
        return row->is_met(capabilities);
    return capabilities_allow(capabilities, row->word, row->controls) &&
           capabilities_ept_vpid(capabilities, row->ept_vpid);
}

uint64_t required_missing(const struct vmx_capabilities *capabilities)
{
    uint64_t missing = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(requirement); i++) {
        if (is_met(&requirement[i], capabilities))
            continue;
        missing |= BIT(i);
        if (i < GATES)
            break;
    }
    return missing;
}

unsigned required_count(void)
{
    return ARRAY_LENGTH(requirement);
}

void required_explain(const struct vmx_capabilities *capabilities, unsigned index,
                      struct explanation *line)
{
    const struct requirement *row = &requirement[index];
    const char *remedy;
    if (row->is_met == is_one_format)
        remedy = "switch the cores of one kind off in firmware setup";
    else if (capabilities->raw.hypervisor)
        remedy = "start QEMU with -cpu host, on a host whose kvm_intel has nested=1 ept=1 "
                 "unrestricted_guest=1";
    else if (row->is_met == firmware_allows)
        remedy =
            "enable VT-x (Intel Virtualization Technology) in firmware setup, then power-cycle";
    else
        remedy = "use an Intel CPU with VT-x and EPT (Westmere, 2010, or later)";

    char where[48] = "";
    if (row->msr == MSR_FEATURE_CONTROL)
        format_text(where, sizeof(where), " (MSR 3a=%#lx)", capabilities->raw.feature_control);
    else if (row->msr != 0)
        format_text(where, sizeof(where), " (MSR %x=%016lx)", row->msr,
                    vmx_msr(capabilities, row->msr));
    format_text(line->text, sizeof(line->text), "missing: %s%s; %s", row->name, where, remedy);
}
