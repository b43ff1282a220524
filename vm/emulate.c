// The instruction emulator's front: fetch, decode, and the choice of the family. Called by the
// handlers of exits on memory (EPT violations, APIC accesses). SDM: "EPT Violations".

#include "vm/emulate.h"

#include "vm/debug.h"
#include "vm/emulation.h"
#include "vm/vm.h"

#define NEEDS (STATE_FLOW | STATE_CONTROL | STATE_MODE | STATE_STACK)

// User code cannot end its VM: what we do not know it may not use.
static verdict_t unknown(const struct vcpu *vcpu)
{
    return vcpu->cpl == 3 ? fault_ud() : stop(STOP_UNEMULATED, 0);
}

static bool is_protected(const struct vcpu *vcpu)
{
    return (vcpu->cr0 & CR0_PE) && !(vcpu->rflags & RFLAGS_VM);
}

static verdict_t execute(struct emulation *emulation)
{
    enum operation operation = emulation->instruction.operation;
    if (operation < OP_MOV)
        return emulate_arithmetic(emulation);
    if (operation < OP_MOVS)
        return emulate_transfer(emulation);
    if (operation < OP_VECTOR)
        return emulate_string(emulation);
    if (!(emulation->vcpu->fetched & STATE_FPU))
        return need(STATE_FPU);
    return emulate_vector(emulation);
}

verdict_t emulate(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t needs = NEEDS | (vcpu->rflags & RFLAGS_TF ? (uint32_t)STATE_DEBUG : 0);
    uint32_t missing = linear_missing(vcpu) | debug_missing(vcpu) | (needs & ~vcpu->fetched);
    if (missing)
        return need(missing);

    struct emulation emulation; // large, and most of it is written before it is read
    emulation.vcpu = vcpu;
    emulation.now = exit_now(vcpu, exit);
    emulation.rflags = vcpu->rflags;
    emulation.address_offset = 0;
    emulation.alignment = 0;
    emulation.met = 0;
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    enum decode_result result;
    do {
        if (!linear_fetch(vcpu, bytes, &count, &emulation.fault))
            return emulation.fault;
        result = decode(bytes, count, code_bits(vcpu), is_protected(vcpu), &emulation.instruction);
    } while (result == DECODE_TRUNCATED);
    if (result == DECODE_INVALID)
        return fault_ud();
    if (result == DECODE_UNKNOWN)
        return unknown(vcpu);
    return execute(&emulation);
}
