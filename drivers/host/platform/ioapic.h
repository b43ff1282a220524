// The host's I/O APICs: which interrupt line goes to which CPU and vector. Boot code adds them;
// callers serialize.
#pragma once

#include "drivers/host/acpi/acpi.h"

// Takes over the I/O APIC whose registers are mapped (uncacheable) at `base` and whose first pin is
// `gsi_base`; masks all its pins. STATUS_INVALID: there is none. STATUS_FULL: too many.
status_t ioapic_add(volatile void *base, uint32_t gsi_base);

// Sends `route` (from acpi_isa_route()) as a fixed interrupt `vector` (32 to 255) to the CPU
// `apic_id`, and unmasks it. STATUS_NOT_FOUND: no I/O APIC has that GSI. STATUS_RANGE: the APIC id
// does not fit into its 8 bits.
status_t ioapic_route(struct acpi_route route, uint8_t vector, uint32_t apic_id);

// The same for the ISA interrupt 0 to 15 of this machine.
status_t ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id);

void ioapic_mask_all(void);
