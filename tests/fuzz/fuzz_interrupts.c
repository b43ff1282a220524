// Four vCPUs, their local APICs, an I/O APIC and an 8259: any sequence of register accesses,
// messages, lines, exceptions, ticks and entries keeps the summaries true, injects only what a VM
// entry accepts, and ends.

#include <string.h>

#include "drivers/virt/legacy/vioapic.h"
#include "lib/panic.h"
#include "tests/ram.h"
#include "tests/unit/apic_cpu.h"
#include "vm/vm.h"
#include "tests/fuzz/require.h"

#define VCPUS 4

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct lapic_page pages[VCPUS];
static uint32_t status[VCPUS]; // guest interrupt status
static struct vioapic ioapic;
static bool pic_output;
static uint64_t now;
static uint8_t ram[16]; // so small that the vCPUs get into each other's way

static void kick(struct vcpu *vcpu)
{
    require(atomic_load(&vcpu->requests) != 0);
}

static void notify(struct vcpu *vcpu, bool outstanding)
{
    (void)outstanding;
    require(atomic_load(&vcpu->lapic.page->posted.control) & POSTED_OUTSTANDING);
    kick(vcpu);
}

static bool pic_pending(void *pic)
{
    (void)pic;
    return pic_output;
}

static uint8_t pic_acknowledge(void *pic)
{
    (void)pic;
    require(pic_output);
    pic_output = false;
    return 0x20;
}

static void build(bool has_virtual_nmi)
{
    static const struct vm_host host = {.kick = kick, .notify = notify};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    vm.host = &host;
    vm.vcpu_count = VCPUS;
    vm.cpuid.physical_width = 39;
    ram_is(&vm.memory, ram, sizeof(ram));
    memset(ram, 0, sizeof(ram));
    vm.cpuid.leaves.count = 1;
    // x2APIC, TSC deadline
    vm.cpuid.leaves.leaf[0] = (struct cpuid_leaf){.leaf = 1, .ecx = BIT32(21) | BIT32(24)};
    clock_init(&vm.clock, 2400000000, 1000);
    vm_plug(&vm, &ioapic.device, &vioapic_class);
    vm.irqchip = (struct vm_irqchip){.pic_pending = pic_pending,
                                     .pic_acknowledge = pic_acknowledge,
                                     .ioapic_eoi = vioapic_eoi,
                                     .ioapic = &ioapic};
    for (unsigned i = 0; i < VCPUS; i++) {
        vm.vcpu[i] = &vcpus[i];
        vcpus[i].vm = &vm;
        vcpus[i].id = (uint16_t)i;
        vcpus[i].apic_id = i * 7;
        vcpus[i].events.has_virtual_nmi = has_virtual_nmi;
        lapic_init(&vcpus[i], &pages[i]);
        vcpu_reset(&vcpus[i], false);
    }
    pic_output = false;
    now = 0;
}

// ---- promises ----

static void check_apic(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    if (lapic->delegate == DELEGATE_CPU) { // what was added is there, and more
        require(!(lapic->irr_groups & ~vectors_groups(lapic, LAPIC_IRR)));
    } else {
        require(lapic->irr_groups == vectors_groups(lapic, LAPIC_IRR));
        require(lapic->isr_groups == vectors_groups(lapic, LAPIC_ISR));
        require(lapic->in_service == vectors_highest(lapic, LAPIC_ISR, lapic->isr_groups));
    }
    require(!(lapic_get(lapic, LAPIC_IRR) & 0xffff) && !(lapic_get(lapic, LAPIC_ISR) & 0xffff));
    require(lapic_get(lapic, LAPIC_VERSION) == LAPIC_VERSION_VALUE);
    uint64_t mode = lapic->base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    require(mode != APIC_BASE_X2APIC);
    require((lapic->tsc_deadline != 0) <= (mode != 0));
    if (!(lapic_get(lapic, LAPIC_SVR) & LAPIC_SVR_ENABLE))
        require(lapic_get(lapic, LAPIC_LVT_TIMER) & LVT_MASKED);
}

