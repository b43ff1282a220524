// Power-off and reset: see power.h. ACPI Specification, "Sleeping States" and "Reset Register".

#include "drivers/host/platform/power.h"
#include "arch/x86_64/io.h"
#include "drivers/host/platform/tsc.h"

#define PM1_SCI_ENABLE BIT32(0)
#define PM1_SLEEP_TYPE (7U << 10)
#define PM1_SLEEP      BIT32(13)

#define SLEEP_CONTROL_TYPE(type) ((uint32_t)(type) << 2)
#define SLEEP_CONTROL_SLEEP      BIT32(5)

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define RESET_PORT  0xcf9

#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET   0xfe // pulse the CPU's reset line
#define KEYBOARD_BUSY    0x02

#define SETTLE_US 100000U // how long a machine may take to go

// A register of memory is taken as mapped where it is, in the first 4 GiB.
static bool is_reachable(const struct acpi_register *reg)
{
    return reg->width != 0 && reg->space != ACPI_PCI_CONFIG && reg->address <= UINT32_MAX;
}

static uint32_t register_read16(const struct acpi_register *reg)
{
    if (reg->space == ACPI_IO)
        return in16((uint16_t)reg->address);
    return mmio_read32((const volatile void *)(uintptr_t)reg->address, 0) & 0xffff;
}

static void register_write16(const struct acpi_register *reg, uint32_t value)
{
    if (reg->space == ACPI_IO)
        out16((uint16_t)reg->address, (uint16_t)value);
    else
        mmio_write32((volatile void *)(uintptr_t)reg->address, 0, value);
}

static void register_write8(const struct acpi_register *reg, uint8_t value)
{
    if (reg->space == ACPI_IO)
        out8((uint16_t)reg->address, value);
    else
        mmio_write8((volatile void *)(uintptr_t)reg->address, 0, value);
}

static void pm1_sleep(const struct acpi_register *control, uint8_t type)
{
    uint32_t value = register_read16(control) & ~(PM1_SLEEP_TYPE | (uint32_t)PM1_SLEEP);
    value |= (uint32_t)type << 10;
    // The type first: some chipsets take it only from a write before the one that acts.
    register_write16(control, value);
    register_write16(control, value | PM1_SLEEP);
}

// Asks the firmware to hand the PM1 registers over, and waits up to a second for it.
static void enter_acpi_mode(const struct acpi_info *acpi)
{
    const struct acpi_register *control = &acpi->pm1a_control;
    if (acpi->smi_command == 0 || acpi->acpi_enable == 0 ||
        (register_read16(control) & PM1_SCI_ENABLE) != 0)
        return;
    out8((uint16_t)acpi->smi_command, acpi->acpi_enable);
    for (int i = 0; i < 100 && (register_read16(control) & PM1_SCI_ENABLE) == 0; i++)
        tsc_wait(10000);
}

static void sleep_s5(const struct acpi_info *acpi)
{
    if (!acpi->s5.is_known)
        return;
    if (acpi->is_hardware_reduced) {
        if (is_reachable(&acpi->sleep_control))
            register_write8(&acpi->sleep_control, (uint8_t)(SLEEP_CONTROL_TYPE(acpi->s5.pm1a) |
                                                            (uint32_t)SLEEP_CONTROL_SLEEP));
        tsc_wait(SETTLE_US);
        return;
    }
    if (!is_reachable(&acpi->pm1a_control))
        return;
    // First without an SMI, which is enough on most machines; then as the book has it.
    for (int with_smi = 0; with_smi < 2; with_smi++) {
        if (with_smi)
            enter_acpi_mode(acpi);
        pm1_sleep(&acpi->pm1a_control, acpi->s5.pm1a);
        if (is_reachable(&acpi->pm1b_control))
            pm1_sleep(&acpi->pm1b_control, acpi->s5.pm1b);
        tsc_wait(SETTLE_US * 10);
    }
}

// The vendor and device of PCI function 0 of device `device` on bus 0; all ones if there is none.
static uint32_t pci_identity(uint32_t device)
{
    out32(PCI_ADDRESS, (uint32_t)BIT(31) | device << 11);
    return in32(PCI_DATA);
}

#define HOST_I440FX 0x12378086U
#define HOST_Q35    0x29c08086U

// Emulators put the PM registers of these chipsets where no board has them.
static void power_off_emulator(void)
{
    uint32_t host = pci_identity(0);
    if (host == HOST_I440FX || host == HOST_Q35) {
        out16(0x604, PM1_SLEEP);  // QEMU
        out16(0xb004, PM1_SLEEP); // Bochs, and QEMU of old
    }
    // Bochs without PCI; nothing else listens there.
    for (const char *word = "Shutdown"; *word != '\0'; word++)
        out8(0x8900, (uint8_t)*word);
    tsc_wait(SETTLE_US);
}

void power_off(const struct acpi_info *acpi)
{
    if (acpi->has_fadt)
        sleep_s5(acpi);
    power_off_emulator();
}

static void reset_by_acpi(const struct acpi_info *acpi)
{
    const struct acpi_register *reset = &acpi->reset;
    if (reset->width == 0)
        return;
    if (is_reachable(reset)) {
        register_write8(reset, acpi->reset_value);
    } else if (reset->space == ACPI_PCI_CONFIG) {
        // Bus 0: device in bits 47-32, function in 31-16, offset in 15-0.
        uint32_t device = (uint32_t)(reset->address >> 32) & 0x1f;
        uint32_t function = (uint32_t)(reset->address >> 16) & 7;
        uint32_t offset = (uint32_t)reset->address & 0xff;
        out32(PCI_ADDRESS, (uint32_t)BIT(31) | device << 11 | function << 8 | (offset & 0xfc));
        out8((uint16_t)(PCI_DATA + (offset & 3)), acpi->reset_value);
    }
    tsc_wait(SETTLE_US);
}

__attribute__((noreturn)) static void triple_fault(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
    for (;;)
        __asm__ volatile("cli; hlt");
}

void power_reset(const struct acpi_info *acpi)
{
    if (acpi->has_fadt)
        reset_by_acpi(acpi);
    // Bit 1 asks for a hard reset, bit 2 does it on its rising edge.
    out8(RESET_PORT, 0x02);
    out8(RESET_PORT, 0x06);
    tsc_wait(SETTLE_US);
    for (int i = 0; i < 100 && (in8(KEYBOARD_COMMAND) & KEYBOARD_BUSY) != 0; i++)
        tsc_wait(100);
    out8(KEYBOARD_COMMAND, KEYBOARD_RESET);
    tsc_wait(SETTLE_US);
    triple_fault();
}
