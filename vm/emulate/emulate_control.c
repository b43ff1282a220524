// The emulator's instructions that use the stack or go elsewhere. Each prepares its memory, reads,
// and only then changes anything. SDM: the instructions' own pages; "Procedure Calls for
// Block-Structured Languages", "Direct Calls or Jumps to Code Segments".

#include "lib/string.h"
#include "vm/cpu/debug.h"
#include "vm/emulate/descriptor.h"
#include "vm/emulate/context.h"

#define ENTER_SIZE  UINT64_C(0xffff) // of the immediates of ENTER
#define ENTER_LEVEL BITS(20, 16)

static uint64_t stack_mask(const struct vcpu *vcpu)
{
    return size_mask(stack_size(vcpu));
}

static bool stack_prepare(struct emulate_context *context, uint64_t offset, unsigned size,
                          bool write, struct linear_span *span)
{
    return memory_prepare(context, SS, offset & stack_mask(context->vcpu), size, write, span) &&
           linear_mark(context->vcpu, span, &context->fault);
}

static bool stack_read(struct emulate_context *context, uint64_t offset, unsigned size,
                       uint64_t *value)
{
    struct linear_span span;
    if (!stack_prepare(context, offset, size, false, &span))
        return false;
    *value = 0;
    linear_load(context->vcpu, &span, value, context->now);
    return true;
}

static void set_stack(struct emulate_context *context, uint64_t top)
{
    register_write(context, RSP, stack_size(context->vcpu), top);
}

// ---- the stack alone ----

bool emulate_push(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    uint64_t top = vcpu->gpr[RSP] - size, value = instruction->immediate;
    struct linear_span stack;
    if (!stack_prepare(context, top, size, true, &stack))
        return false;
    if (instruction->form != FORM_IMM)
        value = operand_read(context, size);
    linear_store(vcpu, &stack, &value, context->now);
    set_stack(context, top);
    return true;
}

// The destination's address is computed with RSP already incremented.
bool emulate_pop(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned size = context->instruction.operand_size, width = stack_size(vcpu);
    uint64_t top = vcpu->gpr[RSP] & size_mask(width), value = 0;
    struct linear_span stack;
    if (context->instruction.base == RSP)
        context->address_offset = size;
    if (!memory_prepare(context, SS, top, size, false, &stack) ||
        !operand_prepare(context, size, true) || !linear_mark(vcpu, &stack, &context->fault))
        return false;
    linear_load(vcpu, &stack, &value, context->now);
    set_stack(context, top + size);
    operand_write(context, size, value);
    return true;
}

bool emulate_leave(struct emulate_context *context)
{
    unsigned size = context->instruction.operand_size;
    uint64_t frame = context->vcpu->gpr[RBP], value;
    if (!stack_read(context, frame, size, &value))
        return false;
    set_stack(context, frame + size);
    register_write(context, RBP, size, value);
    return true;
}

// Pushes RBP, and at nesting level 1 the pointer to the frame that begins. Deeper levels copy the
// outer frames' pointers: nobody does that on a device.
bool emulate_enter(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned size = context->instruction.operand_size;
    uint64_t level = FIELD_GET(ENTER_LEVEL, context->instruction.immediate);
    unsigned own = level ? size : 0;
    uint64_t frame = vcpu->gpr[RSP] - size;
    struct linear_span stack;
    uint8_t words[2 * sizeof(frame)];
    context->fault = emulate_unknown(vcpu);
    if (level > 1)
        return false;
    if (!stack_prepare(context, frame - own, size + own, true, &stack))
        return false;
    memcpy(words, &frame, own);
    memcpy(words + own, &vcpu->gpr[RBP], size);
    linear_store(vcpu, &stack, words, context->now);
    register_write(context, RBP, size, frame);
    set_stack(context, frame - own - (context->instruction.immediate & ENTER_SIZE));
    return true;
}

// ---- branches ----

// Whether the instruction pointer can be there: in the code segment, or canonical.
static bool is_inside(struct emulate_context *context, const struct segment *code, uint64_t target)
{
    bool is_64bit = (context->vcpu->efer & EFER_LMA) && (code->access & AR_LONG);
    if (is_64bit ? linear_is_canonical(context->vcpu, target) : target <= code->limit)
        return true;
    return fail_with(&context->fault, fault_gp(0));
}

// The step over the instruction ends there.
static bool jump(struct emulate_context *context, uint64_t target)
{
    struct vcpu *vcpu = context->vcpu;
    vcpu->rip = target - context->instruction.length;
    vcpu->dirty |= STATE_FLOW;
    debug_step(vcpu, true);
    return true;
}

bool emulate_jump(struct emulate_context *context)
{
    return is_inside(context, &context->vcpu->segment[CS], context->operand) &&
           jump(context, context->operand);
}

