// The names of the VMX controls, in the manual's words, and those that Corbel always sets. SDM:
// "VM-Execution Control Fields" and its siblings, appendix "VMX Capability Reporting Facility".

#include "vmx/policy/controls.h"

const uint64_t controls_always[CONTROL_WORDS] = {
    [WORD_PIN] = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING,
    [WORD_PRIMARY] = PRIMARY_TSC_OFFSETTING | PRIMARY_HLT_EXITING | PRIMARY_MWAIT_EXITING |
                     PRIMARY_RDPMC_EXITING | PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS |
                     PRIMARY_MONITOR_EXITING | PRIMARY_SECONDARY_CONTROLS,
    [WORD_SECONDARY] = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST,
    [WORD_VMEXIT] = VMEXIT_SAVE_DEBUG_CONTROLS | VMEXIT_HOST_64_BIT | VMEXIT_ACKNOWLEDGE_INTERRUPT |
                    VMEXIT_LOAD_PAT | VMEXIT_SAVE_EFER | VMEXIT_LOAD_EFER,
    [WORD_VMENTRY] = VMENTRY_LOAD_DEBUG_CONTROLS | VMENTRY_LOAD_PAT | VMENTRY_LOAD_EFER,
};

static const char *const word_name[CONTROL_WORDS] = {
    [WORD_PIN] = "pin-based",     [WORD_PRIMARY] = "primary", [WORD_SECONDARY] = "secondary",
    [WORD_TERTIARY] = "tertiary", [WORD_VMEXIT] = "VM-exit",  [WORD_VMEXIT2] = "secondary VM-exit",
    [WORD_VMENTRY] = "VM-entry",
};

#define NAME(word, bit, name, text) [WORD_##word][bit] = (text),
static const char *const bit_name[CONTROL_WORDS][32] = {VMX_CONTROLS(NAME)};

#define CAPABILITY_NAME(bit, name, text) [bit] = (text),
static const char *const ept_vpid_bit_name[64] = {EPT_VPID_CAPABILITIES(CAPABILITY_NAME)};

const char *control_name(enum control_word word, unsigned bit)
{
    return bit < ARRAY_LENGTH(bit_name[0]) ? bit_name[word][bit] : NULL;
}

const char *control_word_name(enum control_word word)
{
    return word_name[word];
}

const char *ept_vpid_name(unsigned bit)
{
    return bit < ARRAY_LENGTH(ept_vpid_bit_name) ? ept_vpid_bit_name[bit] : NULL;
}
