// The instruction decoder, called by vm/emulate/emulate.c. It walks once over the bytes: prefixes,
// opcode, ModRM and SIB, displacement, immediate; the tables of vm/emulate/opcodes.c say what each
// opcode is. SDM: "Instruction Format", "Instruction Prefixes", "VEX Prefix".

#include "vm/emulate/decode.h"

#include "vm/emulate/opcodes.h"
#include "vm/vcpu.h"

#define REX_W BIT32(3)
#define REX_R BIT32(2)
#define REX_X BIT32(1)
#define REX_B BIT32(0)

struct decoder {
    const uint8_t *bytes;
    unsigned count;
    unsigned at;
    bool truncated;
    unsigned bits;
    uint8_t rex; // the four bits, from REX or VEX
    bool operand_prefix;
    bool address_prefix;
    bool lock;
    bool vex_256;
    bool is_protected;
    uint8_t segment; // overriding, or REGISTER_NONE
    uint8_t modrm;
    struct instruction *instruction;
};

static uint8_t next_byte(struct decoder *decoder)
{
    if (decoder->at >= decoder->count) {
        decoder->truncated = true;
        return 0;
    }
    return decoder->bytes[decoder->at++];
}

// A little-endian number of `size` bytes, sign-extended.
static uint64_t next_number(struct decoder *decoder, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)next_byte(decoder) << (i * 8);
    return size ? (uint64_t)sign_extend(value, size) : 0;
}

static bool take_legacy_prefix(struct decoder *decoder, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        if (decoder->bits != 64) // 64-bit mode knows only FS and GS
            decoder->segment = byte >> 3 & 3;
        return true;
    case 0x64:
    case 0x65:
        decoder->segment = byte == 0x64 ? FS : GS;
        return true;
    case 0x66:
        decoder->operand_prefix = true;
        return true;
    case 0x67:
        decoder->address_prefix = true;
        return true;
    case 0xf0:
        decoder->lock = true;
        return true;
    case 0xf2:
        decoder->instruction->repeat = REPEAT_NOT_EQUAL;
        return true;
    case 0xf3:
        decoder->instruction->repeat = REPEAT_EQUAL;
        return true;
    default:
        return false;
    }
}

// All prefixes up to the first opcode byte, which is returned. REX counts only right before it.
static uint8_t take_prefixes(struct decoder *decoder)
{
    for (;;) {
        uint8_t byte = next_byte(decoder);
        if (decoder->truncated)
            return 0;
        if (decoder->bits == 64 && (byte & 0xf0) == 0x40) {
            decoder->rex = byte & 0xf;
            decoder->instruction->has_rex = true;
        } else if (take_legacy_prefix(decoder, byte)) {
            decoder->rex = 0;
            decoder->instruction->has_rex = false;
        } else {
            return byte;
        }
    }
}

static unsigned operand_size(const struct decoder *decoder, unsigned flags)
{
    if (flags & OPCODE_BYTE)
        return 1;
    if ((decoder->rex & REX_W) || ((flags & OPCODE_NEAR) && decoder->bits == 64))
        return 8;
    if (flags & OPCODE_NARROW)
        return 4;
    if ((decoder->bits == 16) != decoder->operand_prefix)
        return 2;
    return decoder->bits == 64 && (flags & OPCODE_WIDE) ? 8 : 4;
}

static uint8_t address_size(const struct decoder *decoder)
{
    if (decoder->bits == 64)
        return decoder->address_prefix ? 4 : 8;
    return (decoder->bits == 16) != decoder->address_prefix ? 2 : 4;
}

static void take_modrm_16(struct decoder *decoder)
{
    static const uint8_t base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    struct instruction *instruction = decoder->instruction;
    unsigned mod = decoder->modrm >> 6, rm = decoder->modrm & 7;
    instruction->base = base[rm];
    if (rm < 4)
        instruction->index = rm & 1 ? RDI : RSI;
    if (mod == 0 && rm == 6)
        instruction->base = REGISTER_NONE;
    if (instruction->base == RBP)
        instruction->segment = SS;
    if (mod != 0 || rm == 6)
        instruction->displacement = next_number(decoder, mod == 1 ? 1 : 2);
}

