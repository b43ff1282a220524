// Signs of life of each CPU: rounds of its loop, and time that exits of the guest it runs have
// taken. One that shows none and does not sleep is asked by an NMI: that it runs a guest which has
// not exited for long is what most answers will be (vmx/run.c takes the charge back). See
// host_watch.h.

#include "boot/host_watch.h"

#include "arch/x86_64/apic.h"
#include "boot/consoles.h"
#include "vmx/machine.h"

#define SILENT_LOOKS 10U

static struct {
    uint64_t life;
    unsigned silent; // looks in a row
} looks[CPUS];

static uint64_t life_of(const struct vmx_cpu *vmx)
{
    const struct vmx_vcpu *loaded = vmx->current; // its memory may be gone, but is still memory
    uint64_t life = vmx->rounds;
    for (unsigned i = 0; loaded && i < STATS_REASONS; i++)
        life += loaded->guest.stats.cost[i].cycles;
    return life;
}

// Twice as long silent as it takes to be asked, and not in a guest then.
static void look_at(struct cpu *cpu)
{
    unsigned i = cpu->index;
    uint64_t life = life_of(&vmx_cpus[i]);
    bool is_silent = vmx_cpus[i].rounds && !vmx_cpus[i].asleep && life == looks[i].life;
    looks[i].life = life;
    looks[i].silent = is_silent ? looks[i].silent + 1 : 0;
    if (!is_silent) {
        cpu->charge = CHARGE_NONE;
    } else if (looks[i].silent == SILENT_LOOKS) {
        cpu->charge = CHARGE_ASKED;
        apic_send_nmi(cpu->apic_id);
    } else if (looks[i].silent == 2 * SILENT_LOOKS) {
        looks[i].silent = 0;
        if (cpu->charge != CHARGE_ASKED)
            return;
        print_to(consoles_printer(), "corbel: CPU %u has got nowhere for %u s\n", i,
                 2 * SILENT_LOOKS);
        cpu->charge = CHARGE_STUCK;
        apic_send_nmi(cpu->apic_id);
    }
}

void host_watch(void)
{
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            look_at(&cpus[i]);
}
