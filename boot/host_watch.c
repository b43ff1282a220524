// The sign of life of a CPU is that its loop goes round, at each slice's end at the latest. One
// that shows none and does not sleep is asked by an NMI: that it runs a guest which has not exited
// for long is what most answers will be (vmx/run.c takes the charge back). See host_watch.h.
//
// Nothing is printed on the way to the panic: the CPU may be stuck with the console's lock.

#include "boot/host_watch.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "lib/panic.h"
#include "vmx/machine.h"

static unsigned limit;  // looks, one a second
static unsigned second; // the CPU that watches CPU 0; 0: there is none

static struct {
    uint64_t rounds;
    unsigned silent; // looks in a row
} looks[CPUS];

void host_watch_init(unsigned seconds)
{
    limit = seconds;
    for (second = cpu_count - 1; second && !cpus[second].online;)
        second--;
    if (!second)
        tell("corbel: one CPU: nobody watches that it gets on\n");
}

static void look_at(struct cpu *cpu)
{
    unsigned i = cpu->index;
    uint64_t rounds = vmx_cpus[i].rounds;
    bool may_sleep = i != 0 && vmx_cpus[i].asleep; // CPU 0 never does for long
    bool is_silent = rounds && !may_sleep && rounds == looks[i].rounds;
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

uint64_t host_watch(unsigned cpu)
{
    static uint64_t next[2]; // of CPU 0, and of the second
    uint64_t now = rdtsc(), *due = &next[cpu != 0];
    if (cpu != 0 && cpu != second)
        return NEVER;
    if (now < *due)
        return *due;
    *due = now + host_tsc_hz;
    if (cpu != 0)
        look_at(&cpus[0]);
    for (unsigned i = 1; cpu == 0 && i < cpu_count; i++)
        if (cpus[i].online)
            look_at(&cpus[i]);
    return *due;
}
