// Chooses the control words and features for the CPUs at hand. See choice.h, whose rows are the
// policy, as are the tables below. SDM: "VM-Execution Control Fields", "VM-Exit Control Fields",
// "VM-Entry Control Fields".

#include "vmx/choice.h"

#include "lib/span.h"
#include "lib/string.h"
#include "vmx/required.h"

const uint64_t choice_base[CONTROL_WORDS] = {
    [WORD_PIN] = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING,
    [WORD_PRIMARY] = PRIMARY_TSC_OFFSETTING | PRIMARY_HLT_EXITING | PRIMARY_MWAIT_EXITING |
                     PRIMARY_RDPMC_EXITING | PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS |
                     PRIMARY_MONITOR_EXITING | PRIMARY_SECONDARY_CONTROLS,
    [WORD_SECONDARY] = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST,
    [WORD_VMEXIT] = VMEXIT_SAVE_DEBUG_CONTROLS | VMEXIT_HOST_64_BIT | VMEXIT_ACKNOWLEDGE_INTERRUPT |
                    VMEXIT_LOAD_PAT | VMEXIT_SAVE_EFER | VMEXIT_LOAD_EFER,
    [WORD_VMENTRY] = VMENTRY_LOAD_DEBUG_CONTROLS | VMENTRY_LOAD_PAT | VMENTRY_LOAD_EFER,
};

#define FEATURE_ROW(name, ...) [FEATURE_##name] = {__VA_ARGS__},
const struct feature_row feature_row[VMX_FEATURES] = {VMX_FEATURE_ROWS(FEATURE_ROW)};

// Features that change a word only in a mode of the local APIC.
#define ON_DEMAND                                                                                  \
    (FEATURE(FEATURE_APIC_ACCESS) | FEATURE(FEATURE_X2APIC_VIRT) |                                 \
     FEATURE(FEATURE_APIC_REGISTER) | FEATURE(FEATURE_VIRTUAL_INTERRUPTS) |                        \
     FEATURE(FEATURE_POSTED_INTERRUPTS))

uint32_t choice_default(void)
{
    return (FEATURE(VMX_FEATURES) - 1) & ~FEATURE(FEATURE_USER_WAIT);
}

