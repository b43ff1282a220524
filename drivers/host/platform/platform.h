// What the firmware's tables say of this machine: read once by the boot code, constant afterwards.
#pragma once

#include "drivers/host/acpi/acpi.h"

extern struct acpi_info platform_acpi;

// Bochs, whose known errors are kept from guests.
bool platform_is_emulated(void);

// Neither Bochs nor a machine with a hypervisor that shows itself below us.
bool platform_is_real(void);
