// The opcode tables of the decoder: a row is one opcode, a blank row one that the emulator does not
// know. Instructions that cannot touch memory are left out. SDM: "Opcode Map".

#include "vm/emulate/opcodes.h"

enum {
    GROUP_1,
    GROUP_1A,
    GROUP_2,
    GROUP_2_ONE,
    GROUP_2_CL,
    GROUP_3,
    GROUP_4,
    GROUP_5,
    GROUP_6,
    GROUP_7,
    GROUP_8,
    GROUP_9,
    GROUP_11,
    GROUP_15
};

#define B OPCODE_BYTE
#define L OPCODE_LOCK

// An opcode for bytes, and the next one for the other sizes.
#define BOTH(first, name, form, flags)                                                             \
    [first] = {name, form, B | (flags)}, [(first) + 1] = {name, form, flags}

// The four forms with ModRM of one arithmetic operation.
#define ARITHMETIC(first, name, lock)                                                              \
    BOTH(first, name, FORM_RM_REG, lock), BOTH((first) + 2, name, FORM_REG_RM, 0)

#define FOUR(first, ...)                                                                           \
    [first] = __VA_ARGS__, [(first) + 1] = __VA_ARGS__, [(first) + 2] = __VA_ARGS__,               \
    [(first) + 3] = __VA_ARGS__
#define EIGHT(first, ...)   FOUR(first, __VA_ARGS__), FOUR((first) + 4, __VA_ARGS__)
#define SIXTEEN(first, ...) EIGHT(first, __VA_ARGS__), EIGHT((first) + 8, __VA_ARGS__)

const struct opcode opcode_one_byte[256] = {
    ARITHMETIC(0x00, OP_ADD, L),
    ARITHMETIC(0x08, OP_OR, L),
    ARITHMETIC(0x10, OP_ADC, L),
    ARITHMETIC(0x18, OP_SBB, L),
    ARITHMETIC(0x20, OP_AND, L),
    ARITHMETIC(0x28, OP_SUB, L),
    ARITHMETIC(0x30, OP_XOR, L),
    ARITHMETIC(0x38, OP_CMP, 0),
    EIGHT(0x50, {OP_PUSH, FORM_OPCODE, OPCODE_WIDE}),
    EIGHT(0x58, {OP_POP, FORM_OPCODE, OPCODE_WIDE}),
    [0x63] = {OP_MOVSX, FORM_REG_RM, OPCODE_ONLY_64 | OPCODE_SOURCE_32},
    [0x68] = {OP_PUSH, FORM_IMM, OPCODE_WIDE},
    [0x69] = {OP_IMUL_REG, FORM_REG_RM_IMM, 0},
    [0x6a] = {OP_PUSH, FORM_IMM, OPCODE_WIDE | OPCODE_IMM8},
    [0x6b] = {OP_IMUL_REG, FORM_REG_RM_IMM, OPCODE_IMM8},
    BOTH(0x80, OP_GROUP, GROUP_1, 0),
    [0x82] = {OP_GROUP, GROUP_1, B | OPCODE_NOT_64},
    [0x83] = {OP_GROUP, GROUP_1, OPCODE_IMM8},
    BOTH(0x84, OP_TEST, FORM_RM_REG, 0),
    BOTH(0x86, OP_XCHG, FORM_RM_REG, L),
    BOTH(0x88, OP_MOV, FORM_RM_REG, 0),
    BOTH(0x8a, OP_MOV, FORM_REG_RM, 0),
    [0x8c] = {OP_MOV_FROM_SEGMENT, FORM_RM_REG, 0},
    [0x8e] = {OP_MOV_TO_SEGMENT, FORM_REG_RM, 0},
    [0x8f] = {OP_GROUP, GROUP_1A, OPCODE_WIDE},
    BOTH(0xa0, OP_MOV, FORM_LOAD_OFFSET, 0),
    BOTH(0xa2, OP_MOV, FORM_STORE_OFFSET, 0),
    BOTH(0xa4, OP_MOVS, FORM_STRING, 0),
    BOTH(0xa6, OP_CMPS, FORM_STRING, 0),
    BOTH(0xaa, OP_STOS, FORM_STRING, 0),
    BOTH(0xac, OP_LODS, FORM_STRING, 0),
    BOTH(0xae, OP_SCAS, FORM_STRING, 0),
    BOTH(0xc0, OP_GROUP, GROUP_2, 0),
    [0xc2] = {OP_RET, FORM_IMM, OPCODE_NEAR | OPCODE_IMM16},
    [0xc3] = {OP_RET, FORM_BARE, OPCODE_NEAR},
    BOTH(0xc6, OP_GROUP, GROUP_11, 0),
    [0xc8] = {OP_ENTER, FORM_IMM, OPCODE_WIDE | OPCODE_IMM8 | OPCODE_IMM16},
    [0xc9] = {OP_LEAVE, FORM_BARE, OPCODE_WIDE},
    BOTH(0xd0, OP_GROUP, GROUP_2_ONE, 0),
    BOTH(0xd2, OP_GROUP, GROUP_2_CL, 0),
    [0xe8] = {OP_CALL, FORM_IMM, OPCODE_NEAR},
    BOTH(0xf6, OP_GROUP, GROUP_3, 0),
    [0xfe] = {OP_GROUP, GROUP_4, B},
    [0xff] = {OP_GROUP, GROUP_5, 0},
};

