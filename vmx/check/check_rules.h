// What the files of the VM-entry checker share: reading a field, and reporting one that breaks a
// rule.
#pragma once

#include "vm/address.h"
#include "vm/vcpu.h"
#include "vmx/check/check.h"

static inline uint64_t field(const struct check *check, uint32_t encoding)
{
    return check->read(check->context, encoding);
}

// Reports the field unless the rule holds.
void check_that(struct check *check, bool holds, uint32_t encoding, const char *rule);

// The bits under `mask` are 0.
void check_zero(struct check *check, uint32_t encoding, uint64_t mask, const char *rule);

// The field is a physical address within the CPU's width whose bits under `zero` are 0.
void check_physical(struct check *check, uint32_t encoding, uint64_t zero);

void check_canonical(struct check *check, uint32_t encoding);

// `value` of a control register within the bits that VMX operation fixes.
void check_fixed(struct check *check, uint32_t encoding, struct control_range range,
                 uint64_t except);

// The MSRs that entries and exits load, with the same rules for guest and host.
void check_pat(struct check *check, uint32_t encoding);
void check_perf_global(struct check *check, uint32_t encoding);
void check_s_cet(struct check *check, uint32_t encoding);
void check_pkrs(struct check *check, uint32_t encoding);
bool check_efer(struct check *check, uint32_t encoding);

extern const enum vmcs_field check_word_field[CONTROL_WORDS];

// A word of controls, 0 where its activation bit is off.
uint64_t check_word(const struct check *check, enum control_word word);

static inline bool check_uses(const struct check *check, enum control_word word, uint64_t control)
{
    return check_word(check, word) & control;
}

// The parts of check_guest() that have their own files.
void check_segments(struct check *check);
void check_interruptibility(struct check *check);
