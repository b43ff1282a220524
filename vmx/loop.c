// The CPU's loop: mechanism around the policy of vm/sched/sched.h. The locks of its domains guard
// the policy's state and what runs on their CPUs; a vCPU's request bits, and whether it runs and
// where, are the only things that are looked at without. Nobody holds two, but sched_balance(). A
// VM is taken apart when the last of its vCPUs has left: until then every CPU that can still name a
// vCPU of it runs one itself.

#include "vmx/loop.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "vm/kvmsteal.h"
#include "vmx/context.h"
#include "vmx/mitigations.h"
#include "vmx/run.h"
#include "vmx/task.h"
#include "vmx/timer.h"

#define DOMAIN_CPUS 8

static struct sched sched;
static struct clock host_clock; // the policy counts nanoseconds
static uint64_t least_tsc;      // SCHED_LEAST
static void (*on_vm_stopped)(struct vm *vm);

status_t loop_init(void (*vm_stopped)(struct vm *vm))
{
    uint64_t size = align_up(sched_slots(cpu_count, DOMAIN_CPUS) * sizeof(void *), PAGE_SIZE);
    struct sched_entity **slots = frames_allocate(size, PAGE_SIZE, FRAMES_CORBEL);
    if (!slots)
        return STATUS_NO_MEMORY;
    on_vm_stopped = vm_stopped;
    clock_init(&host_clock, host_tsc_hz, 0);
    least_tsc = clock_tsc(&host_clock, SCHED_LEAST);
    sched_init(&sched, cpu_count, DOMAIN_CPUS, slots);
    for (unsigned i = 0; i < cpu_count && (host_speculation.mitigations & MITIGATION_CORE); i++)
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

// The policy names the CPU that should look around, or none (-1). A CPU that runs a guest ends its
// slice.
static void kick_cpu(int cpu)
{
    if (cpu < 0)
        return;
    struct sched_domain *domain = sched_hold_cpu(&sched, (unsigned)cpu);
    struct vmx_vcpu *running = vmx_cpus[cpu].running;
    if (running)
        vcpu_note(&running->guest, REQUEST_SCHEDULE);
    sched_release(domain);
    wake((unsigned)cpu);
}

static void wake_entity(struct sched_entity *entity)
{
    struct sched_domain *domain = sched_hold(&sched, entity);
    int cpu = sched_wake(&sched, entity, now_ns());
    sched_release(domain);
    kick_cpu(cpu);
}

static struct vmx_vcpu *vcpu_of(struct sched_entity *entity)
{
    return CONTAINER_OF(entity, struct vmx_vcpu, sched);
}

void loop_add(struct vmx_vcpu *vcpu)
{
    kick_cpu(sched_add(&sched, &vcpu->sched));
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
    int cpu = -1;
    struct sched_domain *domain = sched_hold(&sched, &vcpu->sched);
    if (is_loaded_elsewhere(vcpu))
        cpu = sched_wake(&sched, &vcpu->sched, now_ns());
    bool parked = !is_loaded_elsewhere(vcpu) && sched_park(&sched, &vcpu->sched);
    vcpu->park = !parked;
    sched_release(domain);
    kick_cpu(cpu);
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

// Tells a vCPU's CPU of requests or posted interrupts, whose bits are set already. No lock is
// needed: the other side first writes the vCPU's state and then looks at the bits, this side first
// writes the bits and then looks at the state, so that one of the two sees what the other wrote.
//   running: its CPU is sent `command`, if there is one
//   blocked: it is queued again, if it waits for what came
//   else:    it will run, and looks at the bits before it enters the guest
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
    if (state != SCHED_BLOCKED || !vcpu_is_called(vcpu))
        return;
    wake_entity(&target->sched);
}

void loop_kick(struct vcpu *vcpu)
{
    reach(vcpu, APIC_NMI);
}

void loop_notify(struct vcpu *vcpu, bool outstanding)
{
    reach(vcpu, outstanding ? 0 : VECTOR_POSTED);
}

bool loop_is_here(const struct vcpu *vcpu)
{
    const struct vmx_vcpu *running = vmx_cpus[this_cpu()->index].running;
    return running && &running->guest == vcpu;
}

static bool can_move(const struct vmx_vcpu *vcpu)
{
    return cpu_count > 1 && vcpu->sched.pinned >= cpu_count;
}

// What the policy does with a vCPU whose run ended so.
static void put_away(struct vmx_vcpu *vcpu, enum run_end end)
{
    unsigned cpu = this_cpu()->index;
    uint64_t now = now_ns(), deadline = NEVER;
    enum sched_state to = SCHED_QUEUED;
    kvmsteal_leaves(&vcpu->guest);
    write_cr3(paging_root()); // nothing looks at the guest's memory any more
    // Where NMIs are not virtual, a guest's handler that has exited leaves the CPU deaf to kicks.
    if (!vmx_uses(FEATURE_VIRTUAL_NMIS))
        nmi_unblock();
    if (end == RUN_WAITING) {
        uint64_t tsc = vcpu_next_deadline(vcpu);
        deadline = tsc == NEVER ? NEVER : clock_ns(&host_clock, tsc);
        to = SCHED_BLOCKED;
    }
    // Any CPU may run it next, so it takes its state along; on a machine of one CPU it may stay.
    if (can_move(vcpu))
        vcpu_unload(vcpu);
    int other = -1;
    struct sched_domain *domain = sched_hold_cpu(&sched, cpu);
    if (end == RUN_YIELD)
        sched_yield_to(&sched, cpu, vcpu->yield_to ? vcpu->vm->entity[vcpu->yield_to - 1] : NULL);
    if (end == RUN_STOPPED || vcpu->park)
        to = SCHED_PARKED;
    vcpu->park = false;
    vcpu->left = end == RUN_STOPPED;
    vmx_cpus[cpu].running = NULL;
    if (to == SCHED_PARKED && vcpu->loaded)
        vcpu_unload(vcpu); // whoever parked it may give it to another CPU, or look into it
    sched_stop(&sched, cpu, now, to, deadline);
    atomic_thread_fence(memory_order_seq_cst);
    if (to == SCHED_BLOCKED && vcpu_is_called(&vcpu->guest))
        other = sched_wake(&sched, &vcpu->sched, now_ns());
    sched_release(domain);
    kick_cpu(other);
    if (end == RUN_STOPPED && atomic_fetch_sub(&vcpu->vm->running, 1) == 1)
        on_vm_stopped(vcpu->guest.vm);
}

// ---- tasks ----

void task_add(struct task *task)
{
    task->member = &task->sched;
    task->group = (struct sched_group){&task->member, .count = 1, .weight = task->weight};
    task->sched = (struct sched_entity){
        .pinned = task->pinned,
        .is_task = true,
        .is_prompt = task->is_prompt,
        .group = &task->group,
    };
    if (task->strand) {
        task->next = task->strand->tasks;
        task->strand->tasks = task;
    }
    kick_cpu(sched_add(&sched, &task->sched));
}

static bool is_barred(const struct task *task)
{
    return task->strand && task->strand->is_taken;
}

// Whoever waits looks for this after saying so.
static void wake_woken(struct task *task)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (task->sched.state != SCHED_BLOCKED || !task->is_woken || is_barred(task))
        return;
    wake_entity(&task->sched);
}

