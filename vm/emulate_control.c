// The emulator's instructions that use the stack or go elsewhere. Each prepares its memory, reads,
// and only then changes anything. SDM: the instructions' own pages; "Procedure Calls for
// Block-Structured Languages", "Direct Calls or Jumps to Code Segments".

#include "lib/string.h"
#include "vm/debug.h"
#include "vm/descriptor.h"
#include "vm/emulation.h"
#include "vm/vm.h"

#define ENTER_SIZE  UINT64_C(0xffff) // of the immediates of ENTER
#define ENTER_LEVEL BITS(20, 16)

static uint64_t stack_mask(const struct vcpu *vcpu)
{
    return size_mask(stack_size(vcpu));
}

static bool stack_prepare(struct emulation *emulation, uint64_t offset, unsigned size, bool write,
                          struct linear_span *span)
{
    return memory_prepare(emulation, SS, offset & stack_mask(emulation->vcpu), size, write, span) &&
           linear_mark(emulation->vcpu, span, &emulation->fault);
}

static bool stack_read(struct emulation *emulation, uint64_t offset, unsigned size, uint64_t *value)
{
    struct linear_span span;
    if (!stack_prepare(emulation, offset, size, false, &span))
        return false;
    *value = 0;
    linear_load(emulation->vcpu, &span, value, emulation->now);
    return true;
}

static void set_stack(struct emulation *emulation, uint64_t top)
{
    register_write(emulation, RSP, stack_size(emulation->vcpu), top);
}

// ---- the stack alone ----

bool emulate_push(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    uint64_t top = vcpu->gpr[RSP] - size, value = instruction->immediate;
    struct linear_span stack;
    if (!stack_prepare(emulation, top, size, true, &stack))
        return false;
    if (instruction->form != FORM_IMM)
        value = operand_read(emulation, size);
    linear_store(vcpu, &stack, &value, emulation->now);
    set_stack(emulation, top);
    return true;
}

// The destination's address is computed with RSP already incremented.
bool emulate_pop(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned size = emulation->instruction.operand_size, width = stack_size(vcpu);
    uint64_t top = vcpu->gpr[RSP] & size_mask(width), value = 0;
    struct linear_span stack;
    if (emulation->instruction.base == RSP)
        emulation->address_offset = size;
    if (!memory_prepare(emulation, SS, top, size, false, &stack) ||
        !operand_prepare(emulation, size, true) || !linear_mark(vcpu, &stack, &emulation->fault))
        return false;
    linear_load(vcpu, &stack, &value, emulation->now);
    set_stack(emulation, top + size);
    operand_write(emulation, size, value);
    return true;
}

bool emulate_leave(struct emulation *emulation)
{
    unsigned size = emulation->instruction.operand_size;
    uint64_t frame = emulation->vcpu->gpr[RBP], value;
    if (!stack_read(emulation, frame, size, &value))
        return false;
    set_stack(emulation, frame + size);
    register_write(emulation, RBP, size, value);
    return true;
}

// Pushes RBP, and at nesting level 1 the pointer to the frame that begins. Deeper levels copy the
// outer frames' pointers: nobody does that on a device.
bool emulate_enter(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned size = emulation->instruction.operand_size;
    uint64_t level = FIELD_GET(ENTER_LEVEL, emulation->instruction.immediate);
    unsigned own = level ? size : 0;
    uint64_t frame = vcpu->gpr[RSP] - size;
    struct linear_span stack;
    uint8_t words[2 * sizeof(frame)];
    emulation->fault = emulation_unknown(vcpu);
    if (level > 1)
        return false;
    if (!stack_prepare(emulation, frame - own, size + own, true, &stack))
        return false;
    memcpy(words, &frame, own);
    memcpy(words + own, &vcpu->gpr[RBP], size);
    linear_store(vcpu, &stack, words, emulation->now);
    register_write(emulation, RBP, size, frame);
    set_stack(emulation, frame - own - (emulation->instruction.immediate & ENTER_SIZE));
    return true;
}

// ---- branches ----

// Whether the instruction pointer can be there: in the code segment, or canonical.
static bool is_inside(struct emulation *emulation, const struct segment *code, uint64_t target)
{
    bool is_64bit = (emulation->vcpu->efer & EFER_LMA) && (code->access & AR_LONG);
    if (is_64bit ? linear_is_canonical(emulation->vcpu, target) : target <= code->limit)
        return true;
    emulation->fault = fault_gp(0);
    return false;
}

// The step over the instruction ends there.
static bool jump(struct emulation *emulation, uint64_t target)
{
    struct vcpu *vcpu = emulation->vcpu;
    vcpu->rip = target - emulation->instruction.length;
    vcpu->dirty |= STATE_FLOW;
    debug_step(vcpu, true);
    return true;
}

bool emulate_jump(struct emulation *emulation)
{
    return is_inside(emulation, &emulation->vcpu->segment[CS], emulation->operand) &&
           jump(emulation, emulation->operand);
}

