// The state of a local APIC as a whole: power-on and INIT, its modes, save and load. Called by
// whoever builds a VM, vm/vcpu.c and the registers. SDM: "Local APIC State After Power-Up, INIT,
// or Wait-For-SIPI", "x2APIC State Transitions".
#include "vm/apic/lapic_registers.h"
#include "vm/apic/lapic_vectors.h"
#include "vm/vm.h"

#define SVR_RESET UINT32_C(0xff)

static const struct field page_fields[] = {
    FIELD_ARRAY(struct lapic_page, word),
    DERIVED(struct lapic_page, posted),
    {0},
};

// Others post a vector, then its bit in posted_groups: that is cleared first, so that no vector
// stays that nobody looks for.
const struct field lapic_fields[] = {
    DERIVED(struct lapic, posted_groups),
    DERIVED(struct lapic, posted_level),
    FIELD_ONE_BEHIND(struct lapic, page, page_fields),
    DERIVED(struct lapic, irr_groups),
    DERIVED(struct lapic, isr_groups),
    DERIVED(struct lapic, in_service),
    DERIVED(struct lapic, delegate),
    DERIVED(struct lapic, kept),
    FIELD_WITHIN(struct lapic, errors, 0, 0xff),
    FIELD(struct lapic, tsc_deadline),
    FIELD_WITHIN(struct lapic, posted_extint, 0, 1),
    FIELD_WITHIN(struct lapic, lint0_serves, 0, 0xff),
    INIT_KEEPS_THESE,
    FIELD(struct lapic, base),
    FIELD(struct lapic, deadline), // lapic_timer_stop() ends it
    DERIVED(struct lapic, read_by_cpu),
    DERIVED(struct lapic, posts_notify),
    WIRING(struct lapic, page),
    {0},
};

void lapic_mask_all(struct lapic *lapic)
{
    static const uint16_t offsets[] = {LAPIC_LVT_CMCI, LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL,
                                       LAPIC_LVT_PMC,  LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,
                                       LAPIC_LVT_ERROR};
    for (unsigned i = 0; i < ARRAY_LENGTH(offsets); i++)
        lapic_set(lapic, offsets[i], lapic_get(lapic, offsets[i]) | LVT_MASKED);
}

// The CPU may overwrite these for the guest before we hear of it.
static const uint16_t kept_offset[KEPT_REGISTERS] = {[KEPT_ID] = LAPIC_ID,
                                                     [KEPT_TIMER] = LAPIC_LVT_TIMER,
                                                     [KEPT_COUNT] = LAPIC_INITIAL_COUNT,
                                                     [KEPT_DIVIDE] = LAPIC_DIVIDE};

void lapic_keep(struct lapic *lapic)
{
    for (unsigned i = 0; i < KEPT_REGISTERS; i++)
        lapic->kept[i] = lapic_get(lapic, kept_offset[i]);
}

void lapic_put_back(struct lapic *lapic)
{
    for (unsigned i = 0; i < KEPT_REGISTERS; i++)
        lapic_set(lapic, kept_offset[i], lapic->kept[i]);
}

// The registers whose value follows from the APIC ID and the mode.
static void set_identity(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    uint32_t id = vcpu->apic_id;
    bool x2apic = lapic_in_x2apic(vcpu);
    lapic_set(lapic, LAPIC_VERSION, LAPIC_VERSION_VALUE);
    lapic_set(lapic, LAPIC_ID, x2apic ? id : id << 24);
    if (x2apic)
        lapic_set(lapic, LAPIC_LDR, id >> 4 << 16 | BIT32(id & 0xf));
}

// ---- power-on, INIT, modes ----

static void reset_registers(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    lapic_withdraw_eoi(vcpu);
    fields_clear(lapic_fields, lapic, true);
    lapic_set(lapic, LAPIC_DFR, 0xffffffff);
    lapic_set(lapic, LAPIC_SVR, SVR_RESET);
    lapic_mask_all(lapic);
    set_identity(vcpu);
    lapic_keep(lapic);
    lapic->in_service = -1;
    lapic_timer_stop(vcpu);
    vcpu_note(vcpu, REQUEST_APIC);
}