const struct opcode opcode_two_byte[256] = {
    [0x00] = {OP_GROUP, GROUP_6, 0},
    [0x01] = {OP_GROUP, GROUP_7, 0},
    SIXTEEN(0x40, {OP_CMOV, FORM_REG_RM, 0}),
    SIXTEEN(0x90, {OP_SET, FORM_RM, B}),
    [0xa3] = {OP_BT, FORM_RM_REG, 0},
    [0xa4] = {OP_SHLD, FORM_RM_REG_IMM, OPCODE_IMM8},
    [0xa5] = {OP_SHLD, FORM_RM_REG_CL, 0},
    [0xab] = {OP_BTS, FORM_RM_REG, L},
    [0xac] = {OP_SHRD, FORM_RM_REG_IMM, OPCODE_IMM8},
    [0xad] = {OP_SHRD, FORM_RM_REG_CL, 0},
    [0xae] = {OP_GROUP, GROUP_15, OPCODE_NO_REPEAT},
    [0xaf] = {OP_IMUL_REG, FORM_REG_RM, 0},
    BOTH(0xb0, OP_CMPXCHG, FORM_RM_REG, L),
    [0xb3] = {OP_BTR, FORM_RM_REG, L},
    [0xb6] = {OP_MOVZX, FORM_REG_RM, OPCODE_SOURCE_8},
    [0xb7] = {OP_MOVZX, FORM_REG_RM, OPCODE_SOURCE_16},
    [0xba] = {OP_GROUP, GROUP_8, 0},
    [0xbb] = {OP_BTC, FORM_RM_REG, L},
    [0xbc] = {OP_BSF, FORM_REG_RM, OPCODE_NO_F3},
    [0xbd] = {OP_BSR, FORM_REG_RM, OPCODE_NO_F3},
    [0xbe] = {OP_MOVSX, FORM_REG_RM, OPCODE_SOURCE_8},
    [0xbf] = {OP_MOVSX, FORM_REG_RM, OPCODE_SOURCE_16},
    BOTH(0xc0, OP_XADD, FORM_RM_REG, L),
    [0xc3] = {OP_MOV, FORM_RM_REG, OPCODE_MEMORY | OPCODE_PLAIN | OPCODE_NARROW}, // MOVNTI
    [0xc7] = {OP_GROUP, GROUP_9, 0},
};

// clang-format off
#define IMM(name, flags) {OP_##name, FORM_RM_IMM, flags}
#define RM(name, flags) {OP_##name, FORM_RM, flags}
#define SHIFTS(form, flags) \
    {{OP_ROL, form, flags}, {OP_ROR, form, flags}, {OP_RCL, form, flags}, {OP_RCR, form, flags}, \
     {OP_SHL, form, flags}, {OP_SHR, form, flags}, {OP_SAL, form, flags}, {OP_SAR, form, flags}}
#define SYSTEM RM(SYSTEM, OPCODE_MEMORY)

const struct opcode opcode_group[][8] = {
    [GROUP_1] = {IMM(ADD, L), IMM(OR, L), IMM(ADC, L), IMM(SBB, L),
                 IMM(AND, L), IMM(SUB, L), IMM(XOR, L), IMM(CMP, 0)},
    [GROUP_1A] = {RM(POP, 0)},
    [GROUP_2] = SHIFTS(FORM_RM_IMM, OPCODE_IMM8),
    [GROUP_2_ONE] = SHIFTS(FORM_RM_ONE, 0),
    [GROUP_2_CL] = SHIFTS(FORM_RM_CL, 0),
    [GROUP_3] = {IMM(TEST, 0), IMM(TEST, 0), RM(NOT, L), RM(NEG, L),
                 RM(MUL, 0), RM(IMUL, 0), RM(DIV, 0), RM(IDIV, 0)},
    [GROUP_4] = {RM(INC, L), RM(DEC, L)},
    [GROUP_5] = {RM(INC, L), RM(DEC, L), RM(CALL, OPCODE_NEAR), {0},
                 RM(JMP, OPCODE_NEAR), RM(JMP_FAR, OPCODE_MEMORY), RM(PUSH, OPCODE_WIDE)},
    [GROUP_6] = {SYSTEM, SYSTEM, SYSTEM, SYSTEM},
    [GROUP_7] = {SYSTEM, SYSTEM, SYSTEM, SYSTEM, SYSTEM, [6] = SYSTEM},
    [GROUP_8] = {[4] = IMM(BT, OPCODE_IMM8), IMM(BTS, OPCODE_IMM8 | L),
                 IMM(BTR, OPCODE_IMM8 | L), IMM(BTC, OPCODE_IMM8 | L)},
    [GROUP_9] = {[1] = RM(CMPXCHG_PAIR, OPCODE_MEMORY | OPCODE_NARROW | L)},
    [GROUP_11] = {IMM(MOV, 0)},
    // CLFLUSH; with 66 CLFLUSHOPT
    [GROUP_15] = {[7] = RM(CACHE_LINE, B | OPCODE_MEMORY)},
};
// clang-format on