bool emulate_call(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    unsigned size = instruction->operand_size;
    uint64_t top = vcpu->gpr[RSP] - size, back = vcpu->rip + instruction->length;
    uint64_t target = (back + instruction->immediate) & size_mask(size);
    struct linear_span stack;
    if (!stack_prepare(context, top, size, true, &stack))
        return false;
    if (instruction->form != FORM_IMM)
        target = operand_read(context, size);
    if (!is_inside(context, &vcpu->segment[CS], target))
        return false;
    linear_store(vcpu, &stack, &back, context->now);
    set_stack(context, top);
    return jump(context, target);
}

bool emulate_return(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned size = context->instruction.operand_size;
    uint64_t top = vcpu->gpr[RSP], target;
    if (!stack_read(context, top, size, &target) || !is_inside(context, &vcpu->segment[CS], target))
        return false;
    set_stack(context, top + size + (context->instruction.immediate & 0xffff));
    return jump(context, target);
}

// To a code segment; a gate or a task in the descriptor tables is none of ours.
static bool find_code(struct emulate_context *context, uint16_t selector, uint64_t offset,
                      struct descriptor *descriptor, struct segment *code)
{
    struct vcpu *vcpu = context->vcpu;
    *code = vcpu->segment[CS];
    if (!vcpu_is_protected(vcpu)) {
        code->selector = selector;
        code->base = (uint64_t)selector << 4;
        return is_inside(context, code, offset);
    }
    context->fault = fault_gp(SELECTOR_ERROR(selector));
    if (!(selector & ~SELECTOR_RPL) || !descriptor_read(vcpu, selector, false, VECTOR_GP,
                                                        context->now, descriptor, &context->fault))
        return false;
    uint32_t access = descriptor_access(descriptor), wide = AR_LONG | AR_DB;
    if (!(access & AR_CODE_DATA))
        return fail_with(&context->fault, emulate_unknown(vcpu));
    if ((!(access & TYPE_CONFORMING) && (selector & SELECTOR_RPL) > vcpu->cpl) ||
        ((vcpu->efer & EFER_LMA) && (access & wide) == wide))
        return false;
    uint16_t own = (uint16_t)((selector & ~SELECTOR_RPL) | vcpu->cpl);
    if (!descriptor_check(descriptor, CS, own, vcpu->cpl, VECTOR_GP, &context->fault))
        return false;
    *code = descriptor_segment(own, descriptor);
    return is_inside(context, code, offset) &&
           descriptor_mark(vcpu, descriptor, TYPE_ACCESSED, 0, context->now, &context->fault);
}

bool emulate_far_jump(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned size = context->instruction.operand_size;
    uint8_t bytes[16] = {0};
    uint64_t offset = 0;
    uint16_t selector;
    struct descriptor descriptor;
    struct segment code;
    if (!operand_prepare(context, size + sizeof(selector), false))
        return false;
    linear_load(vcpu, &context->memory, bytes, context->now);
    memcpy(&offset, bytes, size);
    memcpy(&selector, bytes + size, sizeof(selector));
    if (!find_code(context, selector, offset, &descriptor, &code))
        return false;
    code.access |= vcpu_is_protected(vcpu) ? TYPE_ACCESSED : 0;
    vcpu->segment[CS] = code;
    vcpu->dirty |= STATE_SEGMENTS;
    return jump(context, offset);
}

// ---- segment registers ----

// A null selector in a data segment is always good, in SS in 64-bit mode at CPL < 3 with that RPL.
static bool load_null(struct emulate_context *context, enum segment_register which,
                      uint16_t selector)
{
    struct vcpu *vcpu = context->vcpu;
    if (which == SS && (!vcpu_in_64bit(vcpu) || vcpu->cpl == 3 || selector != vcpu->cpl))
        return fail_with(&context->fault, fault_gp(0));
    uint32_t dpl = which == SS ? (uint32_t)FIELD_MAKE(AR_DPL, vcpu->cpl) : 0;
    vcpu->segment[which] = (struct segment){.selector = selector, .access = AR_UNUSABLE | dpl};
    return true;
}

static bool load_segment(struct emulate_context *context, enum segment_register which,
                         uint16_t selector)
{
    struct vcpu *vcpu = context->vcpu;
    if (!vcpu_is_protected(vcpu)) {
        vcpu->segment[which].selector = selector;
        vcpu->segment[which].base = (uint64_t)selector << 4;
        return true;
    }
    if (!(selector & ~SELECTOR_RPL))
        return load_null(context, which, selector);
    return descriptor_load(vcpu, which, selector, VECTOR_GP, context->now, &vcpu->segment[which],
                           &context->fault);
}

bool emulate_move_to_segment(struct emulate_context *context)
{
    enum segment_register which = context->instruction.reg & 7;
    if (!load_segment(context, which, (uint16_t)context->operand))
        return false;
    context->vcpu->dirty |= STATE_SEGMENTS;
    context->blocks_events = which == SS;
    return true;
}
