// The emulator's instructions that move and exchange values. Their operand is prepared, and
// read where that comes first; each computes, and only then changes anything. SDM: the
// instructions' own pages.

#include "vm/emulate/alu.h"
#include "vm/emulate/context.h"

bool emulate_move(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    bool to_register = instruction->form == FORM_REG_RM;
    bool is_swapped = instruction->operation == OP_MOVBE;
    uint64_t value = to_register ? context->operand : operand_source(context);
    if (is_swapped)
        value = __builtin_bswap64(value) >> (64 - size * 8);
    if (to_register)
        register_write(context, instruction->reg, size, value);
    else
        operand_write(context, size, value);
    return true;
}

// The byte register rule holds for the source alone: the destination is at least 2 bytes.
bool emulate_extend(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    uint64_t value = context->operand;
    if (instruction->operation == OP_MOVSX)
        value = (uint64_t)sign_extend(value, instruction->source_size);
    register_write(context, instruction->reg, instruction->operand_size, value);
    return true;
}

bool emulate_move_from_segment(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    operand_write(context, instruction->operand_size,
                  context->vcpu->segment[instruction->reg & 7].selector);
    return true;
}

// The memory is read whether or not the condition holds.
bool emulate_conditional_move(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    bool holds = alu_condition(instruction->condition, context->rflags);
    register_write(context, instruction->reg, size,
                   holds ? context->operand : register_read(context, instruction->reg, size));
    return true;
}

bool emulate_set(struct emulate_context *context)
{
    operand_write(context, 1, alu_condition(context->instruction.condition, context->rflags));
    return true;
}

bool emulate_exchange(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    uint64_t operand = context->operand;
    uint64_t other = register_read(context, instruction->reg, size), result = other;
    if (instruction->operation == OP_XADD)
        result = alu_binary(OP_ADD, size, operand, other, &context->rflags);
    if (instruction->is_memory && !operand_replace(context, size, operand, result))
        return false;
    register_write(context, instruction->reg, size, operand);
    if (!instruction->is_memory)
        operand_write(context, size, result);
    return true;
}

// An unequal comparison writes memory back as it was, since a locked read is always followed by a
// write; a register it leaves alone, as an equal one does the accumulator, upper halves included.
bool emulate_compare_exchange(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    uint64_t operand = context->operand;
    bool equal = operand == (context->vcpu->gpr[RAX] & size_mask(size));
    uint64_t result = equal ? register_read(context, instruction->reg, size) : operand;
    alu_binary(OP_CMP, size, context->vcpu->gpr[RAX], operand, &context->rflags);
    if ((instruction->is_memory || equal) && !operand_replace(context, size, operand, result))
        return false;
    if (!equal)
        register_write(context, RAX, size, operand);
    return true;
}

// CMPXCHG8B and CMPXCHG16B: `size` is a half.
bool emulate_compare_exchange_pair(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned size = context->instruction.operand_size;
    uint64_t mask = size_mask(size);
    context->alignment = size == 8 ? 16 : 1;
    if (!operand_prepare(context, size * 2, true))
        return false;
    uint64_t present[2] = {0, 0}, low, high;
    linear_load(vcpu, &context->memory, present, context->now);
    low = size == 8 ? present[0] : present[0] & mask;
    high = size == 8 ? present[1] : present[0] >> 32;
    bool equal = low == (vcpu->gpr[RAX] & mask) && high == (vcpu->gpr[RDX] & mask);
    uint64_t result[2] = {present[0], present[1]};
    if (equal) {
        result[0] = size == 8 ? vcpu->gpr[RBX] : vcpu->gpr[RCX] << 32 | (vcpu->gpr[RBX] & mask);
        result[1] = size == 8 ? vcpu->gpr[RCX] : 0;
    }
    if (!operand_replace_16(context, present, result))
        return false;
    if (!equal) {
        register_write(context, RAX, size, low);
        register_write(context, RDX, size, high);
    }
    context->rflags = (context->rflags & ~RFLAGS_ZF) | (equal ? RFLAGS_ZF : 0);
    return true;
}

// Checked as a read of a byte; there is no cache to flush in front of a device.
bool emulate_cache_line(struct emulate_context *context)
{
    return true;
}
