// The operands of an emulated instruction: registers, effective addresses, memory in RAM or in a
// device. Called by the families of the emulator. SDM: "Operand Addressing", "Bus Locking",
// "Alignment Checking".

#include "lib/string.h"
#include "vm/cpu/debug.h"
#include "vm/emulate/context.h"
#include "vm/vm.h"

static bool is_high_byte(const struct emulate_context *context, unsigned number, unsigned size)
{
    return size == 1 && !context->instruction.has_rex && number >= 4 && number < 8;
}

uint64_t register_read(const struct emulate_context *context, unsigned number, unsigned size)
{
    const uint64_t *gpr = context->vcpu->gpr;
    if (is_high_byte(context, number, size))
        return gpr[number - 4] >> 8 & 0xff;
    return gpr[number] & size_mask(size);
}

void register_write(struct emulate_context *context, unsigned number, unsigned size, uint64_t value)
{
    struct vcpu *vcpu = context->vcpu;
    uint64_t mask = size >= 4 ? ~UINT64_C(0) : size_mask(size);
    value &= size_mask(size);
    if (is_high_byte(context, number, size)) {
        number -= 4;
        mask <<= 8;
        value <<= 8;
    }
    vcpu->gpr[number] = (vcpu->gpr[number] & ~mask) | value;
    if (number == RSP)
        vcpu->dirty |= STATE_STACK;
}

bool memory_prepare(struct emulate_context *context, enum segment_register segment, uint64_t offset,
                    unsigned size, bool write, struct linear_span *span)
{
    struct vcpu *vcpu = context->vcpu;
    bool user = vcpu->cpl == 3;
    uint32_t access = (write ? WALK_WRITE : 0) | (user ? WALK_USER : 0);
    gva_t linear;
    if (!segment_linear(vcpu, segment, offset, size, write, &linear, &context->fault))
        return false;
    if (context->alignment && !is_aligned(linear.value, context->alignment))
        return fail_with(&context->fault, fault_gp(0));
    if (!linear_prepare(vcpu, linear, size, access, span, &context->fault))
        return false;
    context->met |= debug_data(vcpu, linear, size, write);
    bool checks_alignment = user && (vcpu->cr0 & CR0_AM) && (vcpu->rflags & RFLAGS_AC) && size <= 8;
    if (checks_alignment && !is_aligned(linear.value, size))
        return fail_with(&context->fault, fault_code(VECTOR_AC, 0));
    return true;
}

// The offset in its segment that the memory operand names.
static uint64_t effective_address(const struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    const struct vcpu *vcpu = context->vcpu;
    uint64_t address = instruction->displacement + context->address_offset;
    if (instruction->base == REGISTER_RIP)
        address += vcpu->rip + instruction->length;
    else if (instruction->base != REGISTER_NONE)
        address += vcpu->gpr[instruction->base];
    if (instruction->index != REGISTER_NONE)
        address += vcpu->gpr[instruction->index] * instruction->scale;
    return address & size_mask(instruction->address_size);
}

uint64_t operand_source(const struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    if (instruction->form == FORM_RM_IMM)
        return instruction->immediate;
    return register_read(context, instruction->reg, instruction->operand_size);
}

bool operand_prepare(struct emulate_context *context, unsigned size, bool write)
{
    const struct instruction *instruction = &context->instruction;
    if (!instruction->is_memory)
        return true;
    return memory_prepare(context, instruction->segment, effective_address(context), size, write,
                          &context->memory) &&
           linear_mark(context->vcpu, &context->memory, &context->fault);
}

uint64_t operand_read(struct emulate_context *context, unsigned size)
{
    uint64_t value = 0;
    if (!context->instruction.is_memory)
        return register_read(context, context->instruction.rm, size);
    linear_load(context->vcpu, &context->memory, &value, context->now);
    return value;
}

void operand_write(struct emulate_context *context, unsigned size, uint64_t value)
{
    if (context->instruction.is_memory)
        linear_store(context->vcpu, &context->memory, &value, context->now);
    else
        register_write(context, context->instruction.rm, size, value);
}

// A locked operand inside 16 aligned bytes is exchanged with them. One that crosses such a block is
// written plainly: a locked access across cache lines would stall, or on some settings fault, the
// host.
static bool replace_in_block(const struct gmem *memory, const struct linear_part *part,
                             const void *old, const void *value)
{
    unsigned at = part->physical.value & 15;
    gpa_t block = gpa(part->physical.value - at);
    uint8_t present[16], wanted[16];
    if (at + part->length > sizeof(present) || !gmem_read(memory, block, present, 16))
        return gmem_write(memory, part->physical, value, part->length);
    memcpy(wanted, present, sizeof(wanted));
    memcpy(wanted + at, value, part->length);
    uint64_t expected[2], replacement[2];
    memcpy(expected, present, sizeof(expected));
    memcpy(replacement, wanted, sizeof(replacement));
    return memcmp(present + at, old, part->length) == 0 &&
           gmem_compare_exchange_16(memory, block, expected, replacement);
}

static bool replace(struct emulate_context *context, const void *old, const void *value)
{
    const struct instruction *instruction = &context->instruction;
    const struct linear_part *part = &context->memory.part[0];
    bool is_locked = instruction->lock || instruction->operation == OP_XCHG;
    if (!is_locked || context->memory.parts != 1 || !part->ram) {
        linear_store(context->vcpu, &context->memory, value, context->now);
        return true;
    }
    context->fault = again();
    return replace_in_block(&context->vcpu->vm->memory, part, old, value);
}

bool operand_replace(struct emulate_context *context, unsigned size, uint64_t old, uint64_t value)
{
    if (context->instruction.is_memory)
        return replace(context, &old, &value);
    register_write(context, context->instruction.rm, size, value);
    return true;
}

bool operand_replace_16(struct emulate_context *context, const uint64_t old[2],
                        const uint64_t value[2])
{
    return replace(context, old, value);
}
