// The CPU's loop: mechanism around the policy of vm/sched.h. One lock guards the policy's state; a
// vCPU's request bits, and whether it runs and where, are the only things that are looked at
// without it. A VM is taken apart by CPU 0 when the last of its vCPUs has left: until then every
// CPU that can still name a vCPU of it runs one itself.

#include "vmx/loop.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "mm/frames.h"
#include "mm/paging.h"
#include "vm/kvmsteal.h"
#include "vmx/guard.h"
#include "vmx/run.h"
#include "vmx/setup.h"

#define BESIDE_WORK_HZ 1000 // vCPUs run for so long between two pieces of host work

static struct spinlock lock; // guards `sched` and every vCPU's sched_entity
static struct sched sched;
static struct clock host_clock; // the policy counts nanoseconds
static const struct loop_hooks *hooks;
static _Atomic bool is_asked; // CPU 0 is to poll

status_t loop_init(const struct loop_hooks *given)
{
    uint64_t size = align_up(sched_slots(cpu_count) * sizeof(void *), PAGE_SIZE);
    struct sched_entity **slots = frames_allocate(size, PAGE_SIZE);
    if (!slots)
        return STATUS_NO_MEMORY;
    hooks = given;
    clock_init(&host_clock, host_tsc_hz, 0);
    sched_init(&sched, cpu_count, slots);
    for (unsigned i = 0; i < cpu_count && (machine_speculation.guards & GUARD_CORE); i++)
        sched_set_core(&sched, i, cpu_first_of_core(i));
    return STATUS_OK;
}

static uint64_t now_ns(void)
{
    return clock_ns(&host_clock, rdtsc());
}

// Makes a CPU's loop look around, should it be asleep or in a guest.
static void wake(unsigned cpu)
{
    vmx_cpus[cpu].wake = 1;
    if (&cpus[cpu] != this_cpu())
        apic_send(cpus[cpu].apic_id, APIC_NMI);
}

void loop_attend(void)
{
    is_asked = true;
    wake(0);
}

// The policy names the CPU that should look around, or none (-1). A CPU that runs a guest ends its
// slice. Called with the lock: what runs there does not go away meanwhile.
static void tell(int cpu)
{
    if (cpu < 0)
        return;
    struct vmx_vcpu *running = vmx_cpus[cpu].running;
    if (running)
        vcpu_note(&running->guest, REQUEST_SCHEDULE);
    wake((unsigned)cpu);
}

static struct vmx_vcpu *vcpu_of(struct sched_entity *entity)
{
    return CONTAINER_OF(entity, struct vmx_vcpu, sched);
}

void loop_add(struct vmx_vcpu *vcpu)
{
    spin_lock(&lock);
    tell(sched_add(&sched, &vcpu->sched));
    spin_unlock(&lock);
}

// One that is pinned may have its registers and its VMCS on another CPU while it does not run
// there.
static bool is_loaded_elsewhere(const struct vmx_vcpu *vcpu)
{
    return vcpu->loaded && vcpu->cpu->cpu != this_cpu();
}

// Takes it out of the queues if it does not run. One that is loaded elsewhere has to run there once
// more to leave.
static bool park(struct vmx_vcpu *vcpu)
{
    spin_lock(&lock);
    if (is_loaded_elsewhere(vcpu))
        tell(sched_wake(&sched, &vcpu->sched, now_ns()));
    bool parked = !is_loaded_elsewhere(vcpu) && sched_park(&sched, &vcpu->sched);
    vcpu->park = !parked;
    spin_unlock(&lock);
    if (parked && vcpu->loaded)
        vcpu_unload(vcpu);
    return parked;
}

void loop_remove(struct vmx_vcpu *vcpu)
{
    while (!park(vcpu)) {
        vcpu_request(&vcpu->guest, REQUEST_SCHEDULE);
        pause();
    }
}

// vm_host.kick: somebody set request bits; .notify: or posted an interrupt. Whoever blocks a vCPU
// looks at its requests after saying so, hence one of the two sides sees the other; and whoever
// runs it looks at them after saying so and where: it gets `command`, if any. In any other state it
// will be run, and looks then.
static void reach(struct vcpu *vcpu, uint32_t command)
{
    struct vmx_vcpu *target = vmx_vcpu(vcpu);
    atomic_thread_fence(memory_order_seq_cst);
    uint8_t state = target->sched.state;
    if (state == SCHED_RUNNING && command) {
        const struct cpu *cpu = &cpus[target->sched.cpu];
        if (cpu != this_cpu())
            apic_send(cpu->apic_id, command);
    }
    if (state != SCHED_BLOCKED)
        return;
    spin_lock(&lock);
    tell(sched_wake(&sched, &target->sched, now_ns()));
    spin_unlock(&lock);
}