bool emulate_call(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    const struct instruction *instruction = &emulation->instruction;
    unsigned size = instruction->operand_size;
    uint64_t top = vcpu->gpr[RSP] - size, back = vcpu->rip + instruction->length;
    uint64_t target = (back + instruction->immediate) & size_mask(size);
    struct linear_span stack;
    if (!stack_prepare(emulation, top, size, true, &stack))
        return false;
    if (instruction->form != FORM_IMM)
        target = operand_read(emulation, size);
    if (!is_inside(emulation, &vcpu->segment[CS], target))
        return false;
    linear_store(vcpu, &stack, &back, emulation->now);
    set_stack(emulation, top);
    return jump(emulation, target);
}

bool emulate_return(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned size = emulation->instruction.operand_size;
    uint64_t top = vcpu->gpr[RSP], target;
    if (!stack_read(emulation, top, size, &target) ||
        !is_inside(emulation, &vcpu->segment[CS], target))
        return false;
    set_stack(emulation, top + size + (emulation->instruction.immediate & 0xffff));
    return jump(emulation, target);
}

// To a code segment; a gate or a task in the descriptor tables is none of ours.
static bool find_code(struct emulation *emulation, uint16_t selector, uint64_t offset,
                      struct descriptor *descriptor, struct segment *code)
{
    struct vcpu *vcpu = emulation->vcpu;
    *code = vcpu->segment[CS];
    if (!vcpu_is_protected(vcpu)) {
        code->selector = selector;
        code->base = (uint64_t)selector << 4;
        return is_inside(emulation, code, offset);
    }
    emulation->fault = fault_gp(SELECTOR_ERROR(selector));
    if (!(selector & ~SELECTOR_RPL) ||
        !descriptor_read(vcpu, selector, false, VECTOR_GP, emulation->now, descriptor,
                         &emulation->fault))
        return false;
    uint32_t access = descriptor_access(descriptor), wide = AR_LONG | AR_DB;
    if (!(access & AR_CODE_DATA)) {
        emulation->fault = emulation_unknown(vcpu);
        return false;
    }
    if ((!(access & TYPE_CONFORMING) && (selector & SELECTOR_RPL) > vcpu->cpl) ||
        ((vcpu->efer & EFER_LMA) && (access & wide) == wide))
        return false;
    uint16_t own = (uint16_t)((selector & ~SELECTOR_RPL) | vcpu->cpl);
    if (!descriptor_check(descriptor, CS, own, vcpu->cpl, VECTOR_GP, &emulation->fault))
        return false;
    *code = descriptor_segment(own, descriptor);
    return is_inside(emulation, code, offset) &&
           descriptor_mark(vcpu, descriptor, TYPE_ACCESSED, 0, emulation->now, &emulation->fault);
}

bool emulate_far_jump(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned size = emulation->instruction.operand_size;
    uint8_t bytes[16] = {0};
    uint64_t offset = 0;
    uint16_t selector;
    struct descriptor descriptor;
    struct segment code;
    if (!operand_prepare(emulation, size + sizeof(selector), false))
        return false;
    linear_load(vcpu, &emulation->memory, bytes, emulation->now);
    memcpy(&offset, bytes, size);
    memcpy(&selector, bytes + size, sizeof(selector));
    if (!find_code(emulation, selector, offset, &descriptor, &code))
        return false;
    code.access |= vcpu_is_protected(vcpu) ? TYPE_ACCESSED : 0;
    vcpu->segment[CS] = code;
    vcpu->dirty |= STATE_SEGMENTS;
    return jump(emulation, offset);
}

// ---- segment registers ----

// A null selector in a data segment is always good, in SS in 64-bit mode at CPL < 3 with that RPL.
static bool load_null(struct emulation *emulation, enum segment_register which, uint16_t selector)
{
    struct vcpu *vcpu = emulation->vcpu;
    if (which == SS && (!vcpu_in_64bit(vcpu) || vcpu->cpl == 3 || selector != vcpu->cpl)) {
        emulation->fault = fault_gp(0);
        return false;
    }
    uint32_t dpl = which == SS ? (uint32_t)FIELD_MAKE(AR_DPL, vcpu->cpl) : 0;
    vcpu->segment[which] = (struct segment){.selector = selector, .access = AR_UNUSABLE | dpl};
    return true;
}

static bool load_segment(struct emulation *emulation, enum segment_register which,
                         uint16_t selector)
{
    struct vcpu *vcpu = emulation->vcpu;
    struct descriptor descriptor;
    if (!vcpu_is_protected(vcpu)) {
        vcpu->segment[which].selector = selector;
        vcpu->segment[which].base = (uint64_t)selector << 4;
        return true;
    }
    if (!(selector & ~SELECTOR_RPL))
        return load_null(emulation, which, selector);
    if (!descriptor_read(vcpu, selector, false, VECTOR_GP, emulation->now, &descriptor,
                         &emulation->fault) ||
        !descriptor_check(&descriptor, which, selector, vcpu->cpl, VECTOR_GP, &emulation->fault) ||
        !descriptor_mark(vcpu, &descriptor, TYPE_ACCESSED, 0, emulation->now, &emulation->fault))
        return false;
    vcpu->segment[which] = descriptor_segment(selector, &descriptor);
    return true;
}

bool emulate_move_to_segment(struct emulation *emulation)
{
    enum segment_register which = emulation->instruction.reg & 7;
    if (!load_segment(emulation, which, (uint16_t)emulation->operand))
        return false;
    emulation->vcpu->dirty |= STATE_SEGMENTS;
    emulation->blocks_events = which == SS;
    return true;
}
