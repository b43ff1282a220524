// The opcode tables of the decoder.
#pragma once

#include "vm/emulate/decode.h"

enum opcode_flags {
    OPCODE_BYTE = BIT32(0),   // byte operands
    OPCODE_IMM8 = BIT32(1),   // immediate of one byte, sign-extended
    OPCODE_LOCK = BIT32(2),   // may carry LOCK when its destination is memory
    OPCODE_WIDE = BIT32(3),   // operand size 64 by default in 64-bit mode, never 32
    OPCODE_MEMORY = BIT32(4), // #UD with a register
    OPCODE_ONLY_64 = BIT32(5),
    OPCODE_NOT_64 = BIT32(6),
    OPCODE_PLAIN = BIT32(7),     // another instruction with 66, F2 or F3
    OPCODE_NO_REPEAT = BIT32(8), // another instruction with F2 or F3
    OPCODE_SOURCE_8 = BIT32(9),  // width of the r/m operand
    OPCODE_SOURCE_16 = BIT32(10),
    OPCODE_SOURCE_32 = BIT32(11),
    OPCODE_NARROW = BIT32(12), // never 16 bits
    OPCODE_NO_F3 = BIT32(13),  // another instruction with F3
    OPCODE_NEAR = BIT32(14),   // operand size 64 in 64-bit mode whatever the prefixes
    OPCODE_IMM16 = BIT32(15),  // immediate of two bytes; with OPCODE_IMM8, of three
};

struct opcode {
    uint8_t operation; // enum operation
    uint8_t form;      // enum form; of OP_GROUP: its index in opcode_group
    uint16_t flags;
};

extern const struct opcode opcode_one_byte[256];
extern const struct opcode opcode_two_byte[256]; // after 0F
extern const struct opcode opcode_group[][8];    // by ModRM.reg

enum vector_prefix { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 }; // as VEX.pp counts

struct vector_opcode {
    uint8_t map; // 1: 0F, 2: 0F 38
    uint8_t opcode;
    uint8_t prefixes; // any of these: bits of enum vector_prefix
    uint8_t form;
    uint8_t size;    // bytes of memory; 16: 32 with VEX.L; 0: 4, or 8 with W
    uint8_t flags;   // VECTOR_
    bool any_length; // VEX.L is ignored
};

// The SSE or AVX move that these bytes name, or NULL.
const struct vector_opcode *vector_opcode_find(unsigned map, uint8_t opcode,
                                               enum vector_prefix prefix);
