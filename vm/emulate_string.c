// The emulator's string instructions. Repeated ones commit each iteration (registers and memory),
// and give the CPU back after a bounded number of bytes, so that interrupts get their turn. SDM:
// "String Operations", "REP/REPE/REPZ".

#include "vm/alu.h"
#include "vm/emulation.h"

#define CHUNK 4096 // bytes for one exit

struct string {
    struct emulation *emulation;
    unsigned size;           // bytes of an element
    struct linear_span from; // segment:[rSI]
    struct linear_span to;   // ES:[rDI]
};

static bool uses_source(enum operation operation)
{
    return operation == OP_MOVS || operation == OP_LODS || operation == OP_CMPS;
}

static bool uses_destination(enum operation operation)
{
    return operation != OP_LODS;
}

static uint64_t pointer(const struct string *string, enum gpr name)
{
    return string->emulation->vcpu->gpr[name] &
           size_mask(string->emulation->instruction.address_size);
}

static bool prepare(struct string *string)
{
    struct emulation *emulation = string->emulation;
    enum operation operation = emulation->instruction.operation;
    bool writes = operation == OP_MOVS || operation == OP_STOS;
    bool source = uses_source(operation), destination = uses_destination(operation);
    if (source && !memory_prepare(emulation, emulation->instruction.segment, pointer(string, RSI),
                                  string->size, false, &string->from))
        return false;
    if (destination &&
        !memory_prepare(emulation, ES, pointer(string, RDI), string->size, writes, &string->to))
        return false;
    return (!source || linear_mark(emulation->vcpu, &string->from, &emulation->fault)) &&
           (!destination || linear_mark(emulation->vcpu, &string->to, &emulation->fault));
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
    if (operation == OP_CMPS || operation == OP_SCAS) {
        linear_load(vcpu, &string->to, &right, emulation->now);
        alu_binary(OP_CMP, string->size, left, right, &emulation->rflags);
    } else if (operation == OP_LODS) {
        register_write(emulation, RAX, string->size, left);
    } else {
        linear_store(vcpu, &string->to, &left, emulation->now);
    }
}

static void advance(struct string *string, enum gpr name)
{
    struct emulation *emulation = string->emulation;
    uint64_t step = string->size;
    if (emulation->rflags & RFLAGS_DF)
        step = -step;
    register_write(emulation, name, emulation->instruction.address_size,
                   emulation->vcpu->gpr[name] + step);
}

static bool iterate(struct string *string)
{
    enum operation operation = string->emulation->instruction.operation;
    if (!prepare(string))
        return false;
    operate(string);
    if (uses_source(operation))
        advance(string, RSI);
    if (uses_destination(operation))
        advance(string, RDI);
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
verdict_t emulate_string(struct emulation *emulation)
{
    const struct instruction *instruction = &emulation->instruction;
    struct string string = {.emulation = emulation, .size = instruction->operand_size};
    if (instruction->repeat == REPEAT_NONE)
        return iterate(&string) ? emulation_done(emulation) : emulation->fault;

    for (unsigned bytes = 0; bytes < CHUNK; bytes += string.size) {
        uint64_t count = pointer(&string, RCX);
        if (count == 0)
            return emulation_done(emulation);
        if (!iterate(&string))
            return emulation->fault;
        register_write(emulation, RCX, instruction->address_size, count - 1);
        if (count == 1 || comparison_ends(emulation))
            return emulation_done(emulation);
    }
    return again();
}
