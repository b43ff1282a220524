// A VM of four vCPUs with their local APICs and a clock of 2 GHz, for tests of what interrupts
// them.
#pragma once

#include "tests/unit/support.h"

#include "vm/vm.h"

#define VCPUS     4
#define TSC_HZ    UINT64_C(2000000000)
#define TSC_EPOCH UINT64_C(1000000)

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static _Alignas(4096) struct lapic_page pages[VCPUS];
static unsigned kicks[VCPUS];

static void count_kick(struct vcpu *vcpu)
{
    kicks[vcpu->id]++;
}

// Power-on: vCPU 0 active, APIC IDs 0 to 3, everything software-disabled.
static inline int fresh_vm(void **state)
{
    static const struct vm_host host = {.kick = count_kick};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(kicks, 0, sizeof(kicks));
    vm.host = &host;
    vm.vcpu_count = VCPUS;
    vm.cpuid.physical_width = 39;
    vm.cpuid.leaves.count = 1;
    vm.cpuid.leaves.leaf[0] = (struct cpuid_leaf){
        .leaf = 1, .eax = 0x50654, .ecx = BIT32(21) | BIT32(24)}; // x2APIC, TSC deadline
    clock_init(&vm.clock, TSC_HZ, TSC_EPOCH);
    for (unsigned i = 0; i < VCPUS; i++) {
        struct vcpu *vcpu = &vcpus[i];
        vm.vcpu[i] = vcpu;
        vcpu->vm = &vm;
        vcpu->id = (uint16_t)i;
        vcpu->apic_id = i;
        vcpu->events.has_virtual_nmi = true;
        lapic_init(vcpu, &pages[i]);
        vcpu_reset(vcpu, false);
        atomic_store(&vcpu->requests, 0);
    }
    return 0;
}

// The same, every APIC software-enabled.
static inline int enabled_vm(void **state)
{
    fresh_vm(state);
    for (unsigned i = 0; i < VCPUS; i++)
        lapic_set(&vcpus[i].lapic, LAPIC_SVR, 0x1ff);
    return 0;
}

static inline void write_ok(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    if (!lapic_write_msr(vcpu, index, value, 0))
        fail_msg("WRMSR %x of %lx: #GP", index, value);
}

static inline uint64_t read_ok(struct vcpu *vcpu, uint32_t index)
{
    uint64_t value = 0xbad;
    if (!lapic_read_msr(vcpu, index, &value, 0))
        fail_msg("RDMSR %x: #GP", index);
    return value;
}

static inline int x2apic_vm(void **state)
{
    enabled_vm(state);
    for (unsigned i = 0; i < VCPUS; i++) {
        write_ok(&vcpus[i], MSR_APIC_BASE, vcpus[i].lapic.base | APIC_BASE_X2APIC);
        atomic_store(&vcpus[i].requests, 0);
    }
    return 0;
}

static inline void mmio_write(struct vcpu *vcpu, unsigned offset, uint32_t value)
{
    struct access access = {
        .offset = APIC_BASE_DEFAULT + offset, .size = 4, .write = true, .value = value};
    lapic_mmio_access(vcpu, &access);
}

static inline uint32_t mmio_read(struct vcpu *vcpu, unsigned offset)
{
    struct access access = {.offset = APIC_BASE_DEFAULT + offset, .size = 4, .value = 0xbad};
    lapic_mmio_access(vcpu, &access);
    return (uint32_t)access.value;
}

static inline uint32_t take_requests(struct vcpu *vcpu)
{
    return atomic_exchange(&vcpu->requests, 0);
}

static inline const struct entry_plan *choose(struct vcpu *vcpu)
{
    event_choose(vcpu);
    return &vcpu->events.plan;
}

// The next deliverable vector, accepted; -1 if there is none.
static inline int take_vector(struct vcpu *vcpu)
{
    int vector = lapic_pending(vcpu);
    assert_int_equal(lapic_take(vcpu), vector);
    return vector;
}

// The vCPUs (bit n: vCPU n) to whom the vector came, each at most once; it is gone afterwards.
static inline unsigned receivers(int vector)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        int taken = take_vector(&vcpus[i]);
        if (taken < 0)
            continue;
        assert_int_equal(taken, vector);
        mask |= BIT32(i);
        lapic_eoi(&vcpus[i]);
        assert_int_equal(take_vector(&vcpus[i]), -1);
    }
    return mask;
}
