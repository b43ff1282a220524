// RDMSR and WRMSR: looks the MSR up and does what its row says (vm/cpu/msr.c). Called through
// exit_table[]. The CPU checks the privilege level before it exits. SDM: "RDMSR-Read From Model
// Specific Register", "WRMSR-Write to Model Specific Register".

#include "exits/handlers.h"
#include "vm/vm.h"

// Cold, so that the common verdict is one constant.
__attribute__((cold, noinline)) static verdict_t refused(void)
{
    return fault_gp(0);
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

// ---- RDMSR ----

// What is more than a word in memory. Out of line like its kin below: the common ways need no
// stack.
__attribute__((noinline)) static verdict_t read_other(struct vcpu *vcpu, const struct exit *exit,
                                                      const struct msr_row *row)
{
    if (!exists(vcpu, row))
        return refused();
    if (row->groups & ~vcpu->fetched)
        return need(row->groups);
    uint64_t value = row->constant;
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    if (row->read) {
        if (!row->read(vcpu, index, &value, exit_now(vcpu, exit)))
            return refused();
    } else if (row->field) {
        value = field_of(vcpu, row)[index - row->first];
    }
    set_result(vcpu, value);
    return next();
}

verdict_t exit_rdmsr(struct vcpu *vcpu, const struct exit *exit)
{
    const struct msr_row *row = msr_find((uint32_t)vcpu->gpr[RCX]);
    if (!(row->direct_read & vcpu->msr.direct))
        return read_other(vcpu, exit, row);
    set_result(vcpu, *field_of(vcpu, row));
    return next();
}

// ---- WRMSR ----

static uint64_t operand(const struct vcpu *vcpu)
{
    return (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
}

static inline verdict_t write_by_row(struct vcpu *vcpu, const struct exit *exit,
                                     const struct msr_row *row)
{
    uint64_t now = exit_now(vcpu, exit);
    if (!row->write(vcpu, (uint32_t)vcpu->gpr[RCX], operand(vcpu), now))
        return refused();
    return next();
}

// What has no writer of its own, may not exist or needs a group.
__attribute__((noinline)) static verdict_t write_other(struct vcpu *vcpu, const struct exit *exit,
                                                       const struct msr_row *row)
{
    uint64_t value = operand(vcpu);
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    if (!exists(vcpu, row))
        return refused();
    if (row->groups & ~vcpu->fetched)
        return need(row->groups);
    if (row->write)
        return write_by_row(vcpu, exit, row);
    if (row->writable == 0 || (value & ~row->writable) ||
        (row->accepts && !row->accepts(vcpu, index, value)))
        return refused();
    field_of(vcpu, row)[index - row->first] = value;
    vcpu->dirty |= row->groups;
    return next();
}

verdict_t exit_wrmsr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t index = (uint32_t)vcpu->gpr[RCX];
    // EOI and ICR are written for every interrupt: no look-up.
    if (index - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST) {
        if (!lapic_write_msr(vcpu, index, operand(vcpu), exit_now(vcpu, exit)))
            return refused();
        return next();
    }
    const struct msr_row *row = msr_find(index);
    if (!(row->direct_write & vcpu->msr.direct))
        return write_other(vcpu, exit, row);
    return write_by_row(vcpu, exit, row);
}
