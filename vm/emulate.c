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

bool emulation_is_protected(const struct vcpu *vcpu)
{
    return (vcpu->cr0 & CR0_PE) && !(vcpu->rflags & RFLAGS_VM);
}

verdict_t emulate_elsewhere(struct emulation *emulation)
{
    return emulation_unknown(emulation->vcpu);
}

#define FAMILY(name, text, function) [OP_##name] = emulate_##function,
static emulate_family *const families[OPERATIONS] = {VM_OPERATIONS(FAMILY)};

bool emulate_decode(struct vcpu *vcpu, struct instruction *instruction, verdict_t *fault)
{
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    enum decode_result result;
    do {
        if (!linear_fetch(vcpu, bytes, &count, fault))
            return false;
        result = decode(bytes, count, code_bits(vcpu), emulation_is_protected(vcpu), instruction);
    } while (result == DECODE_TRUNCATED);
    *fault = result == DECODE_INVALID ? fault_ud() : emulation_unknown(vcpu);
    return result == DECODE_OK;
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
    if (!emulate_decode(vcpu, &emulation.instruction, &emulation.fault))
        return emulation.fault;
    enum operation operation = emulation.instruction.operation;
    if (operation == OP_VECTOR && !(vcpu->fetched & STATE_FPU))
        return need(STATE_FPU);
    return families[operation](&emulation);
}
