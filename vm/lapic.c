// The registers of a local APIC as a guest reads and writes them: by MMIO (xAPIC) and as MSRs
// (x2APIC), and the transitions between the two. Called from the exits for MSRs and MMIO.
// SDM: "Local APIC", "Extended XAPIC (x2APIC)".
#include "vm/lapic.h"

#include "lib/string.h"
#include "vm/vm.h"

#define REGISTERS 0x40 // of 16 bytes; the rest of the page is reserved

#define ICR_WRITABLE        UINT32_C(0x000ccfff)
#define ICR_DELIVERY_STATUS BIT32(12)
#define LVT_STATUS          BIT32(12)
#define LVT_LINT_STATUS     (BIT32(12) | BIT32(14)) // also remote IRR
#define SVR_RESET           UINT32_C(0xff)

// Who may do what.
#define XR 1 // read by MMIO
#define XW 2 // write by MMIO
#define MR 4 // RDMSR
#define MW 8 // WRMSR

struct rule {
    uint32_t writable; // bits that a write can change
    uint32_t ignored;  // read-only bits that WRMSR may carry; all others must be zero there
    uint8_t allowed;
};

#define AT(offset)     [(offset) / 16]
#define GROUPS(offset) [(offset) / 16 ...(offset) / 16 + LAPIC_GROUPS - 1] = {0, 0, XR | MR}

static const struct rule rules[REGISTERS] = {
    AT(LAPIC_ID) = {0, 0, XR | MR},
    AT(LAPIC_VERSION) = {0, 0, XR | MR},
    AT(LAPIC_TPR) = {0xff, 0, XR | XW | MR | MW},
    AT(LAPIC_APR) = {0, 0, XR},
    AT(LAPIC_PPR) = {0, 0, XR | MR},
    AT(LAPIC_EOI) = {0, 0, XR | XW | MW},
    AT(LAPIC_RRD) = {0, 0, XR},
    AT(LAPIC_LDR) = {0xff000000, 0, XR | XW | MR},
    AT(LAPIC_DFR) = {0xf0000000, 0, XR | XW},
    AT(LAPIC_SVR) = {0x3ff, 0, XR | XW | MR | MW},
    GROUPS(LAPIC_ISR),
    GROUPS(LAPIC_TMR),
    GROUPS(LAPIC_IRR),
    AT(LAPIC_ESR) = {0, 0, XR | XW | MR | MW},
    AT(LAPIC_LVT_CMCI) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_ICR) = {ICR_WRITABLE, ICR_DELIVERY_STATUS, XR | XW | MR | MW},
    AT(LAPIC_ICR_HIGH) = {0xff000000, 0, XR | XW},
    AT(LAPIC_LVT_TIMER) = {0x700ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_THERMAL) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_PMC) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_LINT0) = {0x1a7ff, LVT_LINT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_LINT1) = {0x1a7ff, LVT_LINT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_ERROR) = {0x100ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_INITIAL_COUNT) = {0xffffffff, 0, XR | XW | MR | MW},
    AT(LAPIC_CURRENT_COUNT) = {0, 0, XR | MR},
    AT(LAPIC_DIVIDE) = {0xb, 0, XR | XW | MR | MW},
    AT(LAPIC_SELF_IPI) = {0xff, 0, MW},
};

static const uint16_t lvt_offsets[] = {LAPIC_LVT_CMCI, LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL,
                                       LAPIC_LVT_PMC,  LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,
                                       LAPIC_LVT_ERROR};

// ---- life ----

// The CPU may overwrite these for the guest before we hear of it.
static const uint16_t kept_offset[KEPT_REGISTERS] = {[KEPT_ID] = LAPIC_ID,
                                                     [KEPT_TIMER] = LAPIC_LVT_TIMER,
                                                     [KEPT_COUNT] = LAPIC_INITIAL_COUNT,
                                                     [KEPT_DIVIDE] = LAPIC_DIVIDE};

