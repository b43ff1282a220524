// The decoder of the instructions that the emulator executes: those that a guest uses on devices'
// memory. It reads bytes and nothing else. SDM: "Instruction Format", "Opcode Map".
#pragma once

#include "lib/bits.h"

// OP_ADD to OP_CMP and OP_ROL to OP_SAR stand in the order of the opcode bits that choose among
// them.
enum operation {
    OP_NONE = 0,
    OP_GROUP, // in the opcode tables only: ModRM.reg chooses
    // Arithmetic
    OP_ADD,
    OP_OR,
    OP_ADC,
    OP_SBB,
    OP_AND,
    OP_SUB,
    OP_XOR,
    OP_CMP,
    OP_TEST,
    OP_ROL,
    OP_ROR,
    OP_RCL,
    OP_RCR,
    OP_SHL,
    OP_SHR,
    OP_SAL, // the same as SHL
    OP_SAR,
    OP_SHLD,
    OP_SHRD,
    OP_BT,
    OP_BTS,
    OP_BTR,
    OP_BTC,
    OP_BSF,
    OP_BSR,
    OP_INC,
    OP_DEC,
    OP_NEG,
    OP_NOT,
    OP_MUL,
    OP_IMUL, // to RDX:RAX
    OP_IMUL_REG,
    OP_DIV,
    OP_IDIV,
    // Transfers
    OP_MOV,
    OP_MOVZX,
    OP_MOVSX,
    OP_MOVBE,
    OP_MOV_FROM_SEGMENT,
    OP_CMOV,
    OP_SET,
    OP_XCHG,
    OP_XADD,
    OP_CMPXCHG,
    OP_CMPXCHG_PAIR, // CMPXCHG8B, CMPXCHG16B
    OP_PUSH,
    OP_POP,
    OP_CACHE_LINE, // CLFLUSH, CLFLUSHOPT
    // String instructions
    OP_MOVS,
    OP_STOS,
    OP_LODS,
    OP_CMPS,
    OP_SCAS,
    // SSE and AVX moves between a register and memory
    OP_VECTOR,
    OPERATIONS,
};

// The operands, destination first.
enum form {
    FORM_NONE = 0,
    FORM_RM_REG,
    FORM_REG_RM,
    FORM_RM_IMM,
    FORM_RM,
    FORM_RM_ONE, // shifted by one
    FORM_RM_CL,
    FORM_RM_REG_IMM,
    FORM_RM_REG_CL,
    FORM_REG_RM_IMM,
    FORM_LOAD_OFFSET, // accumulator and an absolute offset; decoded as FORM_REG_RM and FORM_RM_REG
    FORM_STORE_OFFSET,
    FORM_STRING,
};

enum repeat { REPEAT_NONE, REPEAT_NOT_EQUAL, REPEAT_EQUAL }; // none, F2, F3

// How an SSE or AVX move treats its register.
enum vector_flags {
    VECTOR_ALIGNED = 1 << 0,   // memory must be aligned to its size
    VECTOR_LOW_HALF = 1 << 1,  // only the low 8 bytes of the register take part
    VECTOR_HIGH_HALF = 1 << 2, // only bytes 8 to 15
};

#define REGISTER_NONE 0xff
#define REGISTER_RIP  16

struct instruction {
    enum operation operation;
    enum form form;
    uint8_t length;
    uint8_t operand_size; // bytes: 1, 2, 4, 8; vectors also 16, 32
    uint8_t
        source_size; // bytes of the r/m operand where it differs (MOVZX, MOVSX), else operand_size
    uint8_t address_size; // bytes: 2, 4, 8
    uint8_t condition;    // of SETcc, CMOVcc
    uint8_t reg;          // ModRM.reg with its extension
    uint8_t rm;           // the register operand of ModRM.rm, if it is none in memory
    bool has_rex;         // byte registers 4 to 7 are SPL, BPL, SIL, DIL rather than AH, CH, DH, BH
    bool lock;
    bool is_vex;
    uint8_t vex_register; // VEX.vvvv
    uint8_t vector;       // VECTOR_ flags
    enum repeat repeat;

    bool is_memory; // ModRM.rm or the absolute offset names memory: segment:[base + index * scale +
                    // displacement]
    uint8_t segment; // enum segment_register; of a string instruction: of its source
    uint8_t base;    // enum gpr, REGISTER_RIP (the next instruction's address) or REGISTER_NONE
    uint8_t index;   // enum gpr or REGISTER_NONE
    uint8_t scale;   // 1, 2, 4, 8
    uint64_t displacement; // sign-extended
    uint64_t immediate;    // sign-extended
};

enum decode_result {
    DECODE_OK,
    DECODE_TRUNCATED, // more bytes are needed to say
    DECODE_INVALID,   // the CPU raises #UD
    DECODE_UNKNOWN,   // valid perhaps, but nothing that we emulate
};

// Decodes one instruction of a code segment of `bits` (16, 32, 64). `has_vex`: C4 and C5 begin VEX
// prefixes there (protected mode, not virtual-8086).
MUST_CHECK enum decode_result decode(const uint8_t *bytes, unsigned count, unsigned bits,
                                     bool has_vex, struct instruction *instruction);