static void check_entry(const struct vcpu *vcpu, struct entry_plan plan)
{
    if (!plan.inject.info)
        return;
    enum event_type type = (enum event_type)FIELD_GET(EVENT_TYPE, plan.inject.info);
    require(plan.inject.info & EVENT_VALID);
    require(!(plan.inject.info & 0x7ffff000));
    if (type == EVENT_EXTERNAL)
        require((vcpu->rflags & RFLAGS_IF) &&
                !(vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)));
    if (type == EVENT_NMI)
        require(!(vcpu->interruptibility & BLOCKING_BY_MOV_SS) &&
                (!vcpu->events.has_virtual_nmi || !(vcpu->interruptibility & BLOCKING_BY_NMI)));
    require(!(vcpu->interruptibility & BLOCKING_BY_STI));
    require(!(vcpu->interruptibility & BLOCKING_BY_MOV_SS) || type == EVENT_SOFTWARE_INTERRUPT ||
            type == EVENT_PRIVILEGED_EXCEPTION);
    if (plan.inject.info & EVENT_HAS_ERROR)
        require(type == EVENT_EXCEPTION && (vcpu->cr0 & CR0_PE));
    require(!plan.nmi_window || vcpu->events.has_virtual_nmi);
}

// ---- operations ----

// One VM entry that may be called off; `interrupted` sends what was injected back, as an exit
// during its delivery does.
static void enter(struct vcpu *vcpu, uint16_t flags, bool interrupted)
{
    vcpu_take_requests(vcpu, atomic_exchange(&vcpu->requests, 0));
    if (!event_wakes(vcpu) && vcpu->activity != ACTIVITY_ACTIVE)
        return;
    if (!vcpu->events.pending
             .info) { // an interrupted delivery happened with the flags as they were
        vcpu->rflags = RFLAGS_FIXED | (flags & 1 ? RFLAGS_IF : 0);
        vcpu->interruptibility = (flags & 2   ? BLOCKING_BY_STI
                                  : flags & 4 ? BLOCKING_BY_MOV_SS
                                              : 0) |
                                 (flags & 8 ? BLOCKING_BY_NMI : 0);
        vcpu->cr0 = (vcpu->cr0 & ~CR0_PE) | (flags & 16 ? CR0_PE : 0);
    }
    event_choose(vcpu);
    struct entry_plan plan = vcpu->events.plan;
    check_entry(vcpu, plan);
    require(!vcpu->events.pending.info);
    bool called_off = flags & 32;
    require(event_settle(&vcpu->events, called_off) == (called_off && plan.inject.info));
    require(vcpu->events.pending.info == (called_off ? plan.inject.info : 0));
    if (called_off || !plan.inject.info || !interrupted)
        return;
    struct exit exit = {.idt_info = plan.inject.info | EVENT_UNBLOCKING,
                        .idt_error = plan.inject.error,
                        .instruction_length = 2};
    event_take_interrupted(vcpu, &exit);
    require(vcpu->events.pending.info == plan.inject.info);
}

static void check_status(struct vcpu *vcpu)
{
    require((status[vcpu->id] & 0xff) == cpu_highest(&vcpu->lapic, LAPIC_IRR));
    require(status[vcpu->id] >> 8 == cpu_highest(&vcpu->lapic, LAPIC_ISR));
}

// An instruction that the CPU has virtualized.
static void run_virtual(struct vcpu *vcpu, uint8_t what)
{
    struct lapic *lapic = &vcpu->lapic;
    uint32_t *now_is = &status[vcpu->id];
    switch (what & 3) {
    case 0:
        cpu_delivers(lapic, now_is);
        break;
    case 1:
        if (*now_is >> 8)
            lapic_ended(vcpu, cpu_ends(lapic, now_is)); // as if the EOI-exit bitmap named it
        break;
    case 2:
        cpu_requests(lapic, now_is, what | 0x10);
        break;
    case 3:
        lapic_set(lapic, LAPIC_TPR, what & 0xf0);
        break;
    }
    cpu_takes_posted(lapic, now_is);
    check_status(vcpu);
}

