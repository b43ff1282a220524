// The names of the VMCS fields. See fields.h.

#include "vmx/policy/fields.h"

#define ROW(encoding, name, text) {encoding, text},

const struct vmcs_field_row fields_table[] = {VMCS_FIELDS(ROW)};
const unsigned fields_count = ARRAY_LENGTH(fields_table);

const char *fields_name(uint32_t encoding)
{
    for (unsigned i = 0; i < fields_count; i++)
        if (fields_table[i].encoding == encoding)
            return fields_table[i].name;
    return NULL;
}

unsigned fields_digits(uint32_t encoding)
{
    enum vmcs_width width = FIELD_GET(VMCS_ENCODING_WIDTH, encoding);
    return width == VMCS_16_BIT ? 4 : width == VMCS_32_BIT ? 8 : 16;
}