static void take_sib(struct decoder *decoder)
{
    struct instruction *instruction = decoder->instruction;
    uint8_t sib = next_byte(decoder);
    uint8_t index = (uint8_t)((sib >> 3 & 7) | (decoder->rex & REX_X ? 8 : 0));
    if (index != RSP)
        instruction->index = index;
    instruction->scale = (uint8_t)(1 << (sib >> 6));
    instruction->base = sib & 7;
}

static void take_modrm_wide(struct decoder *decoder)
{
    struct instruction *instruction = decoder->instruction;
    unsigned mod = decoder->modrm >> 6, rm = decoder->modrm & 7;
    unsigned displacement = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    instruction->base = (uint8_t)rm;
    if (rm == RSP)
        take_sib(decoder);
    if (mod == 0 && instruction->base == RBP) { // no base at all, or RIP
        instruction->base = rm == RBP && decoder->bits == 64 ? REGISTER_RIP : REGISTER_NONE;
        displacement = 4;
    } else {
        if (decoder->rex & REX_B)
            instruction->base |= 8;
        if (instruction->base == RSP || instruction->base == RBP)
            instruction->segment = SS;
    }
    instruction->displacement = next_number(decoder, displacement);
}

// The operand of ModRM.rm, whose byte decoder->modrm already holds.
static void take_modrm(struct decoder *decoder)
{
    struct instruction *instruction = decoder->instruction;
    instruction->reg = (uint8_t)((decoder->modrm >> 3 & 7) | (decoder->rex & REX_R ? 8 : 0));
    instruction->is_memory = decoder->modrm >> 6 != 3;
    if (!instruction->is_memory)
        instruction->rm = (uint8_t)((decoder->modrm & 7) | (decoder->rex & REX_B ? 8 : 0));
    else if (instruction->address_size == 2)
        take_modrm_16(decoder);
    else
        take_modrm_wide(decoder);
}

static unsigned source_size(const struct instruction *instruction, unsigned flags)
{
    if (flags & OPCODE_SOURCE_8)
        return 1;
    if (flags & OPCODE_SOURCE_16)
        return 2;
    if (flags & OPCODE_SOURCE_32)
        return MIN(instruction->operand_size, 4);
    return instruction->operand_size;
}

// What follows the operand of ModRM: an immediate or an absolute offset.
static void take_immediate(struct decoder *decoder, unsigned flags)
{
    struct instruction *instruction = decoder->instruction;
    enum form form = instruction->form;
    if (form == FORM_RM_IMM || form == FORM_RM_REG_IMM || form == FORM_REG_RM_IMM ||
        form == FORM_IMM) {
        unsigned size = (flags & OPCODE_IMM8 ? 1 : 0) + (flags & OPCODE_IMM16 ? 2 : 0);
        instruction->immediate =
            next_number(decoder, size ? size : MIN(instruction->operand_size, 4));
    }
    if (form == FORM_LOAD_OFFSET || form == FORM_STORE_OFFSET) {
        instruction->displacement = next_number(decoder, instruction->address_size);
        instruction->is_memory = true;
        instruction->reg = RAX;
        instruction->form = form == FORM_LOAD_OFFSET ? FORM_REG_RM : FORM_RM_REG;
    }
}

static bool prefixes_allow(const struct decoder *decoder, unsigned flags)
{
    enum repeat repeat = decoder->instruction->repeat;
    if ((flags & OPCODE_PLAIN) && decoder->operand_prefix)
        return false;
    if ((flags & (OPCODE_PLAIN | OPCODE_NO_REPEAT)) && repeat != REPEAT_NONE)
        return false;
    if ((flags & OPCODE_NO_F3) && repeat == REPEAT_EQUAL)
        return false;
    return !(flags & (decoder->bits == 64 ? OPCODE_NOT_64 : OPCODE_ONLY_64));
}