// One entry of a CPU that delivers by itself; `writes`: it ends with a write to an APIC register.
static void enter_virtual(struct vcpu *vcpu, uint16_t where, const uint8_t what[8], bool writes)
{
    static const uint16_t registers[] = {
        LAPIC_ID,        LAPIC_LDR,       LAPIC_DFR,           LAPIC_SVR,     LAPIC_ESR,
        LAPIC_ICR,       LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL,   LAPIC_LVT_PMC, LAPIC_LVT_LINT0,
        LAPIC_LVT_LINT1, LAPIC_LVT_ERROR, LAPIC_INITIAL_COUNT, LAPIC_DIVIDE,
    };
    vcpu_take_requests(vcpu, atomic_exchange(&vcpu->requests, 0));
    lapic_hand_over(vcpu, &status[vcpu->id]);
    event_choose_other(vcpu);
    check_entry(vcpu, vcpu->events.plan);
    require(vcpu->lapic.irr_groups == 0);
    check_status(vcpu);
    for (unsigned i = 0; i < 8; i++)
        run_virtual(vcpu, what[i]);
    if (!writes)
        return;
    bool x2apic = lapic_in_x2apic(vcpu);
    unsigned offset = x2apic ? LAPIC_SELF_IPI : registers[where % ARRAY_LENGTH(registers)];
    uint32_t value;
    memcpy(&value, what, sizeof(value));
    lapic_set(&vcpu->lapic, offset, x2apic ? value % 16 : value);
    lapic_written(vcpu, offset, now);
    require(lapic_get(&vcpu->lapic, LAPIC_ID) == (x2apic ? vcpu->apic_id : vcpu->apic_id << 24));
}

static void access_msr(struct vcpu *vcpu, uint32_t index, uint64_t value, bool write)
{
    if (write) {
        uint64_t before = vcpu->lapic.base;
        if (!lapic_write_msr(vcpu, index, value, now))
            require(vcpu->lapic.base == before);
    } else if (lapic_read_msr(vcpu, index, &value, now)) {
        require(index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE || index - 0x800 < 0x100);
    }
}

static void access_ioapic(uint64_t offset, uint8_t size, uint64_t value, bool write)
{
    struct access access = {
        .offset = offset, .size = size, .write = write, .value = value & size_mask(size)};
    require(vdev_access(&ioapic.device, &access));
    require(!(access.value & ~size_mask(size)));
}

static void access_mmio(struct vcpu *vcpu, uint64_t offset, uint8_t size, uint64_t value,
                        bool write)
{
    struct access access = {.offset = (vcpu->lapic.base & ~UINT64_C(0xfff)) + (offset & 0xfff),
                            .size = size,
                            .write = write,
                            .now = now,
                            .value = value & size_mask(size)};
    if (!lapic_mmio_claims(vcpu, access.offset))
        return;
    lapic_mmio_access(vcpu, &access);
    require(!(access.value & ~size_mask(size)));
}

// A level-triggered interrupt from its line to its EOI.
static void serve_level(struct vcpu *vcpu, unsigned pin, uint8_t vector)
{
    lapic_settle(vcpu);
    access_msr(vcpu, MSR_APIC_BASE, APIC_BASE_DEFAULT | APIC_BASE_ENABLE, true);
    access_mmio(vcpu, LAPIC_SVR, 4, LAPIC_SVR_ENABLE | 0xff, true);
    access_ioapic(0x00, 4, 0x11 + 2 * pin, true);
    access_ioapic(0x10, 4, (uint64_t)vcpu->apic_id << 24, true);
    access_ioapic(0x00, 4, 0x10 + 2 * pin, true);
    access_ioapic(0x10, 4, BIT(15) | vector, true);
    vioapic_set(&ioapic, pin, true);
    if (lapic_pending(vcpu) >= 0)
        (void)lapic_take(vcpu);
    vioapic_set(&ioapic, pin, vector & 1);
    access_mmio(vcpu, LAPIC_EOI, 4, 0, true);
}

static void tick(struct vcpu *vcpu)
{
    lapic_tick(vcpu, now);
    require(vcpu->lapic.deadline > now);
}

// A local APIC that another's state was loaded into is that one.
static void replace(struct vcpu *vcpu)
{
    static uint8_t was[8 << 10], is[8 << 10];
    static struct lapic_page page;
    static struct vcpu other;
    size_t length = vcpu_save_state(vcpu, was, sizeof(was));
    struct section_input input = {was, length};
    require(length <= sizeof(was));
    memset(&other, 0, sizeof(other));
    other.vm = &vm;
    other.id = vcpu->id;
    other.apic_id = vcpu->apic_id;
    other.events.has_virtual_nmi = vcpu->events.has_virtual_nmi;
    lapic_init(&other, &page);
    require(vcpu_load_state(&other, &input, true, NULL) == STATUS_OK && input.left == 0);
    vcpu_loaded(&other);
    check_apic(&other);
    require(vcpu_save_state(&other, is, sizeof(is)) == length && memcmp(was, is, length) == 0);
    require(lapic_timer_current(&other, now) == lapic_timer_current(vcpu, now));
    require(lapic_pending(&other) == lapic_pending(vcpu));
}

