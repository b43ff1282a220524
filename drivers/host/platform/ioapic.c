// The host's I/O APICs: see ioapic.h. Registers are reached by an index and a data window, always
// 32 bits wide.

#include "drivers/host/platform/ioapic.h"
#include "arch/x86_64/io.h"
#include "drivers/host/platform/platform.h"

#define WINDOW_INDEX 0x00
#define WINDOW_DATA  0x10

enum ioapic_register { IOAPIC_VERSION = 1, IOAPIC_REDIRECTION = 0x10 };

#define VERSION_LAST_PIN  (0xffU << 16)
#define ENTRY_DELIVERY    (7U << 8)
#define DELIVERY_SMI      2U
#define ENTRY_ACTIVE_LOW  BIT32(13)
#define ENTRY_LEVEL       BIT32(15)
#define ENTRY_MASKED      BIT32(16)
#define ENTRY_DESTINATION 24 // in the upper half

static struct ioapic {
    volatile void *base;
    uint32_t gsi_base;
    uint32_t pins;
} ioapics[ACPI_IOAPICS_MAX];

static uint32_t ioapic_count;

static uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t index)
{
    mmio_write32(ioapic->base, WINDOW_INDEX, index);
    return mmio_read32(ioapic->base, WINDOW_DATA);
}

static void ioapic_write(const struct ioapic *ioapic, uint32_t index, uint32_t value)
{
    mmio_write32(ioapic->base, WINDOW_INDEX, index);
    mmio_write32(ioapic->base, WINDOW_DATA, value);
}

static void mask_pin(const struct ioapic *ioapic, uint32_t pin)
{
    uint32_t index = IOAPIC_REDIRECTION + 2 * pin;
    uint32_t low = ioapic_read(ioapic, index);
    // SMIs are the firmware's business.
    if (FIELD_GET(ENTRY_DELIVERY, low) != DELIVERY_SMI)
        ioapic_write(ioapic, index, low | ENTRY_MASKED);
}

static void mask_pins(const struct ioapic *ioapic)
{
    for (uint32_t pin = 0; pin < ioapic->pins; pin++)
        mask_pin(ioapic, pin);
}

static const struct ioapic *ioapic_of(uint32_t gsi)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].pins)
            return &ioapics[i];
    }
    return NULL;
}

status_t ioapic_add(volatile void *base, uint32_t gsi_base)
{
    if (ioapic_count == ACPI_IOAPICS_MAX)
        return STATUS_FULL;
    struct ioapic ioapic = {base, gsi_base, 0};
    uint32_t version = ioapic_read(&ioapic, IOAPIC_VERSION);
    if (version == 0 || version == UINT32_MAX)
        return STATUS_INVALID;
    ioapic.pins = FIELD_GET(VERSION_LAST_PIN, version) + 1;
    // The index has 8 bits.
    ioapic.pins = MIN(ioapic.pins, (0x100U - IOAPIC_REDIRECTION) / 2);
    mask_pins(&ioapic);
    ioapics[ioapic_count++] = ioapic;
    return STATUS_OK;
}

status_t ioapic_route(struct acpi_route route, uint8_t vector, uint32_t apic_id)
{
    const struct ioapic *ioapic = ioapic_of(route.gsi);
    if (ioapic == NULL)
        return STATUS_NOT_FOUND;
    if (apic_id > 0xfe)
        return STATUS_RANGE;
    uint32_t index = IOAPIC_REDIRECTION + 2 * (route.gsi - ioapic->gsi_base);
    uint32_t low = vector;
    if (route.is_active_low)
        low |= ENTRY_ACTIVE_LOW;
    if (route.is_level)
        low |= ENTRY_LEVEL;
    // Masked while its halves do not belong together.
    ioapic_write(ioapic, index, ENTRY_MASKED);
    ioapic_write(ioapic, index + 1, apic_id << ENTRY_DESTINATION);
    ioapic_write(ioapic, index, low);
    return STATUS_OK;
}

status_t ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id)
{
    return ioapic_route(acpi_isa_route(&platform_acpi, irq), vector, apic_id);
}

void ioapic_mask_all(void)
{
    for (uint32_t i = 0; i < ioapic_count; i++)
        mask_pins(&ioapics[i]);
}
