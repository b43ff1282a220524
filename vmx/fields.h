// The names of the VMCS fields, and which of them a CPU has: for dumps and for the lines of the
// entry checker. SDM: appendix "Field Encoding in VMCS".
#pragma once

#include "lib/print.h"
#include "vmx/capabilities.h"
#include "vmx/vmcs.h"

struct vmcs_field_row {
    uint16_t encoding;
    const char *name;
    enum control_word word; // the field exists if these controls of this word may be 1
    uint64_t controls;      // 0: always
};

// All fields, by encoding.
extern const struct vmcs_field_row fields_table[];
extern const unsigned fields_count;

// Whether a CPU has the field. VMREAD of another one fails.
bool fields_exist(const struct vmcs_field_row *row, const struct vmx_capabilities *capabilities);

// The name of a field ("guest CS selector"), or NULL if the encoding is none of ours.
const char *fields_name(uint32_t encoding);

// Hexadecimal digits that hold the field.
unsigned fields_digits(uint32_t encoding);

// Prints the fields of one type that the CPU has, one a line: encoding, name, value. `read` gives
// the value.
void fields_print(struct printer *to, enum vmcs_type type,
                  const struct vmx_capabilities *capabilities,
                  uint64_t (*read)(void *context, uint32_t encoding), void *context);
