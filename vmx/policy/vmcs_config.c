// Chooses the control words and features for the CPUs at hand. See vmcs_config.h, whose rows are
// the policy, as are the tables below. SDM: "VM-Execution Control Fields", "VM-Exit Control
// Fields", "VM-Entry Control Fields".

#include "vmx/policy/vmcs_config.h"

#include "lib/span.h"
#include "lib/string.h"
#include "vm/cpu/cpuid.h"
#include "vmx/policy/required.h"

#define FEATURE_ROW(name, ...) [FEATURE_##name] = {__VA_ARGS__},
const struct feature_row feature_row[VMX_FEATURES] = {VMX_FEATURE_ROWS(FEATURE_ROW)};

// Features that change a word only in a mode of the local APIC.
#define ON_DEMAND                                                                                  \
    (FEATURE(FEATURE_APIC_ACCESS) | FEATURE(FEATURE_X2APIC_VIRT) |                                 \
     FEATURE(FEATURE_APIC_REGISTER) | FEATURE(FEATURE_VIRTUAL_INTERRUPTS) |                        \
     FEATURE(FEATURE_POSTED_INTERRUPTS))

uint32_t vmcs_config_default(void)
{
    return (FEATURE(VMX_FEATURES) - 1) & ~FEATURE(FEATURE_USER_WAIT);
}

status_t vmcs_config_parse(const char *option, uint32_t *wanted, uint32_t *requested,
                           struct explanation *why)
{
    uint32_t on = *requested, use = *wanted;
    struct span list = {option, strlen(option)}, word;
    while (span_split(&list, ',', &word)) {
        bool off = word.length && word.at[0] == '-';
        size_t sign = off || (word.length && word.at[0] == '+');
        struct span name = {word.at + sign, word.length - sign};
        uint32_t features = span_is(name, "all") ? vmcs_config_default() : 0;
        for (unsigned i = 0; i < VMX_FEATURES; i++)
            if (span_is(name, feature_row[i].option))
                features = FEATURE(i);
        if (!features)
            return explain(why, STATUS_NOT_FOUND,
                           "features=: \"%.*s\" is no feature; the words are all, and those of "
                           "the report",
                           (int)MIN(word.length, 40), word.at);
        use = off ? use & ~features : use | features;
        on = off ? on & ~features : on | features;
    }
    *wanted = use;
    *requested = on;
    return STATUS_OK;
}

// CPUs on which the preemption timer counts wrongly (processor errata AAJ124, AAO95, AAT59, AAX65,
// BA86 and others).
static bool timer_is_broken(uint32_t signature)
{
    static const uint32_t broken[] = {0x000106a0, 0x000106a1, 0x000106a4, 0x000106a5, 0x000106e5,
                                      0x00020652, 0x00020655, 0x000206e6, 0x000306a8};
    for (unsigned i = 0; i < ARRAY_LENGTH(broken); i++)
        if (broken[i] == signature)
            return true;
    return false;
}

// KVM lends it to us even where its CPU has no posted interrupts, and drops the EOI-exit bitmap
// there: the end of a level-triggered interrupt would be lost.
static bool delivery_is_broken(const struct vmx_capabilities *capabilities)
{
    return capabilities->raw.hypervisor &&
           !capabilities_allow(capabilities, WORD_PIN, PIN_POSTED_INTERRUPTS);
}

static bool cpus_have(const struct vmx_capabilities *capabilities, enum vmx_feature feature)
{
    const struct feature_row *row = &feature_row[feature];
    if (feature == FEATURE_PREEMPTION_TIMER &&
        (timer_is_broken(capabilities->raw.signature) || !capabilities->same_timer ||
         !capabilities_allow(capabilities, WORD_VMEXIT, VMEXIT_SAVE_PREEMPTION_TIMER)))
        return false;
    if (feature == FEATURE_VIRTUAL_INTERRUPTS && delivery_is_broken(capabilities))
        return false;
    return capabilities_allow(capabilities, row->word, row->controls) &&
           capabilities_ept_vpid(capabilities, row->ept_vpid);
}

static void choose_features(struct vmcs_config *config, const struct vmx_capabilities *capabilities,
                            uint32_t wanted)
{
    for (unsigned i = 0; i < VMX_FEATURES; i++) {
        if (!cpus_have(capabilities, i))
            continue;
        config->available |= FEATURE(i);
        if (!(wanted & FEATURE(i)))
            config->switched_off |= FEATURE(i);
        else if ((config->features & feature_row[i].depends) == feature_row[i].depends)
            config->features |= FEATURE(i);
    }
}

