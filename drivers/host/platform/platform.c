// The machine that the boot code found: see platform.h.

#include "drivers/host/platform/platform.h"

#include "arch/x86_64/registers.h"
#include "lib/string.h"

struct acpi_info platform_acpi;

static bool is_virtual(void)
{
    return cpuid(1, 0).ecx & BIT32(31);
}

bool platform_is_emulated(void)
{
    return !is_virtual() && memcmp(platform_acpi.oem, "BOCHS ", 6) == 0;
}

bool platform_is_real(void)
{
    return !is_virtual() && !platform_is_emulated();
}
