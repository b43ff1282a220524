// The arithmetic of the emulator's instructions. Their operand is prepared and read already; each
// computes, and only then changes anything. SDM: the instructions' own pages.

#include "vm/emulate/alu.h"
#include "vm/emulate/context.h"

bool emulate_arithmetic(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    enum operation operation = instruction->operation;
    unsigned size = instruction->operand_size;
    bool compares = operation == OP_CMP || operation == OP_TEST;
    bool to_register = instruction->form == FORM_REG_RM;
    uint64_t operand = context->operand, other = operand_source(context);
    uint64_t result = to_register ? alu_binary(operation, size, other, operand, &context->rflags)
                                  : alu_binary(operation, size, operand, other, &context->rflags);
    if (compares)
        return true;
    if (!to_register)
        return operand_replace(context, size, operand, result);
    register_write(context, instruction->reg, size, result);
    return true;
}

bool emulate_unary(struct emulate_context *context)
{
    unsigned size = context->instruction.operand_size;
    uint64_t result =
        alu_unary(context->instruction.operation, size, context->operand, &context->rflags);
    return operand_replace(context, size, context->operand, result);
}

static unsigned shift_count(const struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    uint64_t count = 1;
    if (instruction->form == FORM_RM_CL || instruction->form == FORM_RM_REG_CL)
        count = context->vcpu->gpr[RCX];
    else if (instruction->form != FORM_RM_ONE)
        count = instruction->immediate;
    return alu_count(instruction->operand_size, count);
}

// Shifts, rotations and double shifts. By zero they check that they could write, and write nothing.
bool emulate_shift(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    enum operation operation = instruction->operation;
    unsigned size = instruction->operand_size, count = shift_count(context);
    bool is_double = operation == OP_SHLD || operation == OP_SHRD;
    uint64_t fill = is_double ? register_read(context, instruction->reg, size) : 0;
    uint64_t value = alu_shift(operation, size, context->operand, fill, count, &context->rflags);
    if (count != 0 || !instruction->is_memory)
        operand_write(context, size, value);
    return true;
}

// The bit's number in the operand. One from a register reaches beyond a memory operand, in both
// directions.
static unsigned bit_number(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned bits = instruction->operand_size * 8U;
    uint64_t offset = operand_source(context);
    if (instruction->is_memory && instruction->form == FORM_RM_REG)
        context->address_offset =
            (uint64_t)(sign_extend(offset, instruction->operand_size) >> lowest_bit(bits)) *
            instruction->operand_size;
    return (unsigned)(offset & (bits - 1));
}

bool emulate_bit(struct emulate_context *context)
{
    enum operation operation = context->instruction.operation;
    unsigned size = context->instruction.operand_size;
    uint64_t bit = BIT(bit_number(context));
    if (!operand_prepare(context, size, operation != OP_BT))
        return false;
    uint64_t value = operand_read(context, size), result = value;
    if (operation == OP_BTS)
        result |= bit;
    else if (operation == OP_BTR)
        result &= ~bit;
    else if (operation == OP_BTC)
        result ^= bit;
    if (operation != OP_BT && !operand_replace(context, size, value, result))
        return false;
    context->rflags = (context->rflags & ~RFLAGS_CF) | (value & bit ? RFLAGS_CF : 0);
    return true;
}

// The dividend or product of byte operands is AX, of wider ones RDX:RAX.
static void write_pair(struct emulate_context *context, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        register_write(context, RAX, 2, high << 8 | low);
        return;
    }
    register_write(context, RAX, size, low);
    register_write(context, RDX, size, high);
}

bool emulate_multiply_divide(struct emulate_context *context)
{
    enum operation operation = context->instruction.operation;
    unsigned size = context->instruction.operand_size;
    bool is_signed = operation == OP_IMUL || operation == OP_IDIV;
    const uint64_t *gpr = context->vcpu->gpr;
    uint64_t low = gpr[RAX], high = size == 1 ? gpr[RAX] >> 8 : gpr[RDX];
    context->fault = fault(VECTOR_DE);
    if (operation == OP_MUL || operation == OP_IMUL)
        alu_multiply(is_signed, size, low, context->operand, &low, &high, &context->rflags);
    else if (!alu_divide(is_signed, size, context->operand, &low, &high))
        return false;
    write_pair(context, size, low, high);
    return true;
}

bool emulate_multiply_register(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    uint64_t other = instruction->form == FORM_REG_RM_IMM
                         ? instruction->immediate
                         : register_read(context, instruction->reg, size);
    uint64_t low, high;
    alu_multiply(true, size, context->operand, other, &low, &high, &context->rflags);
    register_write(context, instruction->reg, size, low);
    return true;
}

// Of zero only ZF is set; the register keeps its value.
bool emulate_scan(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    uint64_t number = alu_scan(instruction->operation, context->operand, &context->rflags);
    if (context->operand)
        register_write(context, instruction->reg, instruction->operand_size, number);
    return true;
}