static void store_base(struct lapic *lapic, uint64_t base)
{
    __atomic_store_n(&lapic->base, base, __ATOMIC_RELAXED); // others read it to match destinations
}

static uint64_t power_on_base(const struct vcpu *vcpu)
{
    return APIC_BASE_DEFAULT | APIC_BASE_ENABLE | (vcpu->id == 0 ? APIC_BASE_BSP : 0);
}

void lapic_reset(struct vcpu *vcpu, bool is_init)
{
    if (!is_init)
        store_base(&vcpu->lapic, power_on_base(vcpu));
    reset_registers(vcpu);
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

#define MODE (APIC_BASE_ENABLE | APIC_BASE_X2APIC)

static bool is_base(const struct vcpu *vcpu, uint64_t value)
{
    const struct cpuid_policy *cpuid = &vcpu->vm->cpuid;
    uint64_t defined =
        APIC_BASE_BSP | APIC_BASE_ENABLE | (BIT(cpuid->physical_width) - 1) / PAGE_SIZE * PAGE_SIZE;
    if (cpuid_has(cpuid, CPUID_X2APIC))
        defined |= APIC_BASE_X2APIC;
    return !(value & ~defined) && (value & MODE) != APIC_BASE_X2APIC;
}

bool lapic_write_base(struct vcpu *vcpu, uint64_t value)
{
    uint64_t from = vcpu->lapic.base & MODE, to = value & MODE;
    if (!is_base(vcpu, value) || (from == MODE && to == APIC_BASE_ENABLE) ||
        (from == 0 && to == MODE))
        return false;
    store_base(&vcpu->lapic, value);
    vcpu_note(vcpu, REQUEST_APIC);
    if (from == to)
        return true;
    if (to == MODE) {
        set_identity(vcpu);
        lapic_keep(&vcpu->lapic);
        lapic_set(&vcpu->lapic, LAPIC_ICR + 4, 0);
    } else {
        reset_registers(vcpu); // when disabled as well as when enabled again
    }
    vcpu_note(vcpu, REQUEST_EVENT | REQUEST_TIMER);
    return true;
}

// ---- save and load ----

void lapic_arrive(struct vcpu *vcpu)
{
    lapic_settle(vcpu);
    lapic_take_posted(vcpu);
    lapic_set(&vcpu->lapic, LAPIC_PPR, 0); // the CPU's own; it makes it anew
}

// What a register can hold at all; the others follow from it or from the vCPU.
static uint32_t storable(unsigned number)
{
    if (number == LAPIC_ESR / 16)
        return 0xff;
    if (number - LAPIC_ISR / 16 < 3 * LAPIC_GROUPS)
        return number % LAPIC_GROUPS ? UINT32_MAX : ~UINT32_C(0xffff);
    return lapic_rules[number].writable;
}

void lapic_loaded(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    bool x2apic;
    if (!is_base(vcpu, lapic->base))
        store_base(lapic, power_on_base(vcpu));
    x2apic = lapic_in_x2apic(vcpu);
    for (unsigned i = 0; i < ARRAY_LENGTH(lapic->page->word); i++) {
        bool is_register = i % 4 == 0 && i / 4 < LAPIC_REGISTERS;
        bool is_wide = x2apic && i == LAPIC_ICR / 4 + 1;
        lapic->page->word[i] &= is_wide ? UINT32_MAX : is_register ? storable(i / 4) : 0;
    }
    lapic_set(lapic, LAPIC_DFR, lapic_get(lapic, LAPIC_DFR) | 0x0fffffff);
    if (!lapic_accepts(vcpu))
        lapic_mask_all(lapic);
    set_identity(vcpu);
    lapic_keep(lapic);
    lapic_show_remote_irr(lapic);
    lapic->delegate = DELEGATE_CPU; // as if a CPU had had it: the summaries follow from the page
    (void)lapic_take_back(vcpu);
    vcpu_note(vcpu, REQUEST_APIC | REQUEST_EVENT | REQUEST_TIMER);
}
