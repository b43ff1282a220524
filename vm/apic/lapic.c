// The registers of a local APIC as a guest reads and writes them: by MMIO (xAPIC) and as MSRs
// (x2APIC). Called from the exits for MSRs and MMIO. SDM: "Local APIC", "Extended XAPIC (x2APIC)".
#include "vm/apic/lapic_registers.h"
#include "vm/vm.h"

// ---- one register ----

static uint32_t read_register(struct vcpu *vcpu, unsigned offset, uint64_t now)
{
    lapic_settle(vcpu);
    if (offset == LAPIC_CURRENT_COUNT)
        return lapic_timer_current(vcpu, now);
    if (offset == LAPIC_PPR)
        return lapic_ppr(vcpu);
    return lapic_get(&vcpu->lapic, offset);
}

static void write_svr(struct vcpu *vcpu, uint32_t value)
{
    struct lapic *lapic = &vcpu->lapic;
    lapic_set(lapic, LAPIC_SVR, value);
    vcpu_note(vcpu, REQUEST_APIC);
    if (value & LAPIC_SVR_ENABLE)
        return;
    lapic_mask_all(lapic);
    lapic_keep(lapic);
}

static void write_lvt(struct vcpu *vcpu, unsigned offset, uint32_t value, uint64_t now)
{
    if (!(lapic_get(&vcpu->lapic, LAPIC_SVR) & LAPIC_SVR_ENABLE))
        value |= LVT_MASKED;
    if (offset == LAPIC_LVT_TIMER)
        lapic_timer_set_lvt(vcpu, value, now);
    else
        lapic_set(&vcpu->lapic, offset, value);
    lapic_keep(&vcpu->lapic);
    if (offset != LAPIC_LVT_LINT0)
        return;
    if ((value & (LVT_MODE | LVT_LEVEL)) != LVT_LEVEL)
        atomic_store(&vcpu->lapic.lint0_serves, 0);
    lapic_lint0_look(vcpu);
    vcpu_note(vcpu, REQUEST_EVENT); // the 8259 may have waited behind the mask
}

// `value` has only bits that the register's rule calls writable. SELF IPI exists in x2APIC mode
// alone, and 64-bit writes of the ICR do not come here.
static void write_register(struct vcpu *vcpu, unsigned offset, uint32_t value, uint64_t now)
{
    struct lapic *lapic = &vcpu->lapic;
    switch (offset) {
    case LAPIC_TPR:
        lapic_set_tpr(vcpu, (uint8_t)value);
        break;
    case LAPIC_EOI:
        lapic_eoi(vcpu);
        break;
    case LAPIC_DFR:
        lapic_set(lapic, LAPIC_DFR, value | 0x0fffffff);
        break;
    case LAPIC_SVR:
        write_svr(vcpu, value);
        break;
    case LAPIC_ESR: // shows what gathered since the last write
        lapic_set(lapic, LAPIC_ESR, lapic->errors);
        lapic->errors = 0;
        break;
    case LAPIC_LVT_CMCI:
    case LAPIC_LVT_TIMER:
    case LAPIC_LVT_THERMAL:
    case LAPIC_LVT_PMC:
    case LAPIC_LVT_LINT0:
    case LAPIC_LVT_LINT1:
    case LAPIC_LVT_ERROR:
        write_lvt(vcpu, offset, value, now);
        break;
    case LAPIC_ICR:
        lapic_set(lapic, LAPIC_ICR, value);
        lapic_send(vcpu, (uint64_t)lapic_get(lapic, LAPIC_ICR_HIGH) << 32 | value);
        break;
    case LAPIC_INITIAL_COUNT:
        lapic_timer_set_count(vcpu, value, now);
        lapic_keep(lapic);
        break;
    case LAPIC_DIVIDE:
        lapic_timer_set_divide(vcpu, value, now);
        lapic_keep(lapic);
        break;
    case LAPIC_SELF_IPI:
        lapic_send_self(vcpu, (uint8_t)value);
        break;
    default:
        lapic_set(lapic, offset, value);
        break;
    }
}

// The old values of some registers are put back first: what the write does may depend on them.
void lapic_written(struct vcpu *vcpu, unsigned offset, uint64_t now)
{
    struct lapic *lapic = &vcpu->lapic;
    unsigned number = offset / 16;
    if (number >= LAPIC_REGISTERS)
        return;
    const struct lapic_rule *rule = &lapic_rules[number];
    uint32_t value = lapic_get(lapic, number * 16) & rule->writable;
    lapic_put_back(lapic);
    if (rule->allowed & (lapic_in_x2apic(vcpu) ? MW : XW))
        write_register(vcpu, number * 16, value, now);
}