void task_wake(struct task *task)
{
    task->is_woken = true;
    wake_woken(task);
}

static void leave(struct strand *strand)
{
    strand->is_taken = false;
    for (struct task *task = strand->tasks; task; task = task->next)
        wake_woken(task);
}

static void run_task(struct task *task, uint64_t until)
{
    unsigned cpu = this_cpu()->index;
    struct strand *strand = task->strand;
    uint64_t next = NEVER;
    sched_begin(&sched, cpu, now_ns());
    bool may_run = !strand || !atomic_exchange(&strand->is_taken, true);
    task->is_woken = !may_run; // by whoever leaves the strand
    if (may_run)
        next = task->run(task, until);
    struct sched_domain *domain = sched_hold_cpu(&sched, cpu);
    uint64_t tsc = rdtsc();
    bool goes_on = next <= tsc;
    sched_stop(&sched, cpu, clock_ns(&host_clock, tsc), goes_on ? SCHED_QUEUED : SCHED_BLOCKED,
               next == NEVER ? NEVER : clock_ns(&host_clock, next));
    sched_release(domain);
    if (may_run && strand)
        leave(strand);
    wake_woken(task);
}

// ---- the loop ----

// The next one for this CPU, or NULL; *until becomes the host TSC at which to look around again.
static struct sched_entity *choose(uint64_t *until)
{
    unsigned cpu = this_cpu()->index;
    struct sched_entity *entity;
    (void)sched_balance(&sched, cpu);
    do {
        struct sched_domain *domain = sched_hold_cpu(&sched, cpu);
        entity = sched_pick(&sched, cpu, now_ns(), until);
        vmx_cpus[cpu].running = entity && !entity->is_task ? vcpu_of(entity) : NULL;
        int other = sched_help(&sched, cpu);
        sched_release(domain);
        kick_cpu(other);
    } while (!entity && sched_balance(&sched, cpu));
    if (*until != NEVER)
        *until = clock_tsc(&host_clock, *until);
    return entity;
}

static void sleep_until(struct vmx_cpu *here, uint64_t deadline)
{
    uint64_t start = rdtsc();
    if (deadline <= start)
        return;
    if (deadline != NEVER)
        apic_timer_arm(deadline);
    here->is_asleep = true;
    cpu_idle(&here->wake);
    here->is_asleep = false;
    apic_timer_stop();
    here->idle_cycles += rdtsc() - start;
    here->has_slept = true;
}

static void run_vcpu(struct vmx_cpu *here, struct vmx_vcpu *vcpu, uint64_t until)
{
    mitigations_run(here);
    vcpu_load(vcpu);
    write_cr3(vcpu->vm->view);
    vcpu->guest.stolen += vcpu->sched.waited - vcpu->waited;
    vcpu->waited = vcpu->sched.waited;
    kvmsteal_runs(&vcpu->guest);
    vcpu->slice_least = rdtsc() + least_tsc;
    sched_begin(&sched, here->cpu->index, now_ns());
    put_away(vcpu, vcpu_run(vcpu, until));
    here->has_slept = false;
}

void loop_run(void)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    uint64_t until;
    for (;;) {
        here->wake = 0;
        here->rounds++;
        atomic_thread_fence(memory_order_seq_cst);
        struct sched_entity *entity = choose(&until);
        if (!entity)
            sleep_until(here, until);
        else if (entity->is_task)
            run_task(CONTAINER_OF(entity, struct task, sched), until);
        else
            run_vcpu(here, vcpu_of(entity), until);
    }
}
