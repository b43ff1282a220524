// String instructions, those of the emulator and INS and OUTS. Repeated ones commit each iteration
// (registers and memory), and give the CPU back after a bounded piece of work, so that interrupts
// get their turn. SDM: "String Operations", "REP/REPE/REPZ", "INS/INSB/INSW/INSD".

#include "vm/emulate/alu.h"
#include "vm/cpu/debug.h"
#include "vm/emulate/context.h"
#include "vm/vm.h"

// The work of one exit, at most some 100,000 cycles: an element in RAM is 1.
#define PIECE       1024
#define PREPARATION 32 // checks and page walks
#define ACCESS      16 // to a port, a device or what is not there

struct string {
    struct emulate_context *context;
    unsigned size;           // bytes of an element
    unsigned work;           // of each element for which the spans below hold
    unsigned done;           // work
    uint64_t ready;          // elements, this one included, for which the spans below hold
    struct linear_span from; // segment:[rSI]
    struct linear_span to;   // ES:[rDI]
};

static bool uses_source(enum operation operation)
{
    return operation == OP_MOVS || operation == OP_LODS || operation == OP_CMPS ||
           operation == OP_OUTS;
}

static bool uses_destination(enum operation operation)
{
    return operation != OP_LODS && operation != OP_OUTS;
}

static bool uses_port(enum operation operation)
{
    return operation == OP_INS || operation == OP_OUTS;
}

static uint64_t pointer(const struct string *string, enum gpr name)
{
    return string->context->vcpu->gpr[name] & size_mask(string->context->instruction.address_size);
}

static bool is_downward(const struct string *string)
{
    return string->context->rflags & RFLAGS_DF;
}

// A repetition need not translate each element: how many, from the one at `offset` on, lie in its
// page, in the segment and below the end of the address size. At least 1, the one that `span` was
// prepared for.
static uint64_t elements_ahead(const struct string *string, enum segment_register segment,
                               uint64_t offset, bool write, const struct linear_span *span)
{
    const struct emulate_context *context = string->context;
    uint64_t size = string->size, at = span->part[0].physical.value % PAGE_SIZE;
    uint64_t last = size_mask(context->instruction.address_size);
    bool downward = is_downward(string);
    uint64_t in_page = downward ? at / size + 1 : (PAGE_SIZE - at) / size;
    uint64_t in_size = downward ? offset / size + 1 : (last - offset) / size;
    uint64_t count = MIN(in_page, in_size);
    gva_t linear;
    verdict_t fault;
    if (span->parts > 1 || count <= 1 || (context->vcpu->dirty & STATE_BREAKPOINTS))
        return 1;
    uint64_t lowest = downward ? offset - (count - 1) * size : offset;
    return segment_linear(context->vcpu, segment, lowest, (unsigned)(count * size), write, &linear,
                          &fault)
               ? count
               : 1;
}

static bool prepare_one(struct string *string, enum segment_register segment, enum gpr name,
                        bool write, struct linear_span *span)
{
    uint64_t offset = pointer(string, name);
    if (!memory_prepare(string->context, segment, offset, string->size, write, span))
        return false;
    if (string->context->instruction.repeat != REPEAT_NONE)
        string->ready = MIN(string->ready, elements_ahead(string, segment, offset, write, span));
    return true;
}

static bool prepare(struct string *string)
{
    struct emulate_context *context = string->context;
    enum operation operation = context->instruction.operation;
    bool writes = operation == OP_MOVS || operation == OP_STOS || operation == OP_INS;
    bool source = uses_source(operation), destination = uses_destination(operation);
    string->ready = PIECE;
    if (source && !prepare_one(string, context->instruction.segment, RSI, false, &string->from))
        return false;
    if (destination && !prepare_one(string, ES, RDI, writes, &string->to))
        return false;
    string->work = 1 + ACCESS * (uses_port(operation) + (source && !string->from.part[0].ram) +
                                 (destination && !string->to.part[0].ram));
    string->done += PREPARATION;
    return (!source || linear_mark(context->vcpu, &string->from, &context->fault)) &&
           (!destination || linear_mark(context->vcpu, &string->to, &context->fault));
}