#define ALIGNED VECTOR_ALIGNED
#define LOW     VECTOR_LOW_HALF
#define HIGH    VECTOR_HIGH_HALF
#define MMX     VECTOR_MMX
#define NONE    BIT32(PREFIX_NONE)
#define P66     BIT32(PREFIX_66)
#define F3      BIT32(PREFIX_F3)
#define F2      BIT32(PREFIX_F2)

static const struct vector_opcode vector_opcodes[] = {
    {1, 0x10, NONE | P66, FORM_REG_RM, 16, 0, false},       // MOVUPS, MOVUPD
    {1, 0x10, F3, FORM_REG_RM, 4, 0, true},                 // MOVSS
    {1, 0x10, F2, FORM_REG_RM, 8, 0, true},                 // MOVSD
    {1, 0x11, NONE | P66, FORM_RM_REG, 16, 0, false},       //
    {1, 0x11, F3, FORM_RM_REG, 4, 0, true},                 //
    {1, 0x11, F2, FORM_RM_REG, 8, 0, true},                 //
    {1, 0x12, NONE | P66, FORM_REG_RM, 8, LOW, false},      // MOVLPS, MOVLPD
    {1, 0x13, NONE | P66, FORM_RM_REG, 8, LOW, false},      //
    {1, 0x16, NONE | P66, FORM_REG_RM, 8, HIGH, false},     // MOVHPS, MOVHPD
    {1, 0x17, NONE | P66, FORM_RM_REG, 8, HIGH, false},     //
    {1, 0x28, NONE | P66, FORM_REG_RM, 16, ALIGNED, false}, // MOVAPS, MOVAPD
    {1, 0x29, NONE | P66, FORM_RM_REG, 16, ALIGNED, false}, //
    {1, 0x2b, NONE | P66, FORM_RM_REG, 16, ALIGNED, false}, // MOVNTPS, MOVNTPD
    {1, 0x6e, NONE, FORM_REG_RM, 0, MMX, false},            // MOVD, MOVQ of MMX registers
    {1, 0x6f, NONE, FORM_REG_RM, 8, MMX, false},            //
    {1, 0x7e, NONE, FORM_RM_REG, 0, MMX, false},            //
    {1, 0x7f, NONE, FORM_RM_REG, 8, MMX, false},            //
    {1, 0xe7, NONE, FORM_RM_REG, 8, MMX, false},            // MOVNTQ
    {1, 0x6e, P66, FORM_REG_RM, 0, 0, false},               // MOVD, MOVQ
    {1, 0x7e, P66, FORM_RM_REG, 0, 0, false},               //
    {1, 0x7e, F3, FORM_REG_RM, 8, 0, false},                // MOVQ
    {1, 0xd6, P66, FORM_RM_REG, 8, 0, false},               //
    {1, 0x6f, P66, FORM_REG_RM, 16, ALIGNED, false},        // MOVDQA
    {1, 0x6f, F3, FORM_REG_RM, 16, 0, false},               // MOVDQU
    {1, 0x7f, P66, FORM_RM_REG, 16, ALIGNED, false},        //
    {1, 0x7f, F3, FORM_RM_REG, 16, 0, false},               //
    {1, 0xe7, P66, FORM_RM_REG, 16, ALIGNED, false},        // MOVNTDQ
    {1, 0xf0, F2, FORM_REG_RM, 16, 0, false},               // LDDQU
    {2, 0x2a, P66, FORM_REG_RM, 16, ALIGNED, false},        // MOVNTDQA
};

const struct vector_opcode *vector_opcode_find(unsigned map, uint8_t opcode,
                                               enum vector_prefix prefix)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(vector_opcodes); i++) {
        const struct vector_opcode *row = &vector_opcodes[i];
        if (row->opcode == opcode && row->map == map && (row->prefixes & BIT32(prefix)))
            return row;
    }
    return NULL;
}