static void keep(struct lapic *lapic)
{
    for (unsigned i = 0; i < KEPT_REGISTERS; i++)
        lapic->kept[i] = lapic_get(lapic, kept_offset[i]);
}

// The registers whose value follows from the APIC ID and the mode.
static void set_identity(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    uint32_t id = vcpu->apic_id;
    bool x2apic = lapic_in_x2apic(vcpu);
    lapic_set(lapic, LAPIC_ID, x2apic ? id : id << 24);
    lapic_set(lapic, LAPIC_LDR, x2apic ? id >> 4 << 16 | BIT32(id & 0xf) : 0);
}

static void reset_registers(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    lapic_withdraw_eoi(vcpu);
    memset(lapic->page->word, 0, sizeof(lapic->page->word));
    lapic_set(lapic, LAPIC_VERSION, LAPIC_VERSION_VALUE);
    lapic_set(lapic, LAPIC_DFR, 0xffffffff);
    lapic_set(lapic, LAPIC_SVR, SVR_RESET);
    vcpu_note(vcpu, REQUEST_APIC);
    for (unsigned i = 0; i < ARRAY_LENGTH(lvt_offsets); i++)
        lapic_set(lapic, lvt_offsets[i], LVT_MASKED);
    set_identity(vcpu);

    lapic->irr_groups = lapic->isr_groups = 0;
    lapic->in_service = -1;
    keep(lapic);
    lapic->errors = 0;
    lapic_timer_stop(vcpu);
    atomic_store(&lapic->posted_extint, 0);
    atomic_store(&lapic->posted_groups, 0);
    for (unsigned i = 0; i < LAPIC_GROUPS; i++) {
        atomic_store(&lapic->page->posted.request[i], 0);
        atomic_store(&lapic->posted_level[i], 0);
    }
}

static void store_base(struct lapic *lapic, uint64_t base)
{
    __atomic_store_n(&lapic->base, base, __ATOMIC_RELAXED); // others read it to match destinations
}

void lapic_reset(struct vcpu *vcpu, bool is_init)
{
    if (!is_init)
        store_base(&vcpu->lapic,
                   APIC_BASE_DEFAULT | APIC_BASE_ENABLE | (vcpu->id == 0 ? APIC_BASE_BSP : 0));
    reset_registers(vcpu);
    vcpu->lapic.eoi_flag = NULL;
    vcpu->msr.kvm_eoi = 0;
}

void lapic_init(struct vcpu *vcpu, struct lapic_page *page)
{
    vcpu->lapic.page = page;
    lapic_reset(vcpu, false);
}

void lapic_virtual_wire(struct vcpu *vcpu)
{
    lapic_set(&vcpu->lapic, LAPIC_SVR, LAPIC_SVR_ENABLE | SVR_RESET);
    lapic_set(&vcpu->lapic, LAPIC_LVT_LINT0, (uint32_t)FIELD_MAKE(LVT_MODE, DELIVERY_EXTINT));
    lapic_set(&vcpu->lapic, LAPIC_LVT_LINT1, (uint32_t)FIELD_MAKE(LVT_MODE, DELIVERY_NMI));
}

// False: #GP. SDM: "x2APIC State Transitions".
__attribute__((noinline)) static bool write_base(struct vcpu *vcpu, uint64_t value)
{
    const struct cpuid_policy *cpuid = &vcpu->vm->cpuid;
    const uint64_t mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    uint64_t defined =
        APIC_BASE_BSP | APIC_BASE_ENABLE | (BIT(cpuid->physical_width) - 1) / PAGE_SIZE * PAGE_SIZE;
    if (cpuid_has(cpuid, CPUID_X2APIC))
        defined |= APIC_BASE_X2APIC;

    uint64_t from = vcpu->lapic.base & mode, to = value & mode;
    if ((value & ~defined) || to == APIC_BASE_X2APIC)
        return false;
    if ((from == mode && to == APIC_BASE_ENABLE) || (from == 0 && to == mode))
        return false;

    store_base(&vcpu->lapic, value);
    vcpu_note(vcpu, REQUEST_APIC);
    if (from == to)
        return true;
    if (to == mode) {
        set_identity(vcpu);
        keep(&vcpu->lapic);
        lapic_set(&vcpu->lapic, LAPIC_ICR + 4, 0);
    } else {
        reset_registers(vcpu); // when disabled as well as when enabled again
    }
    vcpu_note(vcpu, REQUEST_EVENT | REQUEST_TIMER);
    return true;
}

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
    for (unsigned i = 0; i < ARRAY_LENGTH(lvt_offsets); i++)
        lapic_set(lapic, lvt_offsets[i], lapic_get(lapic, lvt_offsets[i]) | LVT_MASKED);
    keep(lapic);
}