struct operation {
    uint8_t what;
    uint8_t vcpu;
    uint16_t where;
    uint8_t value[8];
};

static void perform(const struct operation *operation)
{
    struct vcpu *vcpu = &vcpus[operation->vcpu % VCPUS];
    bool write = operation->vcpu & 0x80;
    uint8_t size = (uint8_t)(1U << (operation->vcpu >> 4 & 3));
    uint16_t where = operation->where;
    uint64_t value;
    memcpy(&value, operation->value, sizeof(value));
    switch (operation->what % 16) {
    case 0:
        access_msr(vcpu, 0x800 + where % 0x100, value, write);
        break;
    case 1:
        access_msr(vcpu, where & 1 ? MSR_APIC_BASE : MSR_TSC_DEADLINE, value, write);
        break;
    case 2: // the legal modes, at the usual place
        access_msr(vcpu, MSR_APIC_BASE, APIC_BASE_DEFAULT | (uint64_t)(where & 3) << 10, true);
        break;
    case 3:
        access_mmio(vcpu, where, size, value, write);
        break;
    case 4:
        access_mmio(vcpu, where & 0x3f0, 4, value, true);
        break;
    case 5:
        access_ioapic(where % 0x60, size, value, write);
        break;
    case 6:
        access_ioapic(0x00, 4, where % 0x42, true);
        access_ioapic(0x10, 4, value, true);
        break;
    case 7:
        vioapic_set(&ioapic, where % 26, write);
        pic_output |= (where & 0x100) != 0;
        break;
    case 8: // where it ends its interrupts by memory, which it writes as it likes
        if (write && !lapic_set_eoi_flag(vcpu, value))
            require(value % 4 != 1 || value >= sizeof(ram));
        ram[where % sizeof(ram)] = operation->value[0];
        break;
    case 9: // a guest in the shutdown state starts again
        if (!event_raise(vcpu, (uint8_t)(where % 32), write, (uint32_t)value))
            vcpu_reset(vcpu, true);
        break;
    case 10:
        now += value % 100000;
        vcpu->tsc_offset += where;
        lapic_tsc_changed(vcpu, now);
        tick(vcpu);
        break;
    case 11:
        lapic_settle(vcpu); // a CPU that may deliver by itself at other times
        enter(vcpu, where, write);
        break;
    case 12: // no CPU has the APIC of a vCPU that has switched it off: vmcs_config_apic()
        if (lapic_enabled(vcpu) && lapic_accepts(vcpu))
            enter_virtual(vcpu, where, operation->value, write);
        break;
    case 13:
        atomic_store(&vcpu->lapic.posts_notify, write);
        break;
    case 14:
        serve_level(vcpu, where % 24, operation->value[0]);
        break;
    case 15:
        replace(vcpu);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    build(data[0] & 1);
    for (size_t at = 1; size - at >= sizeof(struct operation); at += sizeof(struct operation)) {
        struct operation operation;
        memcpy(&operation, data + at, sizeof(operation));
        perform(&operation);
        for (unsigned i = 0; i < VCPUS; i++)
            check_apic(&vcpus[i]);
    }
    // Whatever was asked, a vCPU with open interrupts takes a bounded number of events.
    for (unsigned i = 0; i < VCPUS; i++) {
        lapic_settle(&vcpus[i]);
        lapic_set_tpr(&vcpus[i], 0);
        unsigned taken = 0;
        for (int vector; (vector = lapic_pending(&vcpus[i])) >= 0; taken++) {
            require(vector >= 16 && vector < 256 && taken < 256);
            require(lapic_take(&vcpus[i]) == vector);
            require(lapic_pending(&vcpus[i]) < 0 || lapic_pending(&vcpus[i]) >> 4 > vector >> 4);
        }
        check_apic(&vcpus[i]);
    }
    return 0;
}