void vmcs_config_make(struct vmcs_config *config, const struct vmx_capabilities *capabilities,
                      uint32_t wanted, uint32_t requested)
{
    *config = (struct vmcs_config){.requested = requested};
    choose_features(config, capabilities, wanted);

    uint64_t want[CONTROL_WORDS];
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        want[word] = controls_always[word];
    for (unsigned i = 0; i < VMX_FEATURES; i++)
        if (config->features & ~ON_DEMAND & FEATURE(i))
            want[feature_row[i].word] |= feature_row[i].controls;
    if (vmcs_config_uses(config, FEATURE_PREEMPTION_TIMER))
        want[WORD_VMEXIT] |= VMEXIT_SAVE_PREEMPTION_TIMER;
    if (!vmcs_config_uses(config, FEATURE_TPR_SHADOW))
        want[WORD_PRIMARY] |= PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING;

    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        const struct control_range *range = &capabilities->control[word];
        config->word[word] = (want[word] | range->must) & range->may;
    }
    config->missing = required_missing(capabilities, NULL);
}

// The CPU accepts interrupts whatever the spurious-interrupt vector register says, so an APIC that
// accepts none keeps only the mark of its page; of an x2APIC there is nothing to keep.
uint64_t vmcs_config_apic(const struct vmcs_config *config, bool enabled, bool x2apic, bool accepts)
{
    static const enum vmx_feature besides[] = {FEATURE_APIC_REGISTER, FEATURE_VIRTUAL_INTERRUPTS};
    enum vmx_feature mode = x2apic ? FEATURE_X2APIC_VIRT : FEATURE_APIC_ACCESS;
    if (!enabled || !vmcs_config_uses(config, mode) || (x2apic && !accepts))
        return 0;
    uint64_t controls = feature_row[mode].controls;
    for (unsigned i = 0; accepts && i < ARRAY_LENGTH(besides); i++)
        if (vmcs_config_uses(config, besides[i]))
            controls |= feature_row[besides[i]].controls;
    return controls;
}

#define TRAP_ROW(name, text, word, set, clear) {WORD_##word, set, clear},
static const struct trap_row {
    enum control_word word;
    uint32_t set; // one bit, or none
    uint32_t clear;
} trap_row[TRAPS] = {VM_TRAPS(TRAP_ROW)};

status_t vmcs_config_trap(uint64_t word[CONTROL_WORDS], const struct vmx_capabilities *capabilities,
                          uint32_t traps, struct explanation *why)
{
    for (unsigned i = 0; i < TRAPS; i++) {
        const struct trap_row *row = &trap_row[i];
        if (!(traps & BIT32(i)))
            continue;
        if (capabilities_allow(capabilities, row->word, row->set)) {
            word[row->word] = (word[row->word] | row->set) & ~(uint64_t)row->clear;
        } else if (!(traps & TRAP_IF_POSSIBLE)) {
            return explain(why, STATUS_UNSUPPORTED,
                           "trap: these CPUs have no control \"%s\"; take that word out",
                           control_name(row->word, highest_bit(row->set)));
        }
    }
    return STATUS_OK;
}

void vmcs_config_hide(uint64_t word[CONTROL_WORDS], const struct vmx_capabilities *capabilities,
                      const struct cpuid_policy *cpuid)
{
    static const struct {
        uint32_t feature;
        uint32_t enables; // without this control the instruction is undefined
        uint32_t exits;   // with this one it exits, and its handler says so
    } secondary[] = {
        {CPUID_RDTSCP, SECONDARY_RDTSCP, 0}, // and RDPID
        {CPUID_INVPCID, SECONDARY_INVPCID, 0},       {CPUID_XSAVES, SECONDARY_XSAVES, 0},
        {CPUID_WAITPKG, SECONDARY_USER_WAIT, 0},     {CPUID_RDRAND, 0, SECONDARY_RDRAND_EXITING},
        {CPUID_RDSEED, 0, SECONDARY_RDSEED_EXITING},
    };
    const struct control_range *range = &capabilities->control[WORD_SECONDARY];
    uint64_t *controls = &word[WORD_SECONDARY];
    for (unsigned i = 0; i < ARRAY_LENGTH(secondary); i++)
        if (!cpuid_has(cpuid, secondary[i].feature))
            *controls = (*controls & ~(uint64_t)secondary[i].enables) | secondary[i].exits;
    *controls = (*controls | range->must) & range->may;
}