static void write_lvt(struct vcpu *vcpu, unsigned offset, uint32_t value, uint64_t now)
{
    if (!(lapic_get(&vcpu->lapic, LAPIC_SVR) & LAPIC_SVR_ENABLE))
        value |= LVT_MASKED;
    if (offset == LAPIC_LVT_TIMER)
        lapic_timer_set_lvt(vcpu, value, now);
    else
        lapic_set(&vcpu->lapic, offset, value);
    keep(&vcpu->lapic);
    if (offset == LAPIC_LVT_LINT0)
        vcpu_note(vcpu, REQUEST_EVENT); // the 8259 may have waited behind the mask
}

static void self_ipi(struct vcpu *vcpu, uint8_t vector)
{
    lapic_send(vcpu, FIELD_MAKE(BITS(19, 18), SHORTHAND_SELF) | vector);
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
        keep(lapic);
        break;
    case LAPIC_DIVIDE:
        lapic_timer_set_divide(vcpu, value, now);
        keep(lapic);
        break;
    case LAPIC_SELF_IPI:
        self_ipi(vcpu, (uint8_t)value);
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
    if (number >= REGISTERS)
        return;
    const struct rule *rule = &rules[number];
    uint32_t value = lapic_get(lapic, number * 16) & rule->writable;
    for (unsigned i = 0; i < KEPT_REGISTERS; i++)
        lapic_set(lapic, kept_offset[i], lapic->kept[i]);
    if (rule->allowed & (lapic_in_x2apic(vcpu) ? MW : XW))
        write_register(vcpu, number * 16, value, now);
}

// The time goes on while nobody writes it down; the PPR follows ISR and TPR, and the ISR what the
// guest has ended in its memory.
bool lapic_may_read_page(unsigned number, bool delivers)
{
    bool follows = number == LAPIC_PPR / 16 || number - LAPIC_ISR / 16 < LAPIC_GROUPS;
    return number < REGISTERS && (rules[number].allowed & MR) &&
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
    uint8_t allowed = offset / 16 < REGISTERS ? rules[offset / 16].allowed : 0;
    if (!(allowed & (XR | XW))) {
        lapic_error(vcpu, LAPIC_ERROR_REGISTER);
        return;
    }
    if (access->write) {
        if ((allowed & XW) && byte == 0 && access->size == 4)
            write_register(vcpu, offset, (uint32_t)access->value & rules[offset / 16].writable,
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
    if (!lapic_in_x2apic(vcpu) || number >= REGISTERS)
        return false;
    number = (uint32_t)index_and(number, REGISTERS - 1);
    if (!(rules[number].allowed & MR))
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
    const struct rule *rule = &rules[index_and(number, REGISTERS - 1)];
    uint64_t defined = rule->writable | rule->ignored;
    if (!(rule->allowed & MW) || (value & ~defined))
        return false;
    write_register(vcpu, number * 16, (uint32_t)value & rule->writable, now);
    return true;
}

// EOI and ICR come first: they are written for every interrupt. What is rare stays out of line, so
// that their path needs no stack frame for it.
bool lapic_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    uint32_t number = index - MSR_X2APIC_FIRST;
    if (number < REGISTERS) {
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
        return write_base(vcpu, value);
    if (index != MSR_TSC_DEADLINE)
        return false;
    lapic_timer_set_deadline(vcpu, value, now);
    return true;
}
