// Finds \_S5 in ACPI machine language without interpreting it: the bytes of Name(_S5, Package...)
// are looked for, and every number in them is decoded with bounds. ACPI Specification, "ACPI
// Machine Language (AML) Specification".

#include "drivers/host/acpi/acpi_tables.h"
#include "lib/string.h"

enum aml_opcode {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_QWORD = 0x0e,
    AML_PACKAGE = 0x12,
    AML_ROOT = '\\',
    AML_ONES = 0xff,
};

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static bool take(struct cursor *cursor, uint8_t *byte)
{
    if (cursor->at == cursor->end)
        return false;
    *byte = *cursor->at++;
    return true;
}

// PkgLength: the two highest bits of the first byte count the bytes that follow. It counts itself;
// `cursor` is cut to the package.
static bool enter_package(struct cursor *cursor)
{
    const uint8_t *begin = cursor->at;
    uint8_t lead;
    if (!take(cursor, &lead))
        return false;
    unsigned following = lead >> 6;
    uint32_t length = following == 0 ? lead & 0x3fU : lead & 0x0fU;
    for (unsigned i = 0; i < following; i++) {
        uint8_t byte;
        if (!take(cursor, &byte))
            return false;
        length |= (uint32_t)byte << (4 + 8 * i);
    }
    if (length < (size_t)(cursor->at - begin) || length > (size_t)(cursor->end - begin))
        return false;
    cursor->end = begin + length;
    return true;
}

// An integer constant; sleep types are small, so only its low byte is kept.
static bool take_integer(struct cursor *cursor, uint8_t *value)
{
    static const uint8_t sizes[] = {
        [AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4, [AML_QWORD] = 8};
    uint8_t opcode;
    if (!take(cursor, &opcode))
        return false;
    if (opcode == AML_ZERO || opcode == AML_ONE || opcode == AML_ONES) {
        *value = opcode;
        return true;
    }
    size_t size = opcode < sizeof(sizes) ? sizes[opcode] : 0;
    if (size == 0 || (size_t)(cursor->end - cursor->at) < size)
        return false;
    *value = *cursor->at;
    cursor->at += size;
    return true;
}

static bool read_s5(struct cursor cursor, struct acpi_sleep_type *s5)
{
    uint8_t opcode, elements, pm1a, pm1b = 0;
    if (!take(&cursor, &opcode) || opcode != AML_PACKAGE || !enter_package(&cursor) ||
        !take(&cursor, &elements) || elements == 0 || !take_integer(&cursor, &pm1a))
        return false;
    // The second number is for PM1b; some tables leave it out.
    if (elements > 1 && !take_integer(&cursor, &pm1b))
        return false;
    // SLP_TYP has three bits.
    if (pm1a > 7 || pm1b > 7)
        return false;
    *s5 = (struct acpi_sleep_type){true, pm1a, pm1b};
    return true;
}

bool aml_find_s5(struct acpi_table table, struct acpi_sleep_type *s5)
{
    const uint8_t *code = table.bytes + ACPI_HEADER_BYTES;
    size_t length = table.length - ACPI_HEADER_BYTES;
    for (size_t i = 1; i + 4 < length; i++) {
        if (code[i] != '_' || memcmp(code + i, "_S5_", 4) != 0)
            continue;
        bool is_name = code[i - 1] == AML_NAME ||
                       (i > 1 && code[i - 1] == AML_ROOT && code[i - 2] == AML_NAME);
        struct cursor after = {code + i + 4, code + length};
        if (is_name && read_s5(after, s5))
            return true;
    }
    return false;
}
