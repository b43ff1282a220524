// Starting VMX on all CPUs.

#include "boot/vmx_start.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "vmx/loop.h"
#include "vmx/required.h"
#include "vmx/root.h"

static struct vmx_capabilities capabilities[CPUS];
static _Atomic unsigned reported;
static _Atomic bool may_enter;

static unsigned online_count(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cpu_count; i++)
        count += cpus[i].online;
    return count;
}

static void read_own(void)
{
    struct vmx_capabilities *own = &capabilities[this_cpu()->index];
    root_read_capabilities(&own->raw);
    capabilities_decode(own);
    atomic_fetch_add(&reported, 1);
}

void vmx_start_cpu(struct cpu *cpu)
{
    struct explanation why;
    (void)cpu;
    apic_timer_init(host_tsc_hz);
    read_own();
    while (!may_enter)
        pause();
    if (root_enter(&why) != STATUS_OK)
        panic("%s", why.text);
    loop_run();
}

static void print_missing(struct printer *to)
{
    struct explanation line;
    for (unsigned i = 0; i < required_count(); i++) {
        if (!(machine_choice.missing & BIT(i)))
            continue;
        required_explain(&machine_capabilities, i, &line);
        print_to(to, "corbel: %s\n", line.text);
    }
}

status_t vmx_start_choose(const char *features, struct printer *to)
{
    struct explanation why;
    uint32_t wanted = choice_default(), requested = 0;
    if (choice_parse(features, &wanted, &requested, &why) != STATUS_OK) {
        print_to(to, "corbel: features=%s: %s\n", features, why.text);
        return STATUS_NOT_FOUND;
    }
    read_own();
    while (reported < online_count())
        pause();
    machine_capabilities = capabilities[0];
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            capabilities_intersect(&machine_capabilities, &capabilities[i]);
    choice_make(&machine_choice, &machine_capabilities, wanted, requested);
    if (!machine_choice.missing)
        return STATUS_OK;
    print_missing(to);
    return STATUS_UNSUPPORTED;
}

void vmx_start_report(struct printer *to, bool whole)
{
    (void)whole;
    print_to(to, "vmx: features in use %#x, missing %#lx\n", machine_choice.features,
             machine_choice.missing);
}

status_t vmx_start_enter(struct explanation *why)
{
    status_t status = root_enter(why);
    if (status == STATUS_OK)
        may_enter = true;
    return status;
}
