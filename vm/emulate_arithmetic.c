// The arithmetic of the emulator's instructions. Their operand is prepared and read already; each
// computes, and only then changes anything. SDM: the instructions' own pages.

#include "vm/alu.h"
#include "vm/emulation.h"

bool emulate_arithmetic(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    enum operation operation = instruction->operation;
    unsigned size = instruction->operand_size;
    bool compares = operation == OP_CMP || operation == OP_TEST;
    bool to_register = instruction->form == FORM_REG_RM;
    uint64_t operand = emulation->operand, other = operand_source(emulation);
    uint64_t result = to_register ? alu_binary(operation, size, other, operand, &emulation->rflags)
                                  : alu_binary(operation, size, operand, other, &emulation->rflags);
    if (compares)
        return true;
    if (!to_register)
        return operand_replace(emulation, size, operand, result);
    register_write(emulation, instruction->reg, size, result);
    return true;
}

bool emulate_unary(struct emulation *emulation)
{
    unsigned size = emulation->instruction.operand_size;
    uint64_t result =
        alu_unary(emulation->instruction.operation, size, emulation->operand, &emulation->rflags);
    return operand_replace(emulation, size, emulation->operand, result);
}

static unsigned shift_count(const struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    uint64_t count = 1;
    if (instruction->form == FORM_RM_CL || instruction->form == FORM_RM_REG_CL)
        count = emulation->vcpu->gpr[RCX];
    else if (instruction->form != FORM_RM_ONE)
        count = instruction->immediate;
    return alu_count(instruction->operand_size, count);
}

// Shifts, rotations and double shifts. By zero they check that they could write, and write nothing.
bool emulate_shift(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    enum operation operation = instruction->operation;
    unsigned size = instruction->operand_size, count = shift_count(emulation);
    bool is_double = operation == OP_SHLD || operation == OP_SHRD;
    uint64_t fill = is_double ? register_read(emulation, instruction->reg, size) : 0;
    uint64_t value =
        alu_shift(operation, size, emulation->operand, fill, count, &emulation->rflags);
    if (count != 0 || !instruction->is_memory)
        operand_write(emulation, size, value);
    return true;
}

// The bit's number in the operand. One from a register reaches beyond a memory operand, in both
// directions.
static unsigned bit_number(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned bits = instruction->operand_size * 8U;
    uint64_t offset = operand_source(emulation);
    if (instruction->is_memory && instruction->form == FORM_RM_REG)
        emulation->address_offset =
            (uint64_t)(sign_extend(offset, instruction->operand_size) >> lowest_bit(bits)) *
            instruction->operand_size;
    return (unsigned)(offset & (bits - 1));
}

bool emulate_bit(struct emulation *emulation)
{
    enum operation operation = emulation->instruction.operation;
    unsigned size = emulation->instruction.operand_size;
    uint64_t bit = BIT(bit_number(emulation));
    if (!operand_prepare(emulation, size, operation != OP_BT))
        return false;
    uint64_t value = operand_read(emulation, size), result = value;
    if (operation == OP_BTS)
        result |= bit;
    else if (operation == OP_BTR)
        result &= ~bit;
    else if (operation == OP_BTC)
        result ^= bit;
    if (operation != OP_BT && !operand_replace(emulation, size, value, result))
        return false;
    emulation->rflags = (emulation->rflags & ~RFLAGS_CF) | (value & bit ? RFLAGS_CF : 0);
    return true;
}

// The dividend or product of byte operands is AX, of wider ones RDX:RAX.
static void write_pair(struct emulation *emulation, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        register_write(emulation, RAX, 2, high << 8 | low);
        return;
    }
    register_write(emulation, RAX, size, low);
    register_write(emulation, RDX, size, high);
}

bool emulate_multiply_divide(struct emulation *emulation)
{
    enum operation operation = emulation->instruction.operation;
    unsigned size = emulation->instruction.operand_size;
    bool is_signed = operation == OP_IMUL || operation == OP_IDIV;
    const uint64_t *gpr = emulation->vcpu->gpr;
    uint64_t low = gpr[RAX], high = size == 1 ? gpr[RAX] >> 8 : gpr[RDX];
    emulation->fault = fault(VECTOR_DE);
    if (operation == OP_MUL || operation == OP_IMUL)
        alu_multiply(is_signed, size, low, emulation->operand, &low, &high, &emulation->rflags);
    else if (!alu_divide(is_signed, size, emulation->operand, &low, &high))
        return false;
    write_pair(emulation, size, low, high);
    return true;
}

bool emulate_multiply_register(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    uint64_t other = instruction->form == FORM_REG_RM_IMM
                         ? instruction->immediate
                         : register_read(emulation, instruction->reg, size);
    uint64_t low, high;
    alu_multiply(true, size, emulation->operand, other, &low, &high, &emulation->rflags);
    register_write(emulation, instruction->reg, size, low);
    return true;
}

// Of zero only ZF is set; the register keeps its value.
bool emulate_scan(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    uint64_t number = alu_scan(instruction->operation, emulation->operand, &emulation->rflags);
    if (emulation->operand)
        register_write(emulation, instruction->reg, instruction->operand_size, number);
    return true;
}
