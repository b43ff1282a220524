// What vm/emulate/decode.c and libzydis disagree on about the same bytes. Used by the unit test and
// by the fuzzer.
#pragma once

#include <Zydis/Zydis.h>
#include <string.h>

#include "vm/emulate/decode.h"
#include "vm/vcpu.h"

struct decode_mode {
    unsigned bits;
    bool has_vex;
    ZydisMachineMode machine;
    ZydisStackWidth stack;
};

static const struct decode_mode decode_modes[] = {
    {64, true, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
    {32, true, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    {16, true, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    {16, false, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
};

// The mnemonics that we must know whenever they name memory.
static bool oracle_expects(ZydisMnemonic mnemonic)
{
    static const ZydisMnemonic known[] = {
        ZYDIS_MNEMONIC_ADD,      ZYDIS_MNEMONIC_OR,        ZYDIS_MNEMONIC_ADC,
        ZYDIS_MNEMONIC_SBB,      ZYDIS_MNEMONIC_AND,       ZYDIS_MNEMONIC_SUB,
        ZYDIS_MNEMONIC_XOR,      ZYDIS_MNEMONIC_CMP,       ZYDIS_MNEMONIC_MOVSXD,
        ZYDIS_MNEMONIC_IMUL,     ZYDIS_MNEMONIC_TEST,      ZYDIS_MNEMONIC_XCHG,
        ZYDIS_MNEMONIC_MOVZX,    ZYDIS_MNEMONIC_MOVSX,     ZYDIS_MNEMONIC_MOVBE,
        ZYDIS_MNEMONIC_CMPXCHG,  ZYDIS_MNEMONIC_CMPXCHG8B, ZYDIS_MNEMONIC_CMPXCHG16B,
        ZYDIS_MNEMONIC_XADD,     ZYDIS_MNEMONIC_BT,        ZYDIS_MNEMONIC_BTS,
        ZYDIS_MNEMONIC_BTR,      ZYDIS_MNEMONIC_BTC,       ZYDIS_MNEMONIC_ROL,
        ZYDIS_MNEMONIC_ROR,      ZYDIS_MNEMONIC_RCL,       ZYDIS_MNEMONIC_RCR,
        ZYDIS_MNEMONIC_SHL,      ZYDIS_MNEMONIC_SHR,       ZYDIS_MNEMONIC_SAR,
        ZYDIS_MNEMONIC_SHLD,     ZYDIS_MNEMONIC_SHRD,      ZYDIS_MNEMONIC_INC,
        ZYDIS_MNEMONIC_DEC,      ZYDIS_MNEMONIC_NEG,       ZYDIS_MNEMONIC_NOT,
        ZYDIS_MNEMONIC_MUL,      ZYDIS_MNEMONIC_DIV,       ZYDIS_MNEMONIC_IDIV,
        ZYDIS_MNEMONIC_PUSH,     ZYDIS_MNEMONIC_POP,       ZYDIS_MNEMONIC_CMOVB,
        ZYDIS_MNEMONIC_CMOVNLE,  ZYDIS_MNEMONIC_SETZ,      ZYDIS_MNEMONIC_SETNLE,
        ZYDIS_MNEMONIC_BSF,      ZYDIS_MNEMONIC_BSR,       ZYDIS_MNEMONIC_CLFLUSH,
        ZYDIS_MNEMONIC_MOVSB,    ZYDIS_MNEMONIC_MOVSW,     ZYDIS_MNEMONIC_MOVSQ,
        ZYDIS_MNEMONIC_STOSB,    ZYDIS_MNEMONIC_STOSW,     ZYDIS_MNEMONIC_STOSD,
        ZYDIS_MNEMONIC_STOSQ,    ZYDIS_MNEMONIC_LODSB,     ZYDIS_MNEMONIC_LODSW,
        ZYDIS_MNEMONIC_LODSD,    ZYDIS_MNEMONIC_LODSQ,     ZYDIS_MNEMONIC_CMPSB,
        ZYDIS_MNEMONIC_CMPSW,    ZYDIS_MNEMONIC_CMPSQ,     ZYDIS_MNEMONIC_SCASB,
        ZYDIS_MNEMONIC_SCASW,    ZYDIS_MNEMONIC_SCASD,     ZYDIS_MNEMONIC_SCASQ,
        ZYDIS_MNEMONIC_MOVUPS,   ZYDIS_MNEMONIC_MOVUPD,    ZYDIS_MNEMONIC_MOVAPS,
        ZYDIS_MNEMONIC_MOVAPD,   ZYDIS_MNEMONIC_MOVDQA,    ZYDIS_MNEMONIC_MOVDQU,
        ZYDIS_MNEMONIC_MOVNTDQ,  ZYDIS_MNEMONIC_MOVNTI,    ZYDIS_MNEMONIC_MOVSS,
        ZYDIS_MNEMONIC_MOVLPS,   ZYDIS_MNEMONIC_MOVHPD,    ZYDIS_MNEMONIC_LDDQU,
        ZYDIS_MNEMONIC_MOVNTDQA, ZYDIS_MNEMONIC_MOVNTPS,   ZYDIS_MNEMONIC_VMOVUPS,
        ZYDIS_MNEMONIC_VMOVAPD,  ZYDIS_MNEMONIC_VMOVDQA,   ZYDIS_MNEMONIC_VMOVDQU,
        ZYDIS_MNEMONIC_VMOVSS,   ZYDIS_MNEMONIC_VMOVSD,    ZYDIS_MNEMONIC_VMOVNTDQ,
        ZYDIS_MNEMONIC_LEAVE,    ZYDIS_MNEMONIC_LGDT,      ZYDIS_MNEMONIC_LIDT,
        ZYDIS_MNEMONIC_LLDT,     ZYDIS_MNEMONIC_LTR,       ZYDIS_MNEMONIC_SMSW,
        ZYDIS_MNEMONIC_LMSW,     ZYDIS_MNEMONIC_SLDT,      ZYDIS_MNEMONIC_SIDT,
        ZYDIS_MNEMONIC_MOVD,     ZYDIS_MNEMONIC_MOVQ,      ZYDIS_MNEMONIC_VMOVD,
        ZYDIS_MNEMONIC_VMOVQ,    ZYDIS_MNEMONIC_VMOVLPD,
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(known); i++)
        if (known[i] == mnemonic)
            return true;
    return false;
}

static uint8_t oracle_register(ZydisRegister name)
{
    if (name == ZYDIS_REGISTER_NONE)
        return REGISTER_NONE;
    if (name == ZYDIS_REGISTER_RIP || name == ZYDIS_REGISTER_EIP)
        return REGISTER_RIP;
    return (uint8_t)ZydisRegisterGetId(name);
}

static uint8_t oracle_segment(ZydisRegister name)
{
    return (uint8_t)(name - ZYDIS_REGISTER_ES);
}

static unsigned memory_size(const struct instruction *ours)
{
    if (ours->operation == OP_CMPXCHG_PAIR)
        return ours->operand_size * 2U;
    if (ours->operation == OP_JMP_FAR)
        return ours->operand_size + 2U;
    return ours->form == FORM_REG_RM ? ours->source_size : ours->operand_size;
}

static const char *compare_memory(const struct instruction *ours, const ZydisDecodedOperand *theirs)
{
    uint64_t mask = size_mask(ours->address_size);
    uint64_t displacement =
        theirs->mem.disp.has_displacement ? (uint64_t)theirs->mem.disp.value : 0;
    uint8_t index = oracle_register(theirs->mem.index);
    if (!ours->is_memory)
        return "memory or register";
    // libzydis 4.0 lets REX.B turn "no base" into R13 when addresses have 32 bits.
    bool is_misread = ours->base == REGISTER_NONE && ours->address_size == 4 &&
                      theirs->mem.base == ZYDIS_REGISTER_R13D;
    if (!is_misread && ours->base != oracle_register(theirs->mem.base))
        return "base";
    if (ours->index != index || (index != REGISTER_NONE && ours->scale != theirs->mem.scale))
        return "index";
    if (!is_misread && (ours->displacement & mask) != (displacement & mask))
        return "displacement";
    // To libzydis 3E before a near branch is NOTRACK alone; without CET it is DS.
    bool is_notrack =
        ours->segment == DS && (ours->operation == OP_CALL || ours->operation == OP_JMP);
    if (!is_misread && !is_notrack && ours->segment != oracle_segment(theirs->mem.segment))
        return "segment";
    // Of MOVSXD with 66 the manuals contradict one another: 2 bytes (Intel's) or 4.
    bool is_unsure = ours->operation == OP_CACHE_LINE || ours->operation == OP_SYSTEM ||
                     (ours->operation == OP_MOVSX && ours->operand_size == ours->source_size);
    if (!is_unsure && memory_size(ours) * 8U != theirs->size)
        return "size of memory";
    return NULL;
}

// NULL if both say the same about at most 15 bytes.
static const char *decode_disagreement(const uint8_t *bytes, unsigned count,
                                       const struct decode_mode *mode)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction theirs;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct instruction ours;
    ZydisDecoderInit(&decoder, mode->machine, mode->stack);
    bool valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, count, &theirs, operands));
    enum decode_result result = decode(bytes, count, mode->bits, mode->has_vex, &ours);

    const ZydisDecodedOperand *memory = NULL;
    for (unsigned i = 0; valid && i < theirs.operand_count_visible; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            memory = &operands[i];
    bool is_vector = valid && theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    if (result != DECODE_OK) {
        bool expected = valid && !is_vector && oracle_expects(theirs.mnemonic) &&
                        (memory || theirs.operand_count_visible == 0);
        if (result == DECODE_INVALID && valid)
            return "valid";
        return expected ? "known" : NULL;
    }
    if (!valid)
        return "invalid";
    if (ours.length != theirs.length)
        return "length";
    if (ours.address_size * 8U != theirs.address_width)
        return "address size";
    if (ours.form == FORM_STRING)
        return ours.operand_size * 8U == operands[0].size ? NULL : "operand size";
    if (!memory)
        return ours.is_memory ? "memory or register" : NULL;
    return compare_memory(&ours, memory);
}
