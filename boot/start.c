// Reading vms.conf and starting what it describes.

#include "boot/start.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/features.h"
#include "arch/x86_64/tsc.h"
#include "boot/hardware.h"
#include "control/streams.h"
#include "control/instance_inputs.h"
#include "control/networks.h"
#include "control/vms.h"
#include "drivers/host/platform/platform.h"
#include "lib/log.h"
#include "vmx/mitigations.h"

#define CONFIG_FILE   "vms.conf"
#define BUILT_IN_NAME "selftest" // of the VM, and of its kernel among the boot modules
#define BUILT_IN_CPUS 2U

// The built-in guest: selftest/, linked into this image as a file.
extern const uint8_t selftest_image[], selftest_image_end[];

static struct vm_config configs[CONFIG_VMS];
static struct config_switches switches;
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
    instance_inputs = (struct instance_inputs){
        .host_cpuid = &host_cpuid,
        .cpuid = {.tsc_hz = host_tsc_hz,
                  .apic_hz = 1000000000,
                  .flags =
                      (platform_is_emulated() ? CPUID_HOST_EMULATED : 0U) |
                      (vmx_uses(FEATURE_RDTSCP) ? CPUID_HOST_RDTSCP : 0U) |
                      (vmx_uses(FEATURE_INVPCID) ? CPUID_HOST_INVPCID : 0U) |
                      (vmx_uses(FEATURE_XSAVES) ? CPUID_HOST_XSAVES : 0U) |
                      (vmx_uses(FEATURE_USER_WAIT) ? CPUID_HOST_USER_WAIT : 0U) |
                      (host_speculation.mitigations & MITIGATION_SPEC_CTRL ? CPUID_HOST_SPECULATION
                                                                           : 0U),
                  .arch_capabilities = speculation_for_guests(host_arch_capabilities)},
        .vsock_host = &streams_host,
        .fail_entry = fail_entry,
        .images = images,
        .image_count = name_images(info),
    };
    uint64_t tsc;
    instance_inputs.wall_clock = hardware_wall_clock(&tsc);
    clock_init(&instance_inputs.clock, host_tsc_hz, tsc);
}

// The VM that runs without a vms.conf. The test device lets it end with its result.
static unsigned built_in_config(void)
{
    config_defaults(&configs[0]);
    configs[0].memory = UINT64_C(32) << 20;
    configs[0].cpus = MIN(cpu_online_count(), BUILT_IN_CPUS);
    configs[0].traits.testdev = true;
    format_text(configs[0].name, sizeof(configs[0].name), BUILT_IN_NAME);
    return 1;
}

static unsigned read_config(const struct boot_info *info)
{
    static struct notes errors;
    unsigned count = 0;
    const struct boot_module *module = bootinfo_find_module(info, CONFIG_FILE);
    if (!module)
        return built_in_config();
    status_t status = config_parse((const char *)module->start, module->end - module->start,
                                   configs, CONFIG_VMS, false, &count, &switches, &errors);
    notes_print(LOG_PRINTER(LOG_ERROR), "corbel: ", &errors);
    if (status != STATUS_OK)
        log_error("corbel: %s has errors: only the VMs without any are started\n", CONFIG_FILE);
    return count;
}

void start_vms(const struct boot_info *info, const char *fail_entry, uint64_t begin)
{
    struct explanation why;
    init_vms(info, fail_entry);
    unsigned count = read_config(info), started = 0;
    if (networks_init(&switches, &why) != STATUS_OK)
        log_error("corbel: %s: VMs with networks are not started\n", why.text);
    vms_init();
    for (unsigned i = 0; i < count; i++) {
        if (!configs[i].kernel[0] && !configs[i].traits.firmware)
            format_text(configs[i].kernel, sizeof(configs[i].kernel), BUILT_IN_NAME);
        if (vms_start(&configs[i], &why) == STATUS_OK)
            started++;
        else
            log_error("corbel: %s\n", why.text);
    }
    log_debug("corbel: %lu thousand cycles since the hand-over\n", (rdtsc() - begin) / 1000);
    if (started)
        log_info("corbel: ready: %u VM%s on %u CPU%s; Ctrl-A h helps\n", started,
                 started == 1 ? "" : "s", cpu_online_count(), cpu_online_count() == 1 ? "" : "s");
}