static enum decode_result check(const struct decoder *decoder, unsigned flags)
{
    const struct instruction *instruction = decoder->instruction;
    if (decoder->truncated)
        return DECODE_TRUNCATED;
    if ((flags & OPCODE_MEMORY) && !instruction->is_memory)
        return DECODE_UNKNOWN;
    bool destination_is_memory = instruction->is_memory && instruction->form != FORM_REG_RM;
    if (decoder->lock && !((flags & OPCODE_LOCK) && destination_is_memory))
        return DECODE_INVALID;
    unsigned segment = decoder->modrm >> 3 & 7;
    bool is_wrong =
        (instruction->operation == OP_MOV_FROM_SEGMENT && segment > GS) ||
        (instruction->operation == OP_MOV_TO_SEGMENT && (segment > GS || segment == CS)) ||
        (instruction->operation == OP_SYSTEM && !instruction->condition && !decoder->is_protected);
    return is_wrong ? DECODE_INVALID : DECODE_OK;
}

// The rest of an instruction of the one-byte and two-byte maps, and MOVBE.
static enum decode_result decode_integer(struct decoder *decoder, uint8_t opcode, struct opcode row)
{
    struct instruction *instruction = decoder->instruction;
    bool has_modrm = row.operation == OP_GROUP || row.form < FORM_LOAD_OFFSET;
    if (row.operation == OP_NONE || !prefixes_allow(decoder, row.flags))
        return DECODE_UNKNOWN;
    if (has_modrm)
        decoder->modrm = next_byte(decoder);
    if (decoder->truncated)
        return DECODE_TRUNCATED;
    if (row.operation == OP_GROUP) {
        unsigned flags = row.flags;
        row = opcode_group[row.form][decoder->modrm >> 3 & 7];
        row.flags |= (uint16_t)flags;
        if (row.operation == OP_NONE)
            return DECODE_UNKNOWN;
    }
    instruction->operation = row.operation;
    instruction->form = row.form;
    instruction->condition = opcode & 0xf;
    instruction->operand_size = (uint8_t)operand_size(decoder, row.flags);
    instruction->source_size = (uint8_t)source_size(instruction, row.flags);
    if (has_modrm)
        take_modrm(decoder);
    if (row.form == FORM_OPCODE) {
        instruction->form = FORM_RM;
        instruction->rm = (uint8_t)((opcode & 7) | (decoder->rex & REX_B ? 8 : 0));
    }
    if (row.operation == OP_MOV_TO_SEGMENT ||
        (row.operation == OP_MOV_FROM_SEGMENT && instruction->is_memory))
        instruction->operand_size = instruction->source_size = 2;
    take_immediate(decoder, row.flags);
    return check(decoder, row.flags);
}

static enum decode_result decode_vector(struct decoder *decoder, const struct vector_opcode *row)
{
    struct instruction *instruction = decoder->instruction;
    bool is_wide = (decoder->rex & REX_W) && decoder->bits == 64;
    decoder->modrm = next_byte(decoder);
    take_modrm(decoder);
    if (decoder->truncated)
        return DECODE_TRUNCATED;
    if (!instruction->is_memory)
        return DECODE_UNKNOWN;
    // VEX.vvvv must stay unused, except in loads of one half: the other comes from there.
    bool merges = row->form == FORM_REG_RM && (row->flags & (VECTOR_LOW_HALF | VECTOR_HIGH_HALF));
    if (decoder->lock || (instruction->vex_register != 0 && !merges) ||
        (instruction->is_vex && (row->flags & VECTOR_MMX)) ||
        (decoder->vex_256 && row->size != 16 && !row->any_length))
        return DECODE_INVALID;
    instruction->operation = OP_VECTOR;
    instruction->form = row->form;
    instruction->vector = row->flags;
    instruction->operand_size = row->size ? row->size : is_wide ? 8 : 4;
    if (row->size == 16 && decoder->vex_256)
        instruction->operand_size = 32;
    instruction->source_size = instruction->operand_size;
    return DECODE_OK;
}