// The time goes on while nobody writes it down; the PPR follows ISR and TPR, and the ISR what the
// guest has ended in its memory.
bool lapic_may_read_page(unsigned number, bool delivers)
{
    bool follows = number == LAPIC_PPR / 16 || number - LAPIC_ISR / 16 < LAPIC_GROUPS;
    return number < LAPIC_REGISTERS && (lapic_rules[number].allowed & MR) &&
           number != LAPIC_CURRENT_COUNT / 16 && (delivers || !follows);
}

// ---- MMIO ----

bool lapic_mmio_claims(const struct vcpu *vcpu, uint64_t gpa)
{
    uint64_t base = __atomic_load_n(&vcpu->lapic.base, __ATOMIC_RELAXED);
    return (base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE &&
           align_down(gpa, PAGE_SIZE) == align_down(base, PAGE_SIZE);
}

// Registers are 32 bits at multiples of 16 bytes. Narrower reads inside one get its bytes; writes
// of other sizes or places have no effect, and reads there are zero.
void lapic_mmio_access(struct vcpu *vcpu, struct access *access)
{
    unsigned offset = access->offset & (PAGE_SIZE - 1), byte = offset % 16;
    offset -= byte;
    if (!access->write)
        access->value = 0;
    uint8_t allowed = offset / 16 < LAPIC_REGISTERS ? lapic_rules[offset / 16].allowed : 0;
    if (!(allowed & (XR | XW))) {
        lapic_error(vcpu, LAPIC_ERROR_REGISTER);
        return;
    }
    if (access->write) {
        if ((allowed & XW) && byte == 0 && access->size == 4)
            write_register(vcpu, offset,
                           (uint32_t)access->value & lapic_rules[offset / 16].writable,
                           access->now);
    } else if (byte < 4 && offset != LAPIC_EOI) {
        uint64_t value = read_register(vcpu, offset, access->now);
        access->value = value >> (byte * 8) & size_mask(access->size);
    }
}

// ---- MSRs ----

bool lapic_read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    if (index == MSR_APIC_BASE) {
        *value = vcpu->lapic.base;
        return true;
    }
    if (index == MSR_TSC_DEADLINE) {
        lapic_tick(vcpu, now);
        *value = vcpu->lapic.tsc_deadline;
        return true;
    }
    uint32_t number = index - MSR_X2APIC_FIRST;
    if (!lapic_in_x2apic(vcpu) || number >= LAPIC_REGISTERS)
        return false;
    number = (uint32_t)index_and(number, LAPIC_REGISTERS - 1);
    if (!(lapic_rules[number].allowed & MR))
        return false;
    *value = read_register(vcpu, number * 16, now);
    if (number * 16 == LAPIC_ICR)
        *value |= (uint64_t)lapic_get(&vcpu->lapic, LAPIC_ICR + 4) << 32;
    return true;
}

static bool write_icr(struct vcpu *vcpu, uint64_t value)
{
    if ((uint32_t)value & ~(ICR_WRITABLE | ICR_DELIVERY_STATUS))
        return false;
    value &= ~(uint64_t)ICR_DELIVERY_STATUS;
    lapic_set(&vcpu->lapic, LAPIC_ICR, (uint32_t)value);
    lapic_set(&vcpu->lapic, LAPIC_ICR + 4, (uint32_t)(value >> 32));
    lapic_send(vcpu, value);
    return true;
}

__attribute__((noinline)) static bool write_x2apic(struct vcpu *vcpu, unsigned number,
                                                   uint64_t value, uint64_t now)
{
    const struct lapic_rule *rule = &lapic_rules[index_and(number, LAPIC_REGISTERS - 1)];
    uint64_t defined = rule->writable | rule->ignored;
    if (!(rule->allowed & MW) || (value & ~defined))
        return false;
    if (number == LAPIC_LVT_TIMER / 16 && (value & LVT_TSC_DEADLINE) &&
        !cpuid_has(&vcpu->vm->cpuid, CPUID_TSC_DEADLINE))
        return false;
    write_register(vcpu, number * 16, (uint32_t)value & rule->writable, now);
    return true;
}

// EOI and ICR come first: they are written for every interrupt. What is rare stays out of line, so
// that their path needs no stack frame for it.
bool lapic_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    uint32_t number = index - MSR_X2APIC_FIRST;
    if (number < LAPIC_REGISTERS) {
        if (!lapic_in_x2apic(vcpu))
            return false;
        if (number == LAPIC_ICR / 16)
            return write_icr(vcpu, value);
        if (number != LAPIC_EOI / 16 || value != 0)
            return write_x2apic(vcpu, number, value, now);
        lapic_eoi(vcpu);
        return true;
    }
    if (index == MSR_APIC_BASE)
        return lapic_write_base(vcpu, value);
    if (index != MSR_TSC_DEADLINE)
        return false;
    lapic_timer_set_deadline(vcpu, value, now);
    return true;
}
