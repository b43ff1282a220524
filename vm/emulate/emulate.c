// The instruction emulator's front: fetch, decode, and the choice of the family. Called by the
// handlers of exits on memory (EPT violations, APIC accesses). SDM: "EPT Violations".

#include "vm/emulate/emulate.h"

#include "vm/cpu/debug.h"
#include "vm/emulate/context.h"

#define NEEDS (STATE_FLOW | STATE_CONTROL | STATE_MODE | STATE_STACK)

bool emulate_elsewhere(struct emulate_context *context)
{
    return fail_with(&context->fault, emulate_unknown(context->vcpu));
}

#define ROW(name, text, use, groups, function)                                                     \
    [OP_##name] = {USE_##use, groups, emulate_##function},
static const struct {
    enum operand_use use;
    uint32_t groups; // of state, besides NEEDS
    emulate_family *execute;
} operations[OPERATIONS] = {VM_OPERATIONS(ROW)};

bool emulate_decode(struct vcpu *vcpu, struct instruction *instruction, verdict_t *fault)
{
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    enum decode_result result;
    do {
        if (!linear_fetch(vcpu, bytes, &count, fault))
            return false;
        result = decode(bytes, count, code_bits(vcpu), vcpu_is_protected(vcpu), instruction);
    } while (result == DECODE_TRUNCATED);
    *fault = result == DECODE_INVALID ? fault_ud() : emulate_unknown(vcpu);
    return result == DECODE_OK;
}

static bool begin(struct emulate_context *context, enum operand_use use)
{
    unsigned size = context->instruction.source_size;
    if (use == USE_NONE)
        return true;
    if (context->instruction.form == FORM_REG_RM)
        use = USE_READ;
    if (!operand_prepare(context, size, use == USE_WRITE || use == USE_CHANGE))
        return false;
    if (use == USE_READ || use == USE_CHANGE)
        context->operand = operand_read(context, size);
    return true;
}

// The instruction is complete: commits its flags and steps over it.
static verdict_t end(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    unsigned length = context->instruction.length;
    if (vcpu->rflags != context->rflags) {
        vcpu->rflags = context->rflags;
        vcpu->dirty |= STATE_FLOW;
    }
    debug_trap(vcpu, context->met);
    return context->blocks_events ? next_len_blocking(length) : next_len(length);
}

uint32_t emulate_missing(const struct vcpu *vcpu)
{
    uint32_t needs = NEEDS | (vcpu->rflags & RFLAGS_TF ? (uint32_t)STATE_DEBUG : 0);
    return linear_missing(vcpu) | debug_missing(vcpu) | (needs & ~vcpu->fetched);
}

verdict_t emulate_decoded(struct vcpu *vcpu, const struct instruction *instruction, uint64_t now)
{
    struct emulate_context context; // large, and most of it is written before it is read
    context.vcpu = vcpu;
    context.now = now;
    context.rflags = vcpu->rflags;
    context.address_offset = 0;
    context.alignment = 0;
    context.blocks_events = false;
    context.met = 0;
    context.instruction = *instruction;
    enum operation operation = instruction->operation;
    if (operations[operation].groups & ~vcpu->fetched)
        return need(operations[operation].groups);
    bool is_complete =
        begin(&context, operations[operation].use) && operations[operation].execute(&context);
    return is_complete ? end(&context) : context.fault;
}
