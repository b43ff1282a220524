// The emulator's instructions that move and exchange values. Their operand is prepared, and
// read where that comes first; each computes, and only then changes anything. SDM: the
// instructions' own pages.

#include "vm/alu.h"
#include "vm/emulation.h"

bool emulate_move(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    bool to_register = instruction->form == FORM_REG_RM;
    bool is_swapped = instruction->operation == OP_MOVBE;
    uint64_t value = to_register ? emulation->operand : operand_source(emulation);
    if (is_swapped)
        value = __builtin_bswap64(value) >> (64 - size * 8);
    if (to_register)
        register_write(emulation, instruction->reg, size, value);
    else
        operand_write(emulation, size, value);
    return true;
}

// The byte register rule holds for the source alone: the destination is at least 2 bytes.
bool emulate_extend(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    uint64_t value = emulation->operand;
    if (instruction->operation == OP_MOVSX)
        value = (uint64_t)sign_extend(value, instruction->source_size);
    register_write(emulation, instruction->reg, instruction->operand_size, value);
    return true;
}

bool emulate_move_from_segment(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    operand_write(emulation, instruction->operand_size,
                  emulation->vcpu->segment[instruction->reg & 7].selector);
    return true;
}

// The memory is read whether or not the condition holds.
bool emulate_conditional_move(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    bool holds = alu_condition(instruction->condition, emulation->rflags);
    register_write(emulation, instruction->reg, size,
                   holds ? emulation->operand : register_read(emulation, instruction->reg, size));
    return true;
}

bool emulate_set(struct emulation *emulation)
{
    operand_write(emulation, 1, alu_condition(emulation->instruction.condition, emulation->rflags));
    return true;
}

bool emulate_exchange(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    uint64_t operand = emulation->operand;
    uint64_t other = register_read(emulation, instruction->reg, size), result = other;
    if (instruction->operation == OP_XADD)
        result = alu_binary(OP_ADD, size, operand, other, &emulation->rflags);
    if (instruction->is_memory && !operand_replace(emulation, size, operand, result))
        return false;
    register_write(emulation, instruction->reg, size, operand);
    if (!instruction->is_memory)
        operand_write(emulation, size, result);
    return true;
}

// An unequal comparison writes memory back as it was, since a locked read is always followed by a
// write; a register it leaves alone, as an equal one does the accumulator, upper halves included.
bool emulate_compare_exchange(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    uint64_t operand = emulation->operand;
    bool equal = operand == (emulation->vcpu->gpr[RAX] & size_mask(size));
    uint64_t result = equal ? register_read(emulation, instruction->reg, size) : operand;
    alu_binary(OP_CMP, size, emulation->vcpu->gpr[RAX], operand, &emulation->rflags);
    if ((instruction->is_memory || equal) && !operand_replace(emulation, size, operand, result))
        return false;
    if (!equal)
        register_write(emulation, RAX, size, operand);
    return true;
}

// CMPXCHG8B and CMPXCHG16B: `size` is a half.
bool emulate_compare_exchange_pair(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned size = emulation->instruction.operand_size;
    uint64_t mask = size_mask(size);
    emulation->alignment = size == 8 ? 16 : 1;
    if (!operand_prepare(emulation, size * 2, true))
        return false;
    uint64_t present[2] = {0, 0}, low, high;
    linear_load(vcpu, &emulation->memory, present, emulation->now);
    low = size == 8 ? present[0] : present[0] & mask;
    high = size == 8 ? present[1] : present[0] >> 32;
    bool equal = low == (vcpu->gpr[RAX] & mask) && high == (vcpu->gpr[RDX] & mask);
    uint64_t result[2] = {present[0], present[1]};
    if (equal) {
        result[0] = size == 8 ? vcpu->gpr[RBX] : vcpu->gpr[RCX] << 32 | (vcpu->gpr[RBX] & mask);
        result[1] = size == 8 ? vcpu->gpr[RCX] : 0;
    }
    if (!operand_replace_16(emulation, present, result))
        return false;
    if (!equal) {
        register_write(emulation, RAX, size, low);
        register_write(emulation, RDX, size, high);
    }
    emulation->rflags = (emulation->rflags & ~RFLAGS_ZF) | (equal ? RFLAGS_ZF : 0);
    return true;
}

// Checked as a read of a byte; there is no cache to flush in front of a device.
bool emulate_cache_line(struct emulation *emulation)
{
    return true;
}
