// The names of the VMCS fields, for the entry checker and the monitor. SDM: appendix "Field
// Encoding in VMCS".
#pragma once

#include "vmx/policy/vmcs.h"

struct vmcs_field_row {
    uint16_t encoding;
    const char *name;
};

// All fields.
extern const struct vmcs_field_row fields_table[];
extern const unsigned fields_count;

// The name of a field ("guest CS selector"), or NULL if the encoding is none of ours.
const char *fields_name(uint32_t encoding);

// Hexadecimal digits that hold the field.
unsigned fields_digits(uint32_t encoding);
