// String instructions, those of the emulator and INS and OUTS. Repeated ones commit each iteration
// (registers and memory), and give the CPU back after a bounded number of them, so that interrupts
// get their turn. SDM: "String Operations", "REP/REPE/REPZ", "INS/INSB/INSW/INSD".

#include "vm/alu.h"
#include "vm/debug.h"
#include "vm/emulation.h"
#include "vm/vm.h"

#define CHUNK      4096 // bytes for one exit
#define PORT_CHUNK 64   // accesses to a port

struct string {
    struct emulation *emulation;
    unsigned size;           // bytes of an element
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
    return string->emulation->vcpu->gpr[name] &
           size_mask(string->emulation->instruction.address_size);
}

static bool is_downward(const struct string *string)
{
    return string->emulation->rflags & RFLAGS_DF;
}

// A repetition need not translate each element: how many, from the one at `offset` on, lie in its
// page, in the segment and below the end of the address size. At least 1, the one that `span` was
// prepared for.
static uint64_t elements_ahead(const struct string *string, enum segment_register segment,
                               uint64_t offset, bool write, const struct linear_span *span)
{
    const struct emulation *emulation = string->emulation;
    uint64_t size = string->size, at = span->part[0].physical.value % PAGE_SIZE;
    uint64_t last = size_mask(emulation->instruction.address_size);
    bool downward = is_downward(string);
    uint64_t in_page = downward ? at / size + 1 : (PAGE_SIZE - at) / size;
    uint64_t in_size = downward ? offset / size + 1 : (last - offset) / size;
    uint64_t count = MIN(in_page, in_size);
    gva_t linear;
    verdict_t fault;
    if (span->parts > 1 || count <= 1 || (emulation->vcpu->dirty & STATE_BREAKPOINTS))
        return 1;
    uint64_t lowest = downward ? offset - (count - 1) * size : offset;
    return segment_linear(emulation->vcpu, segment, lowest, (unsigned)(count * size), write,
                          &linear, &fault)
               ? count
               : 1;
}

static bool prepare_one(struct string *string, enum segment_register segment, enum gpr name,
                        bool write, struct linear_span *span)
{
    uint64_t offset = pointer(string, name);
    if (!memory_prepare(string->emulation, segment, offset, string->size, write, span))
        return false;
    if (string->emulation->instruction.repeat != REPEAT_NONE)
        string->ready = MIN(string->ready, elements_ahead(string, segment, offset, write, span));
    return true;
}

static bool prepare(struct string *string)
{
    struct emulation *emulation = string->emulation;
    enum operation operation = emulation->instruction.operation;
    bool writes = operation == OP_MOVS || operation == OP_STOS || operation == OP_INS;
    bool source = uses_source(operation), destination = uses_destination(operation);
    string->ready = CHUNK;
    if (source && !prepare_one(string, emulation->instruction.segment, RSI, false, &string->from))
        return false;
    if (destination && !prepare_one(string, ES, RDI, writes, &string->to))
        return false;
    return (!source || linear_mark(emulation->vcpu, &string->from, &emulation->fault)) &&
           (!destination || linear_mark(emulation->vcpu, &string->to, &emulation->fault));
}

// INS has checked its destination before: reading a port may have effects.
static uint64_t access_port(struct string *string, uint64_t value)
{
    struct emulation *emulation = string->emulation;
    struct access access = {
        .offset = emulation->instruction.immediate,
        .value = value,
        .now = emulation->now,
        .size = (uint8_t)string->size,
        .write = emulation->instruction.operation == OP_OUTS,
    };
    emulation->met |= debug_port(emulation->vcpu, access.offset, string->size);
    vm_port_access(emulation->vcpu->vm, &access);
    return access.value;
}

static void operate(struct string *string)
{
    struct emulation *emulation = string->emulation;
    enum operation operation = emulation->instruction.operation;
    struct vcpu *vcpu = emulation->vcpu;
    uint64_t left = vcpu->gpr[RAX] & size_mask(string->size), right = 0;
    if (uses_source(operation)) {
        left = 0;
        linear_load(vcpu, &string->from, &left, emulation->now);
    }
    if (uses_port(operation))
        left = access_port(string, operation == OP_OUTS ? left : 0);
    if (operation == OP_CMPS || operation == OP_SCAS) {
        linear_load(vcpu, &string->to, &right, emulation->now);
        alu_binary(OP_CMP, string->size, left, right, &emulation->rflags);
    } else if (operation == OP_LODS) {
        register_write(emulation, RAX, string->size, left);
    } else if (uses_destination(operation)) {
        linear_store(vcpu, &string->to, &left, emulation->now);
    }
}

static void advance(struct string *string, enum gpr name, struct linear_span *span)
{
    struct emulation *emulation = string->emulation;
    uint64_t step = is_downward(string) ? -(uint64_t)string->size : string->size;
    register_write(emulation, name, emulation->instruction.address_size,
                   emulation->vcpu->gpr[name] + step);
    span->part[0].physical.value += step;
    if (span->part[0].ram && string->ready > 1)
        span->part[0].ram += (int64_t)step;
}

static bool iterate(struct string *string)
{
    enum operation operation = string->emulation->instruction.operation;
    if (string->ready == 0 && !prepare(string))
        return false;
    operate(string);
    if (uses_source(operation))
        advance(string, RSI, &string->from);
    if (uses_destination(operation))
        advance(string, RDI, &string->to);
    string->ready--;
    return true;
}

// Whether a comparison ends the repetition: REPE at the first difference, REPNE at the first match.
static bool comparison_ends(const struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    if (instruction->operation != OP_CMPS && instruction->operation != OP_SCAS)
        return false;
    bool equal = emulation->rflags & RFLAGS_ZF;
    return equal != (instruction->repeat == REPEAT_EQUAL);
}

// Flags are committed with the last iteration only, as for any instruction that is interrupted.
bool emulate_string(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    const struct instruction *instruction = &emulation->instruction;
    struct string string;
    string.emulation = emulation;
    string.size = instruction->operand_size;
    string.ready = 0;
    if (instruction->repeat == REPEAT_NONE)
        return iterate(&string);

    unsigned limit = uses_port(instruction->operation) ? PORT_CHUNK * string.size : CHUNK;
    for (unsigned bytes = 0; bytes < limit; bytes += string.size) {
        uint64_t count = pointer(&string, RCX);
        if (count == 0)
            return true;
        emulation->met = 0;
        if (!iterate(&string))
            return false;
        register_write(emulation, RCX, instruction->address_size, count - 1);
        if (count == 1 || comparison_ends(emulation))
            return true;
        if (emulation->met || (vcpu->rflags & RFLAGS_TF))
            break;
    }
    debug_trap(vcpu, emulation->met);
    debug_step(vcpu, false);
    debug_hold_string(vcpu);
    emulation->fault = again();
    return false;
}
