// The decoder of the instructions that the emulator executes: those that a guest uses on devices'
// memory. It reads bytes and nothing else. SDM: "Instruction Format", "Opcode Map".
#pragma once

#include "lib/bits.h"

// The operations and what people call them. ADD to CMP and ROL to SAR stand in the order of the
// opcode bits that choose among them; SAL is the same as SHL, IMUL goes to RDX:RAX.
// SYSTEM is SLDT to LTR (`condition` 0) and SGDT to LMSW (1), by `reg`: exits/system.c executes it.
// clang-format off
#define VM_OPERATIONS(OPERATION) \
    OPERATION(ADD, "ADD") \
    OPERATION(OR, "OR") \
    OPERATION(ADC, "ADC") \
    OPERATION(SBB, "SBB") \
    OPERATION(AND, "AND") \
    OPERATION(SUB, "SUB") \
    OPERATION(XOR, "XOR") \
    OPERATION(CMP, "CMP") \
    OPERATION(TEST, "TEST") \
    OPERATION(ROL, "ROL") \
    OPERATION(ROR, "ROR") \
    OPERATION(RCL, "RCL") \
    OPERATION(RCR, "RCR") \
    OPERATION(SHL, "SHL") \
    OPERATION(SHR, "SHR") \
    OPERATION(SAL, "SAL") \
    OPERATION(SAR, "SAR") \
    OPERATION(SHLD, "SHLD") \
    OPERATION(SHRD, "SHRD") \
    OPERATION(BT, "BT") \
    OPERATION(BTS, "BTS") \
    OPERATION(BTR, "BTR") \
    OPERATION(BTC, "BTC") \
    OPERATION(BSF, "BSF") \
    OPERATION(BSR, "BSR") \
    OPERATION(INC, "INC") \
    OPERATION(DEC, "DEC") \
    OPERATION(NEG, "NEG") \
    OPERATION(NOT, "NOT") \
    OPERATION(MUL, "MUL") \
    OPERATION(IMUL, "IMUL") \
    OPERATION(IMUL_REG, "IMUL") \
    OPERATION(DIV, "DIV") \
    OPERATION(IDIV, "IDIV") \
    OPERATION(MOV, "MOV") \
    OPERATION(MOVZX, "MOVZX") \
    OPERATION(MOVSX, "MOVSX") \
    OPERATION(MOVBE, "MOVBE") \
    OPERATION(MOV_FROM_SEGMENT, "MOV from a segment register") \
    OPERATION(CMOV, "CMOVcc") \
    OPERATION(SET, "SETcc") \
    OPERATION(XCHG, "XCHG") \
    OPERATION(XADD, "XADD") \
    OPERATION(CMPXCHG, "CMPXCHG") \
    OPERATION(CMPXCHG_PAIR, "CMPXCHG8B/16B") \
    OPERATION(CACHE_LINE, "CLFLUSH") \
    OPERATION(PUSH, "PUSH") \
    OPERATION(POP, "POP") \
    OPERATION(ENTER, "ENTER") \
    OPERATION(LEAVE, "LEAVE") \
    OPERATION(CALL, "CALL") \
    OPERATION(RET, "RET") \
    OPERATION(JMP, "JMP") \
    OPERATION(JMP_FAR, "far JMP") \
    OPERATION(MOV_TO_SEGMENT, "MOV to a segment register") \
    OPERATION(SYSTEM, "system-register access") \
    OPERATION(MOVS, "MOVS") \
    OPERATION(STOS, "STOS") \
    OPERATION(LODS, "LODS") \
    OPERATION(CMPS, "CMPS") \
    OPERATION(SCAS, "SCAS") \
    OPERATION(VECTOR, "MMX/SSE/AVX move")
// clang-format on

#define OPERATION_ENUMERATOR(name, text) OP_##name,
enum operation {
    OP_NONE = 0,
    OP_GROUP, // in the opcode tables only: ModRM.reg chooses
    VM_OPERATIONS(OPERATION_ENUMERATOR) OPERATIONS,
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
    FORM_OPCODE, // the register is in the opcode; decoded as FORM_RM
    FORM_IMM,
    FORM_BARE,
};

enum repeat { REPEAT_NONE, REPEAT_NOT_EQUAL, REPEAT_EQUAL }; // none, F2, F3

// How an SSE or AVX move treats its register.
enum vector_flags {
    VECTOR_ALIGNED = 1 << 0,   // memory must be aligned to its size
    VECTOR_LOW_HALF = 1 << 1,  // only the low 8 bytes of the register take part
    VECTOR_HIGH_HALF = 1 << 2, // only bytes 8 to 15
    VECTOR_MMX = 1 << 3,       // an MMX register; never with VEX
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

// Decodes one instruction of a code segment of `bits` (16, 32, 64). `is_protected`: not in real or
// virtual-8086 mode, which know neither VEX prefixes nor SLDT to LTR.
MUST_CHECK enum decode_result decode(const uint8_t *bytes, unsigned count, unsigned bits,
                                     bool is_protected, struct instruction *instruction);
