// The capability screen of this machine: vmx/policy/report.h with its CPUs' values.

#include "control/cpu_report.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "lib/string.h"
#include "vmx/mitigations.h"
#include "vmx/policy/report.h"

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

void cpu_report(struct printer *to, bool whole)
{
    char brand[49];
    read_brand(brand);
    const char *name = brand;
    while (*name == ' ')
        name++;
    struct report report = {&host_capabilities, &host_vmcs_config, name, cpu_online_count()};
    if (whole) {
        report_full(to, &report);
        speculation_report(to, &host_speculation);
    }
    for (unsigned i = 1; i < cpu_count; i++)
        if (cpus[i].online)
            report_differences(to, i, &vmx_cpus[0].capabilities, &vmx_cpus[i].capabilities);
    if (whole)
        report_page(to, &report);
    else
        report_short(to, &report);
    if (!host_vmcs_config.missing)
        speculation_summary(to, &host_speculation);
}
