// The clocks that a PC may have: see clocks.h. ACPI Specification, "Power Management Timer"; IA-PC
// HPET Specification, "Register Overview"; the 8254's data sheet.

#include "drivers/host/platform/clocks.h"
#include "arch/x86_64/io.h"

// ---- the ACPI power-management timer ----

#define PMTIMER_HZ 3579545U

static uint32_t pmtimer_read_port(void *context)
{
    const struct acpi_register *timer = context;
    return in32((uint16_t)timer->address);
}

static uint32_t pmtimer_read_memory(void *context)
{
    const struct acpi_register *timer = context;
    return mmio_read32((const volatile void *)(uintptr_t)timer->address, 0);
}

bool pmtimer_clock(const struct acpi_info *acpi, struct reference_clock *clock)
{
    const struct acpi_register *timer = &acpi->pm_timer;
    if (timer->width == 0 || timer->space == ACPI_PCI_CONFIG || timer->address > UINT32_MAX)
        return false;
    *clock = (struct reference_clock){
        .name = "the ACPI PM timer",
        .read = timer->space == ACPI_IO ? pmtimer_read_port : pmtimer_read_memory,
        .context = (void *)(uintptr_t)timer,
        .hz = PMTIMER_HZ,
        .mask = acpi->pm_timer_is_32_bit ? 0xffffffffU : 0xffffffU,
    };
    return true;
}

// ---- the HPET ----

#define HPET_PERIOD          0x04 // in femtoseconds
#define HPET_CONFIGURATION   0x10
#define HPET_COUNTER         0xf0
#define CONFIGURATION_ENABLE BIT32(0)
#define CONFIGURATION_LEGACY BIT32(1)
#define PERIOD_LONGEST       100000000U // 100 ns, by the specification
#define PERIOD_SHORTEST      1000000U   // 1 GHz: nothing real is faster
#define FEMTOSECONDS         UINT64_C(1000000000000000)

static uint32_t hpet_read(void *context)
{
    return mmio_read32(context, HPET_COUNTER);
}

bool hpet_clock(volatile void *base, struct reference_clock *clock)
{
    uint32_t period = mmio_read32(base, HPET_PERIOD);
    if (period < PERIOD_SHORTEST || period > PERIOD_LONGEST)
        return false;
    uint32_t configuration = mmio_read32(base, HPET_CONFIGURATION);
    configuration = (configuration | CONFIGURATION_ENABLE) & ~(uint32_t)CONFIGURATION_LEGACY;
    mmio_write32(base, HPET_CONFIGURATION, configuration);
    *clock = (struct reference_clock){
        .name = "the HPET",
        .read = hpet_read,
        .context = (void *)(uintptr_t)base,
        .hz = FEMTOSECONDS / period,
        .mask = 0xffffffffU,
    };
    return true;
}

// ---- the PIT's channel 2 ----

#define PIT_HZ        1193182U
#define PIT_CHANNEL_2 0x42
#define PIT_COMMAND   0x43
#define PORT_B        0x61

#define COMMAND_RATE_GENERATOR 0xb4 // channel 2, low then high byte, mode 2
#define COMMAND_LATCH          0x80 // channel 2
#define PORT_B_GATE            0x01U
#define PORT_B_SPEAKER         0x02U
#define PORT_B_WRITABLE        0x0fU

static uint32_t pit_read(void *context)
{
    out8(PIT_COMMAND, COMMAND_LATCH);
    uint32_t low = in8(PIT_CHANNEL_2);
    uint32_t high = in8(PIT_CHANNEL_2);
    // It counts down.
    return ~(high << 8 | low) & 0xffff;
}

static void pit_set_gate(bool open)
{
    uint8_t value = in8(PORT_B) & PORT_B_WRITABLE & (uint8_t) ~(PORT_B_GATE | PORT_B_SPEAKER);
    out8(PORT_B, open ? value | PORT_B_GATE : value);
}

void pit_clock(struct reference_clock *clock)
{
    pit_set_gate(true);
    out8(PIT_COMMAND, COMMAND_RATE_GENERATOR);
    // 0 means 65536: the counter runs through all its values.
    out8(PIT_CHANNEL_2, 0);
    out8(PIT_CHANNEL_2, 0);
    *clock =
        (struct reference_clock){.name = "the PIT", .read = pit_read, .hz = PIT_HZ, .mask = 0xffff};
}

void pit_stop(void)
{
    pit_set_gate(false);
}
