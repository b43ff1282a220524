// The sign of life of a CPU is that its loop goes round, at each slice's end at the latest, and
// once a second for its own look at another. One that shows none is asked by an NMI: that it runs a
// guest which has not exited for long is what most answers will be (vmx/run.c takes the charge
// back). See host_watch.h.
//
// Nothing is printed on the way to the panic: the CPU may be stuck with the console's lock.

#include "control/host_watch.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/tsc.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "vmx/vmx.h"
#include "vmx/task.h"

static unsigned limit;   // looks, one a second
static unsigned hanging; // this CPU hangs, if there is such a one
static struct task tasks[CPUS];

static struct {
    uint64_t rounds;
    unsigned silent; // looks in a row
} looks[CPUS];

static void look_at(struct cpu *cpu)
{
    unsigned i = cpu->index;
    uint64_t rounds = vmx_cpus[i].rounds;
    bool is_silent = rounds && rounds == looks[i].rounds;
    looks[i].rounds = rounds;
    looks[i].silent = is_silent ? looks[i].silent + 1 : 0;
    if (!is_silent) {
        cpu->charge = CHARGE_NONE;
    } else if (looks[i].silent == limit / 2) {
        cpu->charge = CHARGE_ASKED;
        apic_send(cpu->apic_id, APIC_NMI);
    } else if (looks[i].silent >= limit && cpu->charge == CHARGE_NONE) {
        looks[i].silent = 0;
    } else if (looks[i].silent == limit) {
        cpu->charge = CHARGE_STUCK; // it panics itself, as only it has its registers
        apic_send(cpu->apic_id, APIC_NMI);
    } else if (looks[i].silent > limit) {
        panic("CPU %u has got nowhere for %u s, and takes no NMI", i, limit);
    }
}

// `hang=`: what the watchdog is for.
__attribute__((noreturn)) static void hang(void)
{
    for (;;)
        __asm__ volatile("hlt");
}

// The next CPU round and round, or the same one: there is no other.
static unsigned next_of(unsigned cpu)
{
    do
        cpu = (cpu + 1) % cpu_count;
    while (!cpus[cpu].online);
    return cpu;
}

// Once a second, on each CPU.
static uint64_t watch(struct task *task, uint64_t until)
{
    unsigned cpu = task->pinned, other = next_of(cpu);
    (void)until;
    if (cpu == hanging)
        hang();
    machine_check_poll();
    if (other != cpu)
        look_at(&cpus[other]);
    return rdtsc() + host_tsc_hz;
}

void host_watch_init(unsigned seconds, unsigned hangs)
{
    limit = seconds;
    hanging = hangs;
    if (next_of(0) == 0)
        log_debug("corbel: one CPU: nobody watches that it gets on\n");
    for (unsigned i = 0; i < cpu_count; i++) {
        if (!cpus[i].online)
            continue;
        tasks[i] = (struct task){
            .run = watch,
            .pinned = (uint16_t)i,
            .weight = SCHED_WEIGHT_DEFAULT,
            .is_prompt = true,
        };
        task_add(&tasks[i]);
    }
}
