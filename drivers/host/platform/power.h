// The ends of the machine: switching off and resetting.
#pragma once

#include "drivers/host/acpi/acpi.h"

// Switches the machine off: by ACPI's S5; where ACPI does not say how, or it did not work, by the
// ports of known emulators. Returns only if nothing worked (after about 3 s).
// Call on one CPU with interrupts off and the others stopped.
void power_off(const struct acpi_info *acpi);

// Resets the machine: by ACPI's reset register, port CF9, the keyboard controller, and at last a
// triple fault.
__attribute__((noreturn)) void power_reset(const struct acpi_info *acpi);
