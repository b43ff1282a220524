// Finding the machine.

#include "boot/machine.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/numbering.h"
#include "drivers/host/acpi.h"
#include "drivers/host/console.h"
#include "drivers/host/ioapic.h"
#include "drivers/host/pic.h"
#include "drivers/host/power.h"
#include "drivers/host/rtc.h"
#include "drivers/host/tsc.h"
#include "lib/string.h"
#include "mm/paging.h"
#include "vmx/loop.h"
#include "vmx/machine.h"
#include "vmx/root.h"

#define APIC_BASE_ADDRESS BITS(51, 12)

static struct acpi_info acpi;
static enum boot_end end_wanted;

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
    struct numbering rules = {
        .own = cpuid(1, 0).ebx >> 24,
        .core_shift = cpu_core_shift(),
        .has_x2apic = cpuid(1, 0).ecx & BIT32(21),
        .nosmt = nosmt,
    };
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx)
        rules.own = cpuid(0xb, 0).edx;
    cpu_count = numbering_choose(&rules, acpi.apic_ids, acpi.cpu_count, apic_id, &acpi.notes);
    for (unsigned i = 0; i < cpu_count; i++) {
        cpus[i].index = i;
        cpus[i].apic_id = apic_id[i];
    }
}

void machine_read_tables(const struct boot_info *info, bool nosmt)
{
    // GRUB has looked everywhere that a BIOS may have it.
    if (info->rsdp_size)
        (void)acpi_parse(&acpi, info->rsdp, info->rsdp_size, map_table, NULL);
    number_cpus(nosmt);
    notes_print(&consoles.printer, "acpi: ", &acpi.notes);
}

status_t machine_calibrate(void)
{
    struct explanation why;
    volatile void *hpet =
        acpi.has_hpet ? paging_map(hpa(acpi.hpet_address), PAGE_SIZE, CACHE_UC) : NULL;
    host_tsc_hz = tsc_calibrate(&acpi, hpet, &why);
    tell("tsc: %s\n", why.text);
    return host_tsc_hz ? STATUS_OK : STATUS_NOT_FOUND;
}

// The console is read by the CPU's loop: the interrupt only ends a slice or wakes the CPU.
static void console_interrupt(void)
{
    loop_attend();
    apic_eoi();
}

bool machine_route_input(uint8_t irq)
{
    return ioapic_route(acpi_isa_route(&acpi, irq), VECTOR_UART, cpus[0].apic_id) == STATUS_OK;
}

// The lines of the host's devices: all masked but the console's.
static void route_lines(void)
{
    pic_disable(VECTOR_PIC);
    for (unsigned i = 0; i < acpi.ioapic_count; i++) {
        const struct acpi_ioapic *ioapic = &acpi.ioapics[i];
        if (ioapic_add(paging_map(hpa(ioapic->address), PAGE_SIZE, CACHE_UC), ioapic->gsi_base) !=
            STATUS_OK)
            tell("ioapic: none answers at %#lx\n", ioapic->address);
    }
    ioapic_mask_all();
    int irq = console_interrupt_line();
    if (irq >= 0 && machine_route_input((uint8_t)irq))
        console_receive_interrupt(true);
}

void machine_start_interrupts(void)
{
    bool need_x2apic = false;
    for (unsigned i = 0; i < cpu_count; i++)
        need_x2apic = need_x2apic || cpus[i].apic_id > 254;
    uint64_t base = rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
    apic_init((uintptr_t)paging_map(hpa(base), PAGE_SIZE, CACHE_UC), need_x2apic);
    apic_enable();
    cpus[0].apic_id = apic_id();
    if (!apic_timer_try_deadline(host_tsc_hz))
        tell("apic: TSC deadlines come at the wrong time: not used; newer "
             "microcode may help\n");
    apic_timer_init(host_tsc_hz);
    interrupt_set_handler(VECTOR_TIMER, apic_eoi);
    interrupt_set_handler(VECTOR_UART, console_interrupt);
    interrupt_set_handler(VECTOR_POSTED, apic_eoi); // it came too late: the requests say why
    route_lines();
}

uint64_t machine_wall_clock(uint64_t *tsc)
{
    uint64_t seconds = rtc_read(acpi.rtc_century);
    *tsc = rdtsc();
    return seconds;
}

bool machine_is_emulated(void)
{
    return !(cpuid(1, 0).ecx & BIT32(31)) && memcmp(acpi.oem, "BOCHS ", 6) == 0;
}

// Where nothing works, the CPU halts.
__attribute__((noreturn)) static void power_off_or_halt(void)
{
    power_off(&acpi);
    panic_halt();
}

void machine_set_end(enum boot_end end)
{
    end_wanted = end;
}

// No hypervisor shows itself below us, and this is not Bochs.
static bool is_real(void)
{
    return !(cpuid(1, 0).ecx & BIT32(31)) && !machine_is_emulated();
}

static bool stays_on(void)
{
    return end_wanted == END_HALT || (end_wanted != END_OFF && is_real() && console_has_screen());
}

void machine_end(void)
{
    if (end_wanted == END_RESET) {
        root_leave();
        power_reset(&acpi);
    }
    if (stays_on())
        panic_halt();
    power_off_or_halt();
}

void machine_finish(const char *how)
{
    bool is_good = strcmp(how, "poweroff") == 0;
    if (!is_good && stays_on())
        tell("corbel: halted, so that this stays on the screen: switch off by the button\n");
    tell("corbel: end: %s\n", how);
    console_flush();
    if (is_good)
        power_off_or_halt();
    machine_end();
}
