// Reading vms.conf and starting what it describes.

#include "boot/start.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/machine.h"
#include "boot/vms.h"
#include "lib/string.h"
#include "vmx/guard.h"

#define CONFIG_FILE   "vms.conf"
#define BUILT_IN_NAME "selftest" // of the VM, and of its kernel among the boot modules
#define BUILT_IN_CPUS 2U

// The built-in guest: selftest/, linked into this image as a file.
extern const uint8_t selftest_image[], selftest_image_end[];

static struct vm_config configs[CONFIG_VMS];
static struct cpuid_leaves host_cpuid;
static struct image images[BOOT_MODULES_MAX + 1];

static void read_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *result)
{
    struct cpuid_result r = features_common(leaf, subleaf);
    *result = (struct cpuid_leaf){leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx};
}

// The boot modules; behind them, so that a module of its name comes first, the built-in guest.
static unsigned name_images(const struct boot_info *info)
{
    unsigned count = info->module_count;
    for (unsigned i = 0; i < count; i++)
        images[i] = (struct image){.name = info->modules[i].name,
                                   .bytes = (const uint8_t *)info->modules[i].start,
                                   .size = info->modules[i].end - info->modules[i].start};
    images[count] = (struct image){.name = BUILT_IN_NAME,
                                   .bytes = selftest_image,
                                   .size = (uint64_t)(selftest_image_end - selftest_image)};
    return count + 1;
}

static void init_vms(const struct boot_info *info, const char *fail_entry)
{
    cpuid_collect(&host_cpuid, read_cpuid);
    struct vms_inputs inputs = {
        .host_cpuid = &host_cpuid,
        .cpuid = {.tsc_hz = host_tsc_hz,
                  .apic_hz = 1000000000,
                  .flags =
                      (machine_is_emulated() ? CPUID_HOST_EMULATED : 0U) |
                      (machine_uses(FEATURE_RDTSCP) ? CPUID_HOST_RDTSCP : 0U) |
                      (machine_uses(FEATURE_INVPCID) ? CPUID_HOST_INVPCID : 0U) |
                      (machine_uses(FEATURE_XSAVES) ? CPUID_HOST_XSAVES : 0U) |
                      (machine_uses(FEATURE_USER_WAIT) ? CPUID_HOST_USER_WAIT : 0U) |
                      (machine_speculation.guards & GUARD_SPEC_CTRL ? CPUID_HOST_SPECULATION : 0U),
                  .arch_capabilities = speculation_for_guests(machine_arch_capabilities)},
        .fail_entry = fail_entry,
        .images = images,
        .image_count = name_images(info),
    };
    inputs.wall_clock = machine_wall_clock(&inputs.wall_tsc);
    vms_init(&inputs);
}

// The VM that runs without a vms.conf. The test device lets it end with its result.
static unsigned built_in_config(void)
{
    config_defaults(&configs[0]);
    configs[0].memory = UINT64_C(32) << 20;
    configs[0].cpus = MIN(cpu_online_count(), BUILT_IN_CPUS);
    configs[0].testdev = true;
    format_text(configs[0].name, sizeof(configs[0].name), BUILT_IN_NAME);
    return 1;
}

static unsigned read_config(const struct boot_info *info)
{
    static struct config_errors errors;
    unsigned count = 0;
    const struct boot_module *module = bootinfo_find_module(info, CONFIG_FILE);
    if (!module)
        return built_in_config();
    status_t status = config_parse((const char *)module->start, module->end - module->start,
                                   configs, CONFIG_VMS, &count, &errors);
    for (unsigned i = 0; i < errors.count; i++)
        tell("corbel: %s\n", errors.error[i].text);
    if (errors.dropped)
        tell("corbel: %s: and %u more\n", CONFIG_FILE, errors.dropped);
    if (status != STATUS_OK)
        tell("corbel: %s has errors: only the VMs without any are started\n", CONFIG_FILE);
    return count;
}

void start_vms(const struct boot_info *info, const char *fail_entry, uint64_t begin)
{
    struct explanation why;
    init_vms(info, fail_entry);
    unsigned count = read_config(info), started = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!configs[i].kernel[0])
            format_text(configs[i].kernel, sizeof(configs[i].kernel), BUILT_IN_NAME);
        if (vms_start(&configs[i], &why) == STATUS_OK)
            started++;
        else
            tell("corbel: %s\n", why.text);
    }
    tell("corbel: %u VM%s started, %lu thousand cycles after the hand-over\n", started,
         started == 1 ? "" : "s", (rdtsc() - begin) / 1000);
}
