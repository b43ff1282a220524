// The built-in guest: it runs when there is no vms.conf, looks at its machine from inside and says
// what is not as it should be. It ends by power-off if everything is, else with FAILED on the
// debug-exit port.
// again: trap = all
// The local APIC by software, and with each half of its virtualization:
// again: features=-apic_access,-x2apic_virt
// again: features=-vid
// lacks: vnmi: NMI waits for the IRET = Corbel notices it at the next interrupt window
// lacks: preemption_timer: STI(, CLI| holds) = the emulated VID overlooks that IF is clear
// again: features=-apicv
// again: features=-all
// again: ignore_bad_msrs=0
#include "selftest/groups.h"

#define FAILED 8

static const struct {
    const char *name;
    void (*run)(void);
} groups[] = {
    {"CPUID", check_cpuid},
    {"model-specific registers", check_msrs},
    {"control registers and paging", check_control},
    {"exceptions", check_faults},
    {"single steps and breakpoints", check_debug},
    {"ports", check_ports},
    {"memory-mapped devices", check_mmio},
    {"user mode", check_user},
    {"the board's interrupts", check_board},
    {"the local APIC", check_interrupts},
    {"clocks", check_time},
    {"several CPUs", check_smp},
};

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    for (unsigned i = 0; i < ARRAY_LENGTH(groups); i++) {
        say("self-test: %s\n", groups[i].name);
        groups[i].run();
    }
    say("self-test: %u passed, %u failed, %llu million cycles\n", checks_passed, checks_failed,
        (unsigned long long)read_tsc() / 1000000);
    if (checks_failed)
        guest_debug_exit(FAILED);
}
