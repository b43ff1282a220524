// The ACPI power-management timer: see pmtimer.h.

#include "drivers/host/pmtimer.h"
#include "arch/x86_64/io.h"

static uint32_t read_port(void *context)
{
    const struct acpi_info *acpi = context;
    return in32((uint16_t)acpi->pm_timer.address);
}

static uint32_t read_memory(void *context)
{
    const struct acpi_info *acpi = context;
    return mmio_read32((const volatile void *)(uintptr_t)acpi->pm_timer.address, 0);
}

bool pmtimer_clock(const struct acpi_info *acpi, struct reference_clock *clock)
{
    const struct acpi_register *timer = &acpi->pm_timer;
    if (timer->width == 0 || timer->space == ACPI_PCI_CONFIG || timer->address > UINT32_MAX)
        return false;
    *clock = (struct reference_clock){
        .name = "the ACPI PM timer",
        .read = timer->space == ACPI_IO ? read_port : read_memory,
        .context = (void *)(uintptr_t)acpi,
        .hz = PMTIMER_HZ,
        .mask = acpi->pm_timer_is_32_bit ? 0xffffffffU : 0xffffffU,
    };
    return true;
}