static enum vector_prefix vector_prefix(const struct decoder *decoder)
{
    if (decoder->instruction->repeat == REPEAT_NOT_EQUAL)
        return PREFIX_F2;
    if (decoder->instruction->repeat == REPEAT_EQUAL)
        return PREFIX_F3;
    return decoder->operand_prefix ? PREFIX_66 : PREFIX_NONE;
}

// After 0F.
static enum decode_result decode_escaped(struct decoder *decoder)
{
    static const struct opcode load = {OP_MOVBE, FORM_REG_RM, OPCODE_MEMORY | OPCODE_NO_REPEAT};
    static const struct opcode store = {OP_MOVBE, FORM_RM_REG, OPCODE_MEMORY | OPCODE_NO_REPEAT};
    uint8_t opcode = next_byte(decoder);
    unsigned map = 1;
    if (opcode == 0x38) {
        opcode = next_byte(decoder);
        map = 2;
    }
    if (decoder->truncated)
        return DECODE_TRUNCATED;
    if (map == 1 && opcode_two_byte[opcode].operation != OP_NONE) // then it is no vector's
        return decode_integer(decoder, opcode, opcode_two_byte[opcode]);
    const struct vector_opcode *vector = vector_opcode_find(map, opcode, vector_prefix(decoder));
    if (vector)
        return decode_vector(decoder, vector);
    if (map == 2 && (opcode & 0xfe) == 0xf0)
        return decode_integer(decoder, opcode, opcode == 0xf0 ? load : store);
    return DECODE_UNKNOWN;
}

// After C4 or C5: the fields are stored inverted.
static enum decode_result decode_vex(struct decoder *decoder, bool is_long)
{
    struct instruction *instruction = decoder->instruction;
    bool has_prefix = decoder->operand_prefix || decoder->lock || instruction->has_rex ||
                      instruction->repeat != REPEAT_NONE;
    uint8_t payload = next_byte(decoder);
    unsigned map = 1;
    decoder->rex = payload & 0x80 ? 0 : REX_R;
    if (is_long) {
        decoder->rex |= (uint8_t)((payload & 0x40 ? 0 : REX_X) | (payload & 0x20 ? 0 : REX_B));
        map = payload & 0x1f;
        payload = next_byte(decoder);
        if (payload & 0x80)
            decoder->rex |= REX_W;
    }
    if (decoder->bits != 64)
        decoder->rex &= REX_W;
    instruction->is_vex = true;
    instruction->vex_register = ~payload >> 3 & 0xf;
    decoder->vex_256 = payload & 4;
    uint8_t opcode = next_byte(decoder);
    if (decoder->truncated)
        return DECODE_TRUNCATED;
    if (has_prefix)
        return DECODE_INVALID;
    const struct vector_opcode *row = vector_opcode_find(map, opcode, payload & 3);
    return row ? decode_vector(decoder, row) : DECODE_UNKNOWN;
}

enum decode_result decode(const uint8_t *bytes, unsigned count, unsigned bits, bool is_protected,
                          struct instruction *instruction)
{
    *instruction = (struct instruction){
        .base = REGISTER_NONE, .index = REGISTER_NONE, .scale = 1, .segment = DS};
    struct decoder decoder = {.bytes = bytes,
                              .count = count,
                              .bits = bits,
                              .is_protected = is_protected,
                              .segment = REGISTER_NONE,
                              .instruction = instruction};
    uint8_t opcode = take_prefixes(&decoder);
    instruction->address_size = address_size(&decoder);
    bool may_be_vex = is_protected && (opcode & 0xfe) == 0xc4 &&
                      (bits == 64 || decoder.at == count || bytes[decoder.at] >= 0xc0);
    enum decode_result result;
    if (decoder.truncated)
        result = DECODE_TRUNCATED;
    else if (opcode == 0x0f)
        result = decode_escaped(&decoder);
    else if (may_be_vex)
        result = decode_vex(&decoder, opcode == 0xc4);
    else
        result = decode_integer(&decoder, opcode, opcode_one_byte[opcode]);

    if (decoder.segment != REGISTER_NONE)
        instruction->segment = decoder.segment;
    instruction->lock = decoder.lock;
    instruction->length = (uint8_t)decoder.at;
    return result;
}
