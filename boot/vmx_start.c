// Starting VMX on all CPUs.

#include "boot/vmx_start.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/machine.h"
#include "boot/options.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "vmx/guard.h"
#include "vmx/loop.h"
#include "vmx/report.h"
#include "vmx/root.h"

static struct vmx_capabilities capabilities[CPUS];
static struct speculation_facts facts[CPUS];
static _Atomic unsigned reported;
static _Atomic bool may_enter;

// Corbel's own CPUs alone count: what firmware left asleep does not share a core's buffers.
static enum speculation_smt find_smt(void)
{
    bool seen[CPUS] = {false};
    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i].online && seen[cpu_first_of_core(i)])
            return SMT_ON;
        seen[cpu_first_of_core(i)] |= cpus[i].online;
    }
    return SMT_OFF;
}

static void judge_speculation(enum mitigations mode)
{
    static struct speculation one;
    bool all_have = true;
    for (unsigned i = 0; i < cpu_count; i++) {
        if (!cpus[i].online)
            continue;
        facts[i].emulated = machine_is_emulated();
        speculation_judge(&facts[i], mode, find_smt(), &one);
        vmx_cpus[i].guards = one.guards;
        vmx_cpus[i].spec_ctrl = one.spec_ctrl;
        all_have = all_have && (one.guards & GUARD_SPEC_CTRL);
        if (i == 0) {
            machine_speculation = one;
            machine_arch_capabilities = facts[0].arch_capabilities;
        } else {
            speculation_merge(&machine_speculation, &one);
            machine_arch_capabilities =
                speculation_intersect(machine_arch_capabilities, facts[i].arch_capabilities);
        }
    }
    if (!all_have)
        machine_speculation.guards &= ~GUARD_SPEC_CTRL;
}

static void read_own(void)
{
    struct vmx_capabilities *own = &capabilities[this_cpu()->index];
    root_read_capabilities(&own->raw);
    capabilities_decode(own);
    features_note();
    guard_read_facts(&facts[this_cpu()->index]);
    atomic_fetch_add(&reported, 1);
}

void vmx_start_cpu(struct cpu *cpu)
{
    struct explanation why;
    apic_timer_init(host_tsc_hz);
    read_own();
    while (!may_enter)
        pause();
    if (root_enter(&why) != STATUS_OK)
        panic("%s", why.text);
    loop_run();
}

status_t vmx_start_choose(const struct boot_options *options)
{
    struct explanation why;
    uint32_t wanted = choice_default(), requested = 0;
    if (choice_parse(options->features, &wanted, &requested, &why) != STATUS_OK) {
        tell("corbel: features=%s: %s\n", options->features, why.text);
        return STATUS_NOT_FOUND;
    }
    read_own();
    while (reported < cpu_online_count())
        pause();
    machine_capabilities = capabilities[0];
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            capabilities_intersect(&machine_capabilities, &capabilities[i]);
    judge_speculation(options->mitigations);
    choice_make(&machine_choice, &machine_capabilities, wanted, requested);
    return machine_choice.missing ? STATUS_UNSUPPORTED : STATUS_OK;
}

// The brand string: three leaves of sixteen characters.
static void read_brand(char name[49])
{
    name[0] = name[48] = 0;
    if (cpuid(0x80000000, 0).eax < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_result part = cpuid(0x80000002 + i, 0);
        memcpy(name + 16 * i, &part, sizeof(part));
    }
}

void vmx_start_report(struct printer *to, bool whole)
{
    char brand[49];
    read_brand(brand);
    const char *name = brand;
    while (*name == ' ')
        name++;
    struct report report = {&machine_capabilities, &machine_choice, name, cpu_online_count()};
    if (whole) {
        report_full(to, &report);
        speculation_report(to, &machine_speculation);
    }
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            report_differences(to, i, &capabilities[0], &capabilities[i]);
    if (whole)
        report_page(to, &report);
    else
        report_short(to, &report);
    if (!machine_choice.missing)
        speculation_summary(to, &machine_speculation);
}

status_t vmx_start_enter(struct explanation *why)
{
    status_t status = root_enter(why);
    if (status == STATUS_OK)
        may_enter = true;
    return status;
}
