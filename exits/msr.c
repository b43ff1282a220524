// RDMSR and WRMSR: looks the MSR up and lets its row do the work (vm/msr.c). Called through
// exit_table[]. The CPU checks the privilege level before it exits. SDM: "RDMSR-Read From Model
// Specific Register", "WRMSR-Write to Model Specific Register".

#include "exits/handlers.h"
#include "vm/vm.h"

// An MSR that does not exist: counted and listed, then as the VM's configuration says.
static verdict_t unknown(struct vcpu *vcpu, uint32_t index)
{
    struct vm *vm = vcpu->vm;
    atomic_fetch_add_explicit(&vm->unknown_msrs, 1, memory_order_relaxed);
    tally_count(&vm->msr_tally, index);
    return vm->config.msr_unknown == MSR_UNKNOWN_IGNORE ? next() : fault_gp(0);
}

static void set_result(struct vcpu *vcpu, uint64_t value)
{
    vcpu->gpr[RAX] = (uint32_t)value;
    vcpu->gpr[RDX] = value >> 32;
}

verdict_t exit_rdmsr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    const struct msr_row *row = msr_find(index);
    if (!row) {
        verdict_t verdict = unknown(vcpu, index);
        if (verdict.kind == VERDICT_NEXT)
            set_result(vcpu, 0);
        return verdict;
    }
    if (row->groups & ~vcpu->fetched)
        return need(row->groups);
    uint64_t value;
    if (!msr_read(vcpu, row, index, &value, exit->now))
        return fault_gp(0);
    set_result(vcpu, value);
    return next();
}

verdict_t exit_wrmsr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
    const struct msr_row *row = msr_find(index);
    if (!row)
        return unknown(vcpu, index);
    if (row->groups & ~vcpu->fetched)
        return need(row->groups);
    return msr_write(vcpu, row, index, value, exit->now) ? next() : fault_gp(0);
}
