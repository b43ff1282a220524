// The decoder of the instructions that the emulator executes: those that a guest uses on devices'
// memory. It reads bytes and nothing else. SDM: "Instruction Format", "Opcode Map".
#pragma once

#include "lib/bits.h"

// The operations, what people call them, and for the emulator (vm/emulate/context.h) how the
// operand of ModRM.rm is used, the groups of state that it needs, and the function that does the
// rest. ADD to CMP and ROL to SAR stand in the order of the opcode bits that choose among them,
// left and right by turns from ROL to SHRD; SAL is the same as SHL, IMUL goes to RDX:RAX. SYSTEM is
// SLDT to LTR (`condition` 0) and SGDT to LMSW (1), by `reg`: exits/emulate.c executes it. INS and
// OUTS come from exits/io.c, with the port in `immediate`.
// clang-format off
#define VM_OPERATIONS(OPERATION) \
    OPERATION(ADD, "ADD", CHANGE, 0, arithmetic) \
    OPERATION(OR, "OR", CHANGE, 0, arithmetic) \
    OPERATION(ADC, "ADC", CHANGE, 0, arithmetic) \
    OPERATION(SBB, "SBB", CHANGE, 0, arithmetic) \
    OPERATION(AND, "AND", CHANGE, 0, arithmetic) \
    OPERATION(SUB, "SUB", CHANGE, 0, arithmetic) \
    OPERATION(XOR, "XOR", CHANGE, 0, arithmetic) \
    OPERATION(CMP, "CMP", READ, 0, arithmetic) \
    OPERATION(TEST, "TEST", READ, 0, arithmetic) \
    OPERATION(ROL, "ROL", CHANGE, 0, shift) \
    OPERATION(ROR, "ROR", CHANGE, 0, shift) \
    OPERATION(RCL, "RCL", CHANGE, 0, shift) \
    OPERATION(RCR, "RCR", CHANGE, 0, shift) \
    OPERATION(SHL, "SHL", CHANGE, 0, shift) \
    OPERATION(SHR, "SHR", CHANGE, 0, shift) \
    OPERATION(SAL, "SAL", CHANGE, 0, shift) \
    OPERATION(SAR, "SAR", CHANGE, 0, shift) \
    OPERATION(SHLD, "SHLD", CHANGE, 0, shift) \
    OPERATION(SHRD, "SHRD", CHANGE, 0, shift) \
    OPERATION(BT, "BT", NONE, 0, bit) \
    OPERATION(BTS, "BTS", NONE, 0, bit) \
    OPERATION(BTR, "BTR", NONE, 0, bit) \
    OPERATION(BTC, "BTC", NONE, 0, bit) \
    OPERATION(BSF, "BSF", READ, 0, scan) \
    OPERATION(BSR, "BSR", READ, 0, scan) \
    OPERATION(INC, "INC", CHANGE, 0, unary) \
    OPERATION(DEC, "DEC", CHANGE, 0, unary) \
    OPERATION(NEG, "NEG", CHANGE, 0, unary) \
    OPERATION(NOT, "NOT", CHANGE, 0, unary) \
    OPERATION(MUL, "MUL", READ, 0, multiply_divide) \
    OPERATION(IMUL, "IMUL", READ, 0, multiply_divide) \
    OPERATION(IMUL_REG, "IMUL", READ, 0, multiply_register) \
    OPERATION(DIV, "DIV", READ, 0, multiply_divide) \
    OPERATION(IDIV, "IDIV", READ, 0, multiply_divide) \
    OPERATION(MOV, "MOV", WRITE, 0, move) \
    OPERATION(MOVZX, "MOVZX", READ, 0, extend) \
    OPERATION(MOVSX, "MOVSX", READ, 0, extend) \
    OPERATION(MOVBE, "MOVBE", WRITE, 0, move) \
    OPERATION(MOV_FROM_SEGMENT, "MOV from a segment register", WRITE, STATE_SEGMENTS, move_from_segment) \
    OPERATION(CMOV, "CMOVcc", READ, 0, conditional_move) \
    OPERATION(SET, "SETcc", WRITE, 0, set) \
    OPERATION(XCHG, "XCHG", CHANGE, 0, exchange) \
    OPERATION(XADD, "XADD", CHANGE, 0, exchange) \
    OPERATION(CMPXCHG, "CMPXCHG", CHANGE, 0, compare_exchange) \
    OPERATION(CMPXCHG_PAIR, "CMPXCHG8B/16B", NONE, 0, compare_exchange_pair) \
    OPERATION(CACHE_LINE, "CLFLUSH", CHECK, 0, cache_line) \
    OPERATION(PUSH, "PUSH", CHECK, 0, push) \
    OPERATION(POP, "POP", NONE, 0, pop) \
    OPERATION(ENTER, "ENTER", NONE, 0, enter) \
    OPERATION(LEAVE, "LEAVE", NONE, 0, leave) \
    OPERATION(CALL, "CALL", CHECK, 0, call) \
    OPERATION(RET, "RET", NONE, 0, return) \
    OPERATION(JMP, "JMP", READ, 0, jump) \
    OPERATION(JMP_FAR, "far JMP", NONE, STATE_SEGMENTS, far_jump) \
    OPERATION(MOV_TO_SEGMENT, "MOV to a segment register", READ, STATE_SEGMENTS, move_to_segment) \
    OPERATION(SYSTEM, "system-register access", NONE, 0, elsewhere) \
    OPERATION(MOVS, "MOVS", NONE, 0, string) \
    OPERATION(STOS, "STOS", NONE, 0, string) \
    OPERATION(LODS, "LODS", NONE, 0, string) \
    OPERATION(CMPS, "CMPS", NONE, 0, string) \
    OPERATION(SCAS, "SCAS", NONE, 0, string) \
    OPERATION(INS, "INS", NONE, 0, string) \
    OPERATION(OUTS, "OUTS", NONE, 0, string) \
    OPERATION(VECTOR, "MMX/SSE/AVX move", NONE, STATE_FPU, vector)
// clang-format on

#define OPERATION_ENUMERATOR(name, text, use, groups, function) OP_##name,
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
    // bytes of the r/m operand where it differs (MOVZX, MOVSX), else operand_size
    uint8_t source_size;
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

    // ModRM.rm or the absolute offset names memory: segment:[base + index * scale + displacement]
    bool is_memory;
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
