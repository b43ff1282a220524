// monitor/operands.c: the operands of instructions, byte for byte.

#include "tests/unit/support.h"

#include "monitor/operands.h"

static const struct {
    unsigned bits, count;
    const char *bytes, *words;
} rows[] = {
#define ROW(bits, bytes, words)                                                                    \
    {                                                                                              \
        bits, sizeof(bytes) - 1, bytes, words                                                      \
    }
    ROW(64, "\x89\x07", " [RDI], EAX"),
    ROW(64, "\x4c\x8b\x8c\xcb\x78\x56\x34\x12", " R9, [RBX+RCX*8+0x12345678]"),
    ROW(64, "\x8a\x65\xf0", " AH, [RBP-0x10]"),
    ROW(64, "\x40\x88\x20", " [RAX], SPL"),
    ROW(64, "\x66\x44\x89\x25\x10\x00\x00\x00", " [RIP+0x10], R12W"),
    ROW(64, "\x8b\x04\x25\x00\x03\xe0\xfe", " EAX, [0xfffffffffee00300]"),
    ROW(64, "\xc7\x00\xff\xff\xff\xff", " dword [RAX], -1"),
    ROW(64, "\x48\x83\x00\x05", " qword [RAX], 5"),
    ROW(64, "\xff\x00", " dword [RAX]"),
    ROW(64, "\xd0\x20", " byte [RAX], 1"),
    ROW(64, "\xd3\x20", " dword [RAX], CL"),
    ROW(64, "\x0f\xa4\x10\x07", " [RAX], EDX, 7"),
    ROW(64, "\x6b\x02\x09", " EAX, [RDX], 9"),
    ROW(64, "\xf3\x48\xa5", "Q, repeated"),
    ROW(64, "\x64\x8b\x00", " EAX, FS:[RAX]"),
    ROW(64, "\xc5\xfe\x6f\x0f", " YMM1, [RDI]"),
    ROW(64, "\x0f\x6f\x1f", " MM3, [RDI]"),
    ROW(64, "\x0f\x01\x10", " [RAX]"),
    ROW(64, "\x6a\xf9", " -7"),
    ROW(64, "\x55", " RBP"),
    ROW(32, "\x3e\x8b\x45\x04", " EAX, [EBP+0x4]"),
    ROW(32, "\x26\xa0\x10\x00\x00\x00", " AL, ES:[0x10]"),
    ROW(16, "\x89\x42\x02", " [BP+SI*1+0x2], AX"),
};

static void operands_are_written_as_an_assembler_has_them(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct instruction instruction;
        char text[OPERANDS_SIZE];
        assert_int_equal(
            decode((const uint8_t *)rows[i].bytes, rows[i].count, rows[i].bits, true, &instruction),
            DECODE_OK);
        operands_format(text, &instruction);
        assert_string_equal(text, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_written_as_an_assembler_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
