// Starting VMX on all CPUs.

#include "boot/vmx_start.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/tsc.h"
#include "drivers/host/platform/platform.h"
#include "boot/info/options.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "vmx/mitigations.h"
#include "vmx/loop.h"
#include "vmx/root.h"

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
        facts[i].emulated = platform_is_emulated();
        speculation_judge(&facts[i], mode, find_smt(), &one);
        vmx_cpus[i].mitigations = one.mitigations;
        vmx_cpus[i].spec_ctrl = one.spec_ctrl;
        all_have = all_have && (one.mitigations & MITIGATION_SPEC_CTRL);
        if (i == 0) {
            host_speculation = one;
            host_arch_capabilities = facts[0].arch_capabilities;
        } else {
            speculation_merge(&host_speculation, &one);
            host_arch_capabilities =
                speculation_intersect(host_arch_capabilities, facts[i].arch_capabilities);
        }
    }
    if (!all_have)
        host_speculation.mitigations &= ~MITIGATION_SPEC_CTRL;
}

static void read_own(void)
{
    struct vmx_capabilities *own = &vmx_cpus[this_cpu()->index].capabilities;
    root_read_capabilities(&own->raw);
    capabilities_decode(own);
    features_note();
    mitigations_read_facts(&facts[this_cpu()->index]);
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
    uint32_t wanted = vmcs_config_default(), requested = 0;
    if (vmcs_config_parse(options->features, &wanted, &requested, &why) != STATUS_OK) {
        log_warning("corbel: features=%s: %s\n", options->features, why.text);
        return STATUS_NOT_FOUND;
    }
    read_own();
    while (reported < cpu_online_count())
        pause();
    host_capabilities = vmx_cpus[0].capabilities;
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            capabilities_intersect(&host_capabilities, &vmx_cpus[i].capabilities);
    judge_speculation(options->mitigations);
    vmcs_config_make(&host_vmcs_config, &host_capabilities, wanted, requested);
    return host_vmcs_config.missing ? STATUS_UNSUPPORTED : STATUS_OK;
}

status_t vmx_start_enter(struct explanation *why)
{
    status_t status = root_enter(why);
    if (status == STATUS_OK)
        may_enter = true;
    return status;
}
