// The instruction emulator's front: fetch, decode, and the choice of the family. Called by the
// handlers of exits on memory (EPT violations, APIC accesses). SDM: "EPT Violations".

#include "vm/emulate.h"

#include "vm/debug.h"
#include "vm/emulation.h"
#include "vm/vm.h"

#define NEEDS (STATE_FLOW | STATE_CONTROL | STATE_MODE | STATE_STACK)

verdict_t emulation_unknown(const struct vcpu *vcpu)
{
    return vcpu->cpl == 3 ? fault_ud() : stop(STOP_UNEMULATED, 0);
}

bool emulate_elsewhere(struct emulation *emulation)
{
    emulation->fault = emulation_unknown(emulation->vcpu);
    return false;
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
    *fault = result == DECODE_INVALID ? fault_ud() : emulation_unknown(vcpu);
    return result == DECODE_OK;
}

static bool begin(struct emulation *emulation, enum operand_use use)
{
    unsigned size = emulation->instruction.source_size;
    if (use == USE_NONE)
        return true;
    if (emulation->instruction.form == FORM_REG_RM)
        use = USE_READ;
    if (!operand_prepare(emulation, size, use == USE_WRITE || use == USE_CHANGE))
        return false;
    if (use == USE_READ || use == USE_CHANGE)
        emulation->operand = operand_read(emulation, size);
    return true;
}

// The instruction is complete: commits its flags and steps over it.
static verdict_t end(struct emulation *emulation)
{
    struct vcpu *vcpu = emulation->vcpu;
    unsigned length = emulation->instruction.length;
    if (vcpu->rflags != emulation->rflags) {
        vcpu->rflags = emulation->rflags;
        vcpu->dirty |= STATE_FLOW;
    }
    debug_trap(vcpu, emulation->met);
    return emulation->blocks_events ? next_len_blocking(length) : next_len(length);
}

uint32_t emulate_missing(const struct vcpu *vcpu)
{
    uint32_t needs = NEEDS | (vcpu->rflags & RFLAGS_TF ? (uint32_t)STATE_DEBUG : 0);
    return linear_missing(vcpu) | debug_missing(vcpu) | (needs & ~vcpu->fetched);
}

verdict_t emulate_decoded(struct vcpu *vcpu, const struct instruction *instruction, uint64_t now)
{
    struct emulation emulation; // large, and most of it is written before it is read
    emulation.vcpu = vcpu;
    emulation.now = now;
    emulation.rflags = vcpu->rflags;
    emulation.address_offset = 0;
    emulation.alignment = 0;
    emulation.blocks_events = false;
    emulation.met = 0;
    emulation.instruction = *instruction;
    enum operation operation = instruction->operation;
    if (operations[operation].groups & ~vcpu->fetched)
        return need(operations[operation].groups);
    bool is_complete =
        begin(&emulation, operations[operation].use) && operations[operation].execute(&emulation);
    return is_complete ? end(&emulation) : emulation.fault;
}
