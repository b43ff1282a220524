// RDMSR and WRMSR: looks the MSR up and does what its row says (vm/msr.c). Called through
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

static bool exists(const struct vcpu *vcpu, const struct msr_row *row)
{
    return row->feature == 0 || cpuid_has(&vcpu->vm->cpuid, row->feature);
}

static uint64_t *field_of(struct vcpu *vcpu, const struct msr_row *row)
{
    return (uint64_t *)((uint8_t *)vcpu + row->field);
}

static bool read_msr(struct vcpu *vcpu, const struct msr_row *row, uint32_t index, uint64_t *value,
                     uint64_t now)
{
    if (!exists(vcpu, row))
        return false;
    if (row->read)
        return row->read(vcpu, index, value, now);
    *value = row->field ? *field_of(vcpu, row) : row->constant;
    return true;
}

static bool write_msr(struct vcpu *vcpu, const struct msr_row *row, uint32_t index, uint64_t value,
                      uint64_t now)
{
    if (!exists(vcpu, row))
        return false;
    if (row->write)
        return row->write(vcpu, index, value, now);
    if (row->writable == 0 || (value & ~row->writable) ||
        (row->is_canonical && !is_canonical(value, 48)))
        return false;
    *field_of(vcpu, row) = value;
    vcpu->dirty |= row->groups;
    return true;
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
    if (!read_msr(vcpu, row, index, &value, exit_now(vcpu, exit)))
        return fault_gp(0);
    set_result(vcpu, value);
    return next();
}

verdict_t exit_wrmsr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
    // EOI and ICR are written for every interrupt: no look-up.
    if (index - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST)
        return lapic_write_msr(vcpu, index, value, exit_now(vcpu, exit)) ? next() : fault_gp(0);

    const struct msr_row *row = msr_find(index);
    if (!row)
        return unknown(vcpu, index);
    if (row->groups & ~vcpu->fetched)
        return need(row->groups);
    return write_msr(vcpu, row, index, value, exit_now(vcpu, exit)) ? next() : fault_gp(0);
}
