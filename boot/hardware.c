// Finding the machine.

#include "boot/hardware.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "control/tasks.h"
#include "boot/info/topology.h"
#include "drivers/host/console/console.h"
#include "drivers/host/platform/ioapic.h"
#include "drivers/host/platform/pic.h"
#include "drivers/host/platform/platform.h"
#include "drivers/host/platform/rtc.h"
#include "drivers/host/platform/tsc.h"
#include "lib/log.h"
#include "mm/paging.h"
#include "vmx/vmx.h"

#define APIC_BASE_ADDRESS BITS(51, 12)

// Everything below 4 GiB is mapped already; tables may lie above it.
static const void *map_table(void *context, uint64_t physical, uint64_t length)
{
    if (physical == 0 || physical + length < physical || physical + length > BIT(46))
        return NULL;
    if (physical + length > UINT64_C(4) << 30)
        return paging_map(hpa(physical), length, CACHE_WB);
    return (const void *)physical;
}

static void number_cpus(bool nosmt)
{
    uint32_t apic_id[CPUS];
    struct topology_rules rules = {
        .own = cpuid(1, 0).ebx >> 24,
        .core_shift = cpu_core_shift(),
        .has_x2apic = cpuid(1, 0).ecx & BIT32(21),
        .nosmt = nosmt,
    };
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx)
        rules.own = cpuid(0xb, 0).edx;
    cpu_count = topology_choose(&rules, platform_acpi.apic_ids, platform_acpi.cpu_count, apic_id,
                                &platform_acpi.notes);
    for (unsigned i = 0; i < cpu_count; i++) {
        cpus[i].index = i;
        cpus[i].apic_id = apic_id[i];
    }
}

void hardware_read_tables(const struct boot_info *info, bool nosmt)
{
    // GRUB has looked everywhere that a BIOS may have it.
    if (info->rsdp_size)
        (void)acpi_parse(&platform_acpi, info->rsdp, info->rsdp_size, map_table, NULL);
    number_cpus(nosmt);
    notes_print(LOG_PRINTER(LOG_WARNING), "acpi: ", &platform_acpi.notes);
}

status_t hardware_calibrate(void)
{
    struct explanation why;
    volatile void *hpet = NULL;
    if (platform_acpi.has_hpet)
        hpet = paging_map(hpa(platform_acpi.hpet_address), PAGE_SIZE, CACHE_UC);
    host_tsc_hz = tsc_calibrate(&platform_acpi, hpet, &why);
    log_debug("tsc: %s\n", why.text);
    return host_tsc_hz ? STATUS_OK : STATUS_NOT_FOUND;
}

// The console is read by the operator's task: the interrupt only wakes that.
static void console_interrupt(void)
{
    task_wake(&operator_task);
    apic_eoi();
}

// The lines of the host's devices: all masked but the console's.
static void route_lines(void)
{
    pic_disable(VECTOR_PIC);
    for (unsigned i = 0; i < platform_acpi.ioapic_count; i++) {
        const struct acpi_ioapic *ioapic = &platform_acpi.ioapics[i];
        if (ioapic_add(paging_map(hpa(ioapic->address), PAGE_SIZE, CACHE_UC), ioapic->gsi_base) !=
            STATUS_OK)
            log_warning("ioapic: none answers at %#lx\n", ioapic->address);
    }
    ioapic_mask_all();
    int irq = console_interrupt_line();
    if (irq >= 0 && ioapic_route_isa((uint8_t)irq, VECTOR_UART, cpus[0].apic_id) == STATUS_OK)
        console_receive_interrupt(true);
}

void hardware_start_interrupts(void)
{
    bool need_x2apic = false;
    for (unsigned i = 0; i < cpu_count; i++)
        need_x2apic = need_x2apic || cpus[i].apic_id > 254;
    uint64_t base = rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
    apic_init((uintptr_t)paging_map(hpa(base), PAGE_SIZE, CACHE_UC), need_x2apic);
    apic_enable();
    cpus[0].apic_id = apic_id();
    if (!apic_timer_try_deadline(host_tsc_hz))
        log_warning("apic: TSC deadlines come at the wrong time: not used; newer "
                    "microcode may help\n");
    apic_timer_init(host_tsc_hz);
    interrupt_set_handler(VECTOR_TIMER, apic_eoi);
    interrupt_set_handler(VECTOR_UART, console_interrupt);
    interrupt_set_handler(VECTOR_POSTED, apic_eoi); // it came too late: the requests say why
    route_lines();
}

uint64_t hardware_wall_clock(uint64_t *tsc)
{
    uint64_t seconds = rtc_read(platform_acpi.rtc_century);
    *tsc = rdtsc();
    return seconds;
}