void loop_kick(struct vcpu *vcpu)
{
    reach(vcpu, APIC_NMI);
}

void loop_notify(struct vcpu *vcpu, bool outstanding)
{
    reach(vcpu, outstanding ? 0 : VECTOR_POSTED);
}

static bool can_move(const struct vmx_vcpu *vcpu)
{
    return cpu_count > 1 && vcpu->sched.pinned >= cpu_count;
}

// What the policy does with a vCPU whose run ended so.
static void put_away(struct vmx_vcpu *vcpu, enum run_end end)
{
    unsigned cpu = this_cpu()->index;
    uint64_t deadline = NEVER;
    enum sched_state to = SCHED_QUEUED;
    kvmsteal_leaves(&vcpu->guest);
    write_cr3(paging_root()); // nothing looks at the guest's memory any more
    if (end == RUN_WAITING) {
        uint64_t tsc = vcpu_next_deadline(vcpu);
        deadline = tsc == NEVER ? NEVER : clock_ns(&host_clock, tsc);
        to = SCHED_BLOCKED;
    }
    // Any CPU may run it next, so it takes its state along; on a machine of one CPU it may stay.
    if (can_move(vcpu))
        vcpu_unload(vcpu);
    spin_lock(&lock);
    if (end == RUN_YIELD && vcpu->yield_to)
        sched_yield_to(&sched, cpu,
                       &(struct sched_group){&vcpu->vm->entity[vcpu->yield_to - 1], 1});
    else if (end == RUN_YIELD)
        sched_yield_to(&sched, cpu, &vcpu->vm->group);
    if (end == RUN_STOPPED || vcpu->park)
        to = SCHED_PARKED;
    vcpu->park = false;
    vcpu->left = end == RUN_STOPPED;
    vmx_cpus[cpu].running = NULL;
    if (to == SCHED_PARKED && vcpu->loaded)
        vcpu_unload(vcpu); // whoever parked it may give it to another CPU, or look into it
    sched_stop(&sched, cpu, now_ns(), to, deadline);
    atomic_thread_fence(memory_order_seq_cst);
    if (to == SCHED_BLOCKED && vcpu->guest.requests != 0)
        tell(sched_wake(&sched, &vcpu->sched, now_ns()));
    spin_unlock(&lock);
    if (end == RUN_STOPPED && atomic_fetch_sub(&vcpu->vm->running, 1) == 1)
        hooks->vm_stopped(vcpu->guest.vm);
}

// The next vCPU for this CPU, or NULL; *until becomes the host TSC at which to look around again.
static struct vmx_vcpu *choose(uint64_t *until)
{
    unsigned cpu = this_cpu()->index;
    spin_lock(&lock);
    struct sched_entity *entity = sched_pick(&sched, cpu, now_ns(), until);
    vmx_cpus[cpu].running = entity ? vcpu_of(entity) : NULL;
    tell(sched_help(&sched));
    spin_unlock(&lock);
    if (*until != NEVER)
        *until = clock_tsc(&host_clock, *until);
    return entity ? vcpu_of(entity) : NULL;
}

static void sleep_until(struct vmx_cpu *here, uint64_t deadline)
{
    uint64_t start = rdtsc();
    if (deadline <= start)
        return;
    if (deadline != NEVER)
        apic_timer_arm(deadline);
    here->asleep = true;
    cpu_idle(&here->wake);
    here->asleep = false;
    apic_timer_stop();
    here->idle_cycles += rdtsc() - start;
}

void loop_run(void)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    unsigned cpu = this_cpu()->index;
    bool works = false;
    uint64_t next_poll = 0, until;
    for (;;) {
        here->wake = 0;
        here->rounds++;
        atomic_thread_fence(memory_order_seq_cst);
        bool attends = cpu == 0 && is_asked && atomic_exchange(&is_asked, false);
        if (attends || rdtsc() >= next_poll) {
            next_poll = hooks->poll(cpu, attends);
            works = cpu == 0; // perhaps
        }
        works = works && hooks->work();
        struct vmx_vcpu *vcpu = choose(&until);
        until = MIN(until, works ? rdtsc() + host_tsc_hz / BESIDE_WORK_HZ : next_poll);
        if (!vcpu) {
            if (!works)
                sleep_until(here, until);
            continue;
        }
        guard_run(here);
        vcpu_load(vcpu);
        write_cr3(vcpu->vm->view);
        vcpu->guest.stolen = vcpu->sched.waited;
        kvmsteal_runs(&vcpu->guest);
        put_away(vcpu, vcpu_run(vcpu, until));
    }
}