status_t choice_parse(const char *option, uint32_t *wanted, uint32_t *requested,
                      struct explanation *why)
{
    uint32_t on = *requested, use = *wanted;
    struct span list = {option, strlen(option)}, word;
    while (span_split(&list, ',', &word)) {
        bool off = word.length && word.at[0] == '-';
        size_t sign = off || (word.length && word.at[0] == '+');
        struct span name = {word.at + sign, word.length - sign};
        uint32_t features = span_is(name, "all") ? choice_default() : 0;
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

static void choose_features(struct vmx_choice *choice, const struct vmx_capabilities *capabilities,
                            uint32_t wanted)
{
    for (unsigned i = 0; i < VMX_FEATURES; i++) {
        if (!cpus_have(capabilities, i))
            continue;
        choice->available |= FEATURE(i);
        if (!(wanted & FEATURE(i)))
            choice->switched_off |= FEATURE(i);
        else if ((choice->features & feature_row[i].depends) == feature_row[i].depends)
            choice->features |= FEATURE(i);
    }
}

void choice_make(struct vmx_choice *choice, const struct vmx_capabilities *capabilities,
                 uint32_t wanted, uint32_t requested)
{
    *choice = (struct vmx_choice){.requested = requested};
    choose_features(choice, capabilities, wanted);

    uint64_t want[CONTROL_WORDS];
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        want[word] = choice_base[word];
    for (unsigned i = 0; i < VMX_FEATURES; i++)
        if (choice->features & ~ON_DEMAND & FEATURE(i))
            want[feature_row[i].word] |= feature_row[i].controls;
    if (choice_uses(choice, FEATURE_PREEMPTION_TIMER))
        want[WORD_VMEXIT] |= VMEXIT_SAVE_PREEMPTION_TIMER;
    if (!choice_uses(choice, FEATURE_TPR_SHADOW))
        want[WORD_PRIMARY] |= PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING;

    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        const struct control_range *range = &capabilities->control[word];
        choice->word[word] = (want[word] | range->must) & range->may;
    }
    choice->missing = required_missing(capabilities, NULL);
}

// The CPU accepts interrupts whatever the spurious-interrupt vector register says, so an APIC that
// accepts none keeps only the mark of its page; of an x2APIC there is nothing to keep.
uint64_t choice_apic(const struct vmx_choice *choice, bool enabled, bool x2apic, bool accepts)
{
    static const enum vmx_feature besides[] = {FEATURE_APIC_REGISTER, FEATURE_VIRTUAL_INTERRUPTS};
    enum vmx_feature mode = x2apic ? FEATURE_X2APIC_VIRT : FEATURE_APIC_ACCESS;
    if (!enabled || !choice_uses(choice, mode) || (x2apic && !accepts))
        return 0;
    uint64_t controls = feature_row[mode].controls;
    for (unsigned i = 0; accepts && i < ARRAY_LENGTH(besides); i++)
        if (choice_uses(choice, besides[i]))
            controls |= feature_row[besides[i]].controls;
    return controls;
}

static const struct trap_row {
    enum trap trap;
    enum control_word word;
    uint32_t control;  // one bit: set
    uint32_t shortcut; // ... which has no effect while this one is set
} trap_row[] = {
    {TRAP_DESCRIPTOR_TABLES, WORD_SECONDARY, SECONDARY_DESCRIPTOR_TABLE_EXITING, 0},
    {TRAP_INVLPG, WORD_PRIMARY, PRIMARY_INVLPG_EXITING, 0},
    {TRAP_RDTSC, WORD_PRIMARY, PRIMARY_RDTSC_EXITING, 0},
    {TRAP_RDPMC, WORD_PRIMARY, PRIMARY_RDPMC_EXITING, 0},
    {TRAP_CR3_LOAD, WORD_PRIMARY, PRIMARY_CR3_LOAD_EXITING, 0},
    {TRAP_CR3_STORE, WORD_PRIMARY, PRIMARY_CR3_STORE_EXITING, 0},
    {TRAP_CR8_LOAD, WORD_PRIMARY, PRIMARY_CR8_LOAD_EXITING, 0},
    {TRAP_CR8_STORE, WORD_PRIMARY, PRIMARY_CR8_STORE_EXITING, 0},
    {TRAP_MOV_DR, WORD_PRIMARY, PRIMARY_MOV_DR_EXITING, 0},
    {TRAP_PAUSE, WORD_PRIMARY, PRIMARY_PAUSE_EXITING, 0},
    {TRAP_HLT, WORD_PRIMARY, PRIMARY_HLT_EXITING, 0},
    {TRAP_WBINVD, WORD_SECONDARY, SECONDARY_WBINVD_EXITING, 0},
    {TRAP_MONITOR, WORD_PRIMARY, PRIMARY_MONITOR_EXITING, 0},
    {TRAP_MWAIT, WORD_PRIMARY, PRIMARY_MWAIT_EXITING, 0},
    {TRAP_RDRAND, WORD_SECONDARY, SECONDARY_RDRAND_EXITING, 0},
    {TRAP_RDSEED, WORD_SECONDARY, SECONDARY_RDSEED_EXITING, 0},
    {TRAP_IO, WORD_PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, PRIMARY_IO_BITMAPS},
    {TRAP_MSR, WORD_PRIMARY, 0, PRIMARY_MSR_BITMAPS},
};

status_t choice_trap(uint64_t word[CONTROL_WORDS], const struct vmx_capabilities *capabilities,
                     uint32_t traps, struct explanation *why)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(trap_row); i++) {
        const struct trap_row *row = &trap_row[i];
        if (!(traps & row->trap))
            continue;
        if (capabilities_allow(capabilities, row->word, row->control)) {
            word[row->word] = (word[row->word] | row->control) & ~(uint64_t)row->shortcut;
        } else if (!(traps & TRAP_IF_POSSIBLE)) {
            return explain(why, STATUS_UNSUPPORTED,
                           "trap: these CPUs have no control \"%s\"; take that word out",
                           control_name(row->word, highest_bit(row->control)));
        }
    }
    return STATUS_OK;
}
