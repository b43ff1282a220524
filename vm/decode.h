// The decoder of the instructions that the emulator executes: those that a guest uses on devices'
// memory. It reads bytes and nothing else. SDM: "Instruction Format", "Opcode Map".
#pragma once

#include "lib/bits.h"

// The operations, what people call them, and the emulator's function for them (vm/emulation.h). ADD
// to CMP and ROL to SAR stand in the order of the opcode bits that choose among them, left and
// right by turns from ROL to SHRD; SAL is the same as SHL, IMUL goes to RDX:RAX. SYSTEM is SLDT to
// LTR (`condition` 0) and SGDT to LMSW (1), by `reg`: exits/system.c executes it.
// clang-format off
#define VM_OPERATIONS(OPERATION) \
    OPERATION(ADD, "ADD", arithmetic) \
    OPERATION(OR, "OR", arithmetic) \
    OPERATION(ADC, "ADC", arithmetic) \
    OPERATION(SBB, "SBB", arithmetic) \
    OPERATION(AND, "AND", arithmetic) \
    OPERATION(SUB, "SUB", arithmetic) \
    OPERATION(XOR, "XOR", arithmetic) \
    OPERATION(CMP, "CMP", arithmetic) \
    OPERATION(TEST, "TEST", arithmetic) \
    OPERATION(ROL, "ROL", shift) \
    OPERATION(ROR, "ROR", shift) \
    OPERATION(RCL, "RCL", shift) \
    OPERATION(RCR, "RCR", shift) \
    OPERATION(SHL, "SHL", shift) \
    OPERATION(SHR, "SHR", shift) \
    OPERATION(SAL, "SAL", shift) \
    OPERATION(SAR, "SAR", shift) \
    OPERATION(SHLD, "SHLD", shift) \
    OPERATION(SHRD, "SHRD", shift) \
    OPERATION(BT, "BT", bit) \
    OPERATION(BTS, "BTS", bit) \
    OPERATION(BTR, "BTR", bit) \
    OPERATION(BTC, "BTC", bit) \
    OPERATION(BSF, "BSF", scan) \
    OPERATION(BSR, "BSR", scan) \
    OPERATION(INC, "INC", unary) \
    OPERATION(DEC, "DEC", unary) \
    OPERATION(NEG, "NEG", unary) \
    OPERATION(NOT, "NOT", unary) \
    OPERATION(MUL, "MUL", multiply_divide) \
    OPERATION(IMUL, "IMUL", multiply_divide) \
    OPERATION(IMUL_REG, "IMUL", multiply_register) \
    OPERATION(DIV, "DIV", multiply_divide) \
    OPERATION(IDIV, "IDIV", multiply_divide) \
    OPERATION(MOV, "MOV", move) \
    OPERATION(MOVZX, "MOVZX", extend) \
    OPERATION(MOVSX, "MOVSX", extend) \
    OPERATION(MOVBE, "MOVBE", move) \
    OPERATION(MOV_FROM_SEGMENT, "MOV from a segment register", move_from_segment) \
    OPERATION(CMOV, "CMOVcc", conditional_move) \
    OPERATION(SET, "SETcc", set) \
    OPERATION(XCHG, "XCHG", exchange) \
    OPERATION(XADD, "XADD", exchange) \
    OPERATION(CMPXCHG, "CMPXCHG", compare_exchange) \
    OPERATION(CMPXCHG_PAIR, "CMPXCHG8B/16B", compare_exchange_pair) \
    OPERATION(CACHE_LINE, "CLFLUSH", cache_line) \
    OPERATION(PUSH, "PUSH", push) \
    OPERATION(POP, "POP", pop) \
    OPERATION(ENTER, "ENTER", enter) \
    OPERATION(LEAVE, "LEAVE", leave) \
    OPERATION(CALL, "CALL", call) \
    OPERATION(RET, "RET", return) \
    OPERATION(JMP, "JMP", jump) \
    OPERATION(JMP_FAR, "far JMP", far_jump) \
    OPERATION(MOV_TO_SEGMENT, "MOV to a segment register", move_to_segment) \
    OPERATION(SYSTEM, "system-register access", elsewhere) \
    OPERATION(MOVS, "MOVS", string) \
    OPERATION(STOS, "STOS", string) \
    OPERATION(LODS, "LODS", string) \
    OPERATION(CMPS, "CMPS", string) \
    OPERATION(SCAS, "SCAS", string) \
    OPERATION(VECTOR, "MMX/SSE/AVX move", vector)
// clang-format on

#define OPERATION_ENUMERATOR(name, text, function) OP_##name,
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