// INS has checked its destination before: reading a port may have effects.
static uint64_t access_port(struct string *string, uint64_t value)
{
    struct emulate_context *context = string->context;
    struct access access = {
        .offset = context->instruction.immediate,
        .value = value,
        .now = context->now,
        .size = (uint8_t)string->size,
        .write = context->instruction.operation == OP_OUTS,
    };
    context->met |= debug_port(context->vcpu, access.offset, string->size);
    vm_port_access(context->vcpu->vm, &access);
    return access.value;
}

static void operate(struct string *string)
{
    struct emulate_context *context = string->context;
    enum operation operation = context->instruction.operation;
    struct vcpu *vcpu = context->vcpu;
    uint64_t left = vcpu->gpr[RAX] & size_mask(string->size), right = 0;
    if (uses_source(operation)) {
        left = 0;
        linear_load(vcpu, &string->from, &left, context->now);
    }
    if (uses_port(operation))
        left = access_port(string, operation == OP_OUTS ? left : 0);
    if (operation == OP_CMPS || operation == OP_SCAS) {
        linear_load(vcpu, &string->to, &right, context->now);
        alu_binary(OP_CMP, string->size, left, right, &context->rflags);
    } else if (operation == OP_LODS) {
        register_write(context, RAX, string->size, left);
    } else if (uses_destination(operation)) {
        linear_store(vcpu, &string->to, &left, context->now);
    }
}

static void advance(struct string *string, enum gpr name, struct linear_span *span)
{
    struct emulate_context *context = string->context;
    uint64_t step = is_downward(string) ? -(uint64_t)string->size : string->size;
    register_write(context, name, context->instruction.address_size,
                   context->vcpu->gpr[name] + step);
    span->part[0].physical.value += step;
    if (span->part[0].ram && string->ready > 1)
        span->part[0].ram += (int64_t)step;
}

static bool iterate(struct string *string)
{
    enum operation operation = string->context->instruction.operation;
    if (string->ready == 0 && !prepare(string))
        return false;
    operate(string);
    if (uses_source(operation))
        advance(string, RSI, &string->from);
    if (uses_destination(operation))
        advance(string, RDI, &string->to);
    string->ready--;
    string->done += string->work;
    return true;
}

// Whether a comparison ends the repetition: REPE at the first difference, REPNE at the first match.
static bool comparison_ends(const struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    if (instruction->operation != OP_CMPS && instruction->operation != OP_SCAS)
        return false;
    bool equal = context->rflags & RFLAGS_ZF;
    return equal != (instruction->repeat == REPEAT_EQUAL);
}

// Flags are committed with the last iteration only, as for any instruction that is interrupted.
bool emulate_string(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    struct string string;
    string.context = context;
    string.size = instruction->operand_size;
    string.ready = string.done = 0;
    if (instruction->repeat == REPEAT_NONE)
        return iterate(&string);

    uint32_t exertions = atomic_load_explicit(&vcpu->vm->exertions, memory_order_relaxed);
    while (string.done < PIECE) {
        uint64_t count = pointer(&string, RCX);
        if (count == 0)
            return true;
        context->met = 0;
        if (!iterate(&string))
            return false;
        register_write(context, RCX, instruction->address_size, count - 1);
        if (count == 1 || comparison_ends(context))
            return true;
        if (context->met || (vcpu->rflags & RFLAGS_TF) ||
            exertions != atomic_load_explicit(&vcpu->vm->exertions, memory_order_relaxed))
            break;
    }
    debug_trap(vcpu, context->met);
    debug_step(vcpu, false);
    debug_hold_string(vcpu);
    return fail_with(&context->fault, again());
}
