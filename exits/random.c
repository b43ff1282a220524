// RDRAND and RDSEED, for when they are made to exit: the number is the CPU's own, drawn for this
// exit (FACT_RANDOM). Called through exit_table[]. SDM: "RDRAND-Read Random Number", "RDSEED",
// "Instruction Information Field for RDRAND and RDSEED".

#include "exits/handlers.h"
#include "exits/operand.h"
#include "vm/vm.h"

#define INFO_64BIT BIT(12) // of the operand size
#define FLAGS      (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

verdict_t exit_random(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t gpr = FIELD_GET(OPERAND_REGISTER_1, (uint64_t)exit->instruction_info);
    uint64_t mask = exit->instruction_info & INFO_64BIT ? UINT64_MAX : UINT32_MAX, kept = 0;
    uint32_t missing = linear_missing(vcpu);
    bool is_16bit;
    verdict_t fault;
    if (missing)
        return need(missing);
    if (!cpuid_has(&vcpu->vm->cpuid, exit->reason == EXIT_RDSEED ? CPUID_RDSEED : CPUID_RDRAND))
        return fault_ud();
    if (!operand_is_16bit(vcpu, &is_16bit, &fault))
        return fault;
    if (is_16bit) {
        mask = UINT16_MAX;
        kept = vcpu->gpr[gpr] & ~mask;
    }
    vcpu->gpr[gpr] = kept | (exit->has_random ? exit->random & mask : 0);
    vcpu->rflags = (vcpu->rflags & ~FLAGS) | (exit->has_random ? RFLAGS_CF : 0);
    vcpu->dirty |= STATE_FLOW | (gpr == RSP ? STATE_STACK : 0);
    return next();
}
