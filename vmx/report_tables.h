// The tables of the full capability report; see report.h.
#pragma once

#include "vmx/report.h"

// The capability MSRs with names and values, and the numbers in IA32_VMX_BASIC and IA32_VMX_MISC.
void report_msrs(struct printer *to, const struct vmx_capabilities *all);

// The same as bare numbers, three a line.
void report_values(struct printer *to, const struct vmx_capabilities *all);

// Each control of a word that has a name: whether it may be 0, may be 1, and what `used` says.
// Nothing if the CPUs do not have the word.
void report_word(struct printer *to, enum control_word word, const struct control_range *range,
                 uint64_t used);

void report_ept_vpid(struct printer *to, const struct vmx_capabilities *all);
