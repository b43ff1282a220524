// Instructions that the emulator executes, and those on system registers whose operand lies in a
// device: SLDT to LTR, SGDT to LMSW are done by the handlers of their own exits, from the
// instruction information that the CPU would have given. Called by exits/ept.c and exits/apic.c.
// SDM: "VM-Exit Instruction Information".

#include "exits/emulate.h"

#include "exits/handlers.h"
#include "exits/operand.h"
#include "vm/emulate/emulate.h"
#include "vm/vm.h"

#define SMSW       4
#define LMSW       6
#define TYPE_LMSW  (UINT64_C(3) << 4)
#define LMSW_VALUE 16 // where the qualification has the operand

// Of a memory operand; *displacement becomes the qualification.
static uint32_t information(const struct vcpu *vcpu, const struct instruction *instruction,
                            uint64_t *displacement)
{
    uint64_t info = (uint64_t)lowest_bit(instruction->scale) |
                    FIELD_MAKE(INFO_ADDRESS_SIZE, (uint64_t)instruction->address_size / 4) |
                    FIELD_MAKE(INFO_SEGMENT, (uint64_t)instruction->segment);
    *displacement = instruction->displacement;
    if (instruction->operand_size >= 4)
        info |= OPERAND_32BIT;
    if (instruction->index == REGISTER_NONE)
        info |= INFO_NO_INDEX;
    else
        info |= FIELD_MAKE(INFO_INDEX, (uint64_t)instruction->index);
    if (instruction->base >= REGISTER_RIP)
        info |= INFO_NO_BASE;
    else
        info |= FIELD_MAKE(INFO_BASE, (uint64_t)instruction->base);
    if (instruction->base == REGISTER_RIP)
        *displacement += vcpu->rip + instruction->length;
    return (uint32_t)(info | FIELD_MAKE(OPERAND_IDENTITY, instruction->reg & UINT64_C(3)));
}

// SMSW and LMSW.
static verdict_t machine_status(struct vcpu *vcpu, struct exit *exit, bool is_store)
{
    uint16_t word = (uint16_t)vcpu->cr0;
    gva_t linear;
    verdict_t fault;
    if (is_store ? vcpu->cpl > 0 && (vcpu->cr4 & CR4_UMIP) : vcpu->cpl > 0)
        return fault_gp(0);
    if (is_store)
        return operand_store(vcpu, exit, &word, sizeof(word), &linear, &fault) ? next() : fault;
    if (!operand_load(vcpu, exit, &word, sizeof(word), &linear, &fault))
        return fault;
    exit->qualification = TYPE_LMSW | (uint64_t)word << LMSW_VALUE;
    return exit_cr_access(vcpu, exit);
}

static verdict_t execute(struct vcpu *vcpu, const struct exit *exit,
                         const struct instruction *instruction)
{
    struct exit as_if = *exit;
    unsigned which = instruction->reg & 7;
    as_if.instruction_info = information(vcpu, instruction, &as_if.qualification);
    if (!(vcpu->fetched & STATE_SEGMENTS))
        return need(STATE_SEGMENTS);
    if (instruction->condition == 0)
        return exit_ldtr_tr(vcpu, &as_if);
    if (which == SMSW || which == LMSW)
        return machine_status(vcpu, &as_if, which == SMSW);
    return exit_gdtr_idtr(vcpu, &as_if);
}

verdict_t exit_emulate(struct vcpu *vcpu, const struct exit *exit)
{
    struct instruction instruction;
    verdict_t verdict;
    uint32_t missing = emulate_missing(vcpu);
    if (missing)
        return need(missing);
    if (!emulate_decode(vcpu, &instruction, &verdict))
        return verdict;
    if (instruction.operation != OP_SYSTEM)
        return emulate_decoded(vcpu, &instruction, exit_now(vcpu, exit));
    verdict = execute(vcpu, exit, &instruction);
    return verdict_is_next(verdict) ? next_len(instruction.length) : verdict;
}

// A kernel is lost. But a program chooses its stack, where events come through a gate of its own
// privilege or INT n goes to a virtual-8086 program's own handler: its kernel hears of it.
verdict_t exit_refuse_delivery(const struct vcpu *vcpu)
{
    return vcpu->cpl == 3 ? fault_gp(0) : stop(STOP_TRIPLE_FAULT, 0);
}
