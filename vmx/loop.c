// The CPU's loop. The policy, for now: each vCPU stays on its CPU, and those that can run take
// turns.

#include "vmx/loop.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "vmx/run.h"
#include "vmx/setup.h"

#define SLICE_MS      10
#define VCPUS_PER_CPU 64

static struct queue {
    struct spinlock lock; // guards the fields below
    unsigned count;
    unsigned last; // the one that ran last
    struct vmx_vcpu *vcpu[VCPUS_PER_CPU];
} queues[CPUS];

static const struct loop_hooks *hooks;

void loop_set_hooks(const struct loop_hooks *given)
{
    hooks = given;
}

void loop_add(struct vmx_vcpu *vcpu, unsigned cpu)
{
    struct queue *queue = &queues[cpu];
    vcpu->home = &vmx_cpus[cpu];
    spin_lock(&queue->lock);
    assert(queue->count < VCPUS_PER_CPU);
    queue->vcpu[queue->count++] = vcpu;
    spin_unlock(&queue->lock);
    loop_wake(cpu);
}

void loop_wake(unsigned cpu)
{
    vmx_cpus[cpu].wake = 1;
    if (&cpus[cpu] != this_cpu())
        apic_send_nmi(cpus[cpu].apic_id);
}

static void take_off(struct queue *queue, struct vmx_vcpu *vcpu)
{
    if (vcpu->loaded)
        vcpu_unload(vcpu);
    spin_lock(&queue->lock);
    for (unsigned i = 0; i < queue->count; i++)
        if (queue->vcpu[i] == vcpu)
            queue->vcpu[i] = queue->vcpu[--queue->count];
    spin_unlock(&queue->lock);
    if (atomic_fetch_sub(&vcpu->vm->running, 1) == 1)
        hooks->vm_stopped(vcpu->guest.vm);
}

// Whoever pauses a VM sets the flag, then waits for vCPUs that run; so say "running" first, then
// look at the flag.
static bool claim(struct vmx_vcpu *vcpu)
{
    vcpu->running = true;
    if (vcpu->vm->paused && vcpu->vm->vm->stop_reason == STOP_NONE)
        vcpu->running = false;
    return vcpu->running;
}

// The next in turn that can run, or NULL; *deadline is then when the first of them will.
static struct vmx_vcpu *choose(struct queue *queue, uint64_t *deadline)
{
    struct vmx_vcpu *chosen = NULL;
    *deadline = NEVER;
    spin_lock(&queue->lock);
    for (unsigned i = 0; i < queue->count && !chosen; i++) {
        unsigned at = (queue->last + 1 + i) % queue->count;
        if (!claim(queue->vcpu[at]))
            continue;
        if (vcpu_is_runnable(queue->vcpu[at])) {
            chosen = queue->vcpu[at];
            queue->last = at;
        } else {
            *deadline = MIN(*deadline, vcpu_next_deadline(queue->vcpu[at]));
            queue->vcpu[at]->running = false;
        }
    }
    spin_unlock(&queue->lock);
    return chosen;
}

static void sleep(struct vmx_cpu *here, uint64_t deadline)
{
    uint64_t start = rdtsc();
    if (deadline <= start)
        return;
    if (deadline != NEVER)
        apic_timer_arm(deadline);
    cpu_idle(&here->wake);
    apic_timer_stop();
    here->idle_cycles += rdtsc() - start;
}

void loop_run(void)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    struct queue *queue = &queues[this_cpu()->index];
    bool polls = this_cpu()->index == 0;
    for (;;) {
        uint64_t next_poll = NEVER, deadline;
        here->wake = 0;
        atomic_thread_fence(memory_order_seq_cst);
        if (polls)
            next_poll = hooks->poll();
        struct vmx_vcpu *vcpu = choose(queue, &deadline);
        if (!vcpu) {
            sleep(here, MIN(deadline, next_poll));
            continue;
        }
        vcpu_load(vcpu);
        uint64_t slice_end = MIN(rdtsc() + host_tsc_hz / 1000 * SLICE_MS, next_poll);
        enum run_end end = vcpu_run(vcpu, slice_end);
        if (end == RUN_STOPPED)
            take_off(queue, vcpu);
        else
            vcpu->running = false;
    }
}
