// vm/emulate/decode.c against libzydis: the same length, operand size and memory operand for
// millions of instructions, every opcode with every kind of ModRM among them; and every prefix of
// an instruction is told from a whole one.

#include "tests/unit/decode_oracle.h"
#include "tests/unit/support.h"

#define LONGEST 15 // bytes of an instruction

static uint64_t seed;

static uint32_t draw(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % limit);
}

static void print_bytes(const uint8_t *bytes, const struct decode_mode *mode, const char *what)
{
    printf("%u bits, %s:", mode->bits, what);
    for (unsigned i = 0; i < LONGEST; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

static unsigned disagreements;

static void check_agreement(const uint8_t *bytes, const struct decode_mode *mode)
{
    const char *disagreement = decode_disagreement(bytes, LONGEST, mode);
    if (disagreement && disagreements++ < 20)
        print_bytes(bytes, mode, disagreement);
}

// Prefixes (often none), then an opcode of a random map, then anything.
static void make_instruction(uint8_t bytes[LONGEST])
{
    static const uint8_t prefixes[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36,
                                       0x3e, 0x26, 0x64, 0x65, 0x40, 0x48, 0x44, 0x4f};
    unsigned at = 0;
    for (unsigned i = 0; i < LONGEST; i++)
        bytes[i] = (uint8_t)draw(256);
    while (at < 5 && draw(3) == 0)
        bytes[at++] = prefixes[draw(ARRAY_LENGTH(prefixes))];
    switch (draw(8)) {
    case 0:
    case 1:
    case 2:
        bytes[at] = 0x0f;
        break;
    case 3:
        bytes[at] = 0x0f;
        bytes[at + 1] = 0x38;
        break;
    case 4:
        bytes[at] = 0xc5;
        bytes[at + 1] |= 0x78;
        break;
    case 5:
        bytes[at] = 0xc4;
        bytes[at + 1] = (uint8_t)((bytes[at + 1] & 0xe0) | draw(3));
        bytes[at + 2] |= 0x78;
        break;
    default:
        break;
    }
}

static void millions_of_instructions_decode_as_zydis_says(void **state)
{
    unsigned understood = 0;
    for (unsigned round = 0; round < 3000000; round++) {
        uint8_t bytes[LONGEST];
        const struct decode_mode *mode = &decode_modes[draw(ARRAY_LENGTH(decode_modes))];
        struct instruction instruction;
        make_instruction(bytes);
        check_agreement(bytes, mode);
        understood +=
            decode(bytes, sizeof(bytes), mode->bits, mode->has_vex, &instruction) == DECODE_OK;
    }
    assert_int_equal(disagreements, 0);
    assert_true(understood > 300000);
}

static void every_opcode_with_every_modrm(void **state)
{
    for (unsigned m = 0; m < ARRAY_LENGTH(decode_modes); m++)
        for (unsigned map = 0; map < 2; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                for (unsigned modrm = 0; modrm < 256; modrm++) {
                    uint8_t bytes[LONGEST + 1] = {
                        0x0f, (uint8_t)opcode, (uint8_t)modrm, 0x25, 0x81, 0x02, 0x83, 0x04};
                    check_agreement(bytes + (map ? 0 : 1), &decode_modes[m]);
                }
    assert_int_equal(disagreements, 0);
}

static void a_cut_instruction_is_truncated(void **state)
{
    unsigned seen = 0;
    while (seen < 20000) {
        uint8_t bytes[LONGEST];
        const struct decode_mode *mode = &decode_modes[draw(ARRAY_LENGTH(decode_modes))];
        struct instruction instruction;
        make_instruction(bytes);
        if (decode(bytes, sizeof(bytes), mode->bits, mode->has_vex, &instruction) != DECODE_OK)
            continue;
        seen++;
        for (unsigned count = 0; count < instruction.length; count++) {
            struct instruction cut;
            assert_int_equal(decode(bytes, count, mode->bits, mode->has_vex, &cut),
                             DECODE_TRUNCATED);
        }
    }
}

static enum decode_result decode_64(const char *bytes, unsigned count)
{
    struct instruction instruction;
    return decode((const uint8_t *)bytes, count, 64, true, &instruction);
}

static void lock_is_for_changes_of_memory(void **state)
{
    assert_int_equal(decode_64("\xf0\x01\x07", 3), DECODE_OK);          // add [rdi], eax
    assert_int_equal(decode_64("\xf0\x03\x07", 3), DECODE_INVALID);     // add eax, [rdi]
    assert_int_equal(decode_64("\xf0\x01\xc7", 3), DECODE_INVALID);     // add edi, eax
    assert_int_equal(decode_64("\xf0\x39\x07", 3), DECODE_INVALID);     // cmp [rdi], eax
    assert_int_equal(decode_64("\xf0\x89\x07", 3), DECODE_INVALID);     // mov [rdi], eax
    assert_int_equal(decode_64("\xf0\x0f\xc7\x0f", 4), DECODE_OK);      // cmpxchg8b [rdi]
    assert_int_equal(decode_64("\xf0\x0f\xa3\x07", 4), DECODE_INVALID); // bt [rdi], eax
    assert_int_equal(decode_64("\xf0\x0f\xab\x07", 4), DECODE_OK);      // bts [rdi], eax
}

static void sixteen_bytes_are_too_many(void **state)
{
    struct instruction instruction;
    uint8_t bytes[LONGEST];
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(decode(bytes, 15, 64, true, &instruction), DECODE_TRUNCATED);
    memcpy(bytes + 13, "\x8b\x07", 2);
    assert_int_equal(decode(bytes, 15, 64, true, &instruction), DECODE_OK);
    assert_int_equal(instruction.length, 15);
}

int main(int count, char **arguments)
{
    seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_opcode_with_every_modrm),
        cmocka_unit_test(millions_of_instructions_decode_as_zydis_says),
        cmocka_unit_test(a_cut_instruction_is_truncated),
        cmocka_unit_test(lock_is_for_changes_of_memory),
        cmocka_unit_test(sixteen_bytes_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
