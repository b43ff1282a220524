// The moment until which a vCPU runs: the end of its slice, its local APIC's deadline, a device's.
// SDM: "VMX-Preemption Timer".

#include "vmx/timer.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/tsc.h"
#include "vm/vm.h"
#include "vmx/instructions.h"

// A guest is to see a deadline of its local APIC when it is there. So the CPU looks after it a
// little before, by what it took the last times, has the interrupt ready, and then holds the entry
// until the moment has come.
#define LEAD_SPARE   48    // host TSC that it is to be ready before that moment
#define LEAD_PARTS_S 40000 // no lead is longer than such a part of a second ...
#define LEAD_MOST_NS (UINT64_C(1000000000) / LEAD_PARTS_S)

// The earliest host TSC at which this vCPU's local APIC, with its deadline at `deadline`, or (vCPU
// 0 looks after them) a device wants a tick.
static uint64_t next_tick(const struct vmx_vcpu *v, uint64_t deadline, enum lead lead)
{
    const struct vcpu *vcpu = &v->guest;
    const struct clock *clock = &vcpu->vm->clock;
    uint64_t device = vcpu->id == 0 ? atomic_load(&vcpu->vm->deadlines.first) : NEVER;
    uint64_t tsc = deadline != NEVER ? clock_tsc(clock, deadline) : NEVER;
    if (tsc != NEVER) // nor is a deadline that no TSC reaches
        tsc -= v->cpu->lead[lead];
    return device != NEVER ? MIN(tsc, clock_tsc(clock, device)) : tsc;
}

// Ticks the local APIC, whose deadline is there or will be when the guest is entered.
static void tick_lapic(struct vmx_vcpu *v, uint64_t tsc, uint64_t now)
{
    struct vcpu *vcpu = &v->guest;
    uint64_t deadline = vcpu->lapic.deadline, due;
    enum lead lead = v->deadline ? LEAD_RUNNING : LEAD_ASLEEP;
    if (deadline > now + LEAD_MOST_NS)
        return;
    due = clock_tsc(&vcpu->vm->clock, deadline);
    if (due > tsc + v->cpu->lead[lead])
        return;
    lapic_tick(vcpu, MAX(deadline, now));
    v->hold = due; // also if it is another run that enters the guest
    v->lead = lead == LEAD_RUNNING || v->cpu->has_slept ? lead : LEADS;
}

// The guest can be entered, and sees its deadline there. It was not the lead if it is very late.
static void learn(uint32_t *lead, int64_t spare)
{
    int64_t most = (int64_t)(host_tsc_hz / LEAD_PARTS_S);
    if (spare > 0)
        *lead -= (uint32_t)spare / 4;
    else if (-spare < most)
        *lead = (uint32_t)MIN(*lead - spare / 4, most);
}

void timer_hold_entry(struct vmx_vcpu *v)
{
    if (v->lead != LEADS)
        learn(&v->cpu->lead[v->lead], (int64_t)(v->hold - rdtsc()) - LEAD_SPARE);
    while (rdtsc() < v->hold)
        ;
    v->hold = 0;
    v->lead = LEADS;
}

// For v->deadline.
static inline void arm_preemption_timer(struct vmx_vcpu *v, uint64_t tsc)
{
    uint64_t left = v->deadline > tsc ? (v->deadline - tsc) >> v->timer_rate : 0;
    vmwrite(VMCS_PREEMPTION_TIMER_VALUE, MIN(left, UINT32_MAX));
    v->timer_slack = v->timer_slack_full;
}

// A deadline that has passed is served before the guest is entered: requests of others may call
// entry after entry off, and a slice must end all the same.
void timer_rearm(struct vmx_vcpu *v)
{
    uint64_t tsc = rdtsc();
    if (tsc >= v->deadline)
        vcpu_note(&v->guest, REQUEST_TIMER);
    else if (__builtin_expect(vmx_uses(FEATURE_PREEMPTION_TIMER), true))
        arm_preemption_timer(v, tsc);
}

bool timer_serve(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    struct vm *vm = vcpu->vm;
    uint64_t tsc = rdtsc(), now = clock_ns(&vm->clock, tsc);
    tick_lapic(v, tsc, now);
    if (vcpu->id == 0 && atomic_load(&vm->deadlines.first) <= now)
        vm_tick_devices(vm, now);
    if (tsc >= v->slice_end)
        return false;
    v->deadline = MIN(v->slice_end, next_tick(v, vcpu->lapic.deadline, LEAD_RUNNING));
    if (vmx_uses(FEATURE_PREEMPTION_TIMER))
        arm_preemption_timer(v, tsc);
    else
        apic_timer_arm(v->deadline);
    return true;
}

// Its local APIC's deadline is of no use while no interrupt wakes it.
uint64_t vcpu_next_deadline(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    uint64_t deadline = vcpu->callers & REQUEST_EVENT ? vcpu->lapic.deadline : NEVER;
    return next_tick(v, deadline, LEAD_ASLEEP);
}
