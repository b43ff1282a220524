// RDTSC, RDTSCP and RDPMC, for when they are made to exit (RDPMC always is: guests have no
// counters). Called through exit_table[]. SDM: "RDTSC-Read Time-Stamp Counter", "RDTSCP",
// "RDPMC-Read Performance-Monitoring Counters".

#include "exits/handlers.h"
#include "vm/vm.h"

static bool is_denied(const struct vcpu *vcpu)
{
    return vcpu->cpl > 0 && (vcpu->cr4 & CR4_TSD);
}

static void set_tsc(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t tsc = exit->tsc + vcpu->tsc_offset;
    vcpu->gpr[RAX] = (uint32_t)tsc;
    vcpu->gpr[RDX] = tsc >> 32;
}

verdict_t exit_rdtsc(struct vcpu *vcpu, const struct exit *exit)
{
    if (is_denied(vcpu))
        return fault_gp(0);
    set_tsc(vcpu, exit);
    return next();
}

verdict_t exit_rdtscp(struct vcpu *vcpu, const struct exit *exit)
{
    if (!cpuid_has(&vcpu->vm->cpuid, CPUID_RDTSCP))
        return fault_ud();
    if (is_denied(vcpu))
        return fault_gp(0);
    set_tsc(vcpu, exit);
    vcpu->gpr[RCX] = (uint32_t)vcpu->live.tsc_aux;
    return next();
}

verdict_t exit_rdpmc(struct vcpu *vcpu, const struct exit *exit)
{
    return fault_gp(0);
}
