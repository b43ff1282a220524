// The machine's end: off, reset, or halted with the reason on its screen.

#include "control/shutdown.h"

#include "arch/x86_64/panic.h"
#include "control/consoles.h"
#include "drivers/host/console/console.h"
#include "drivers/host/platform/platform.h"
#include "drivers/host/platform/power.h"
#include "lib/log.h"
#include "lib/string.h"
#include "vmx/root.h"

static enum boot_end end_wanted;

// Where nothing works, the CPU halts.
__attribute__((noreturn)) static void power_off_or_halt(void)
{
    power_off(&platform_acpi);
    panic_halt();
}

void shutdown_set(enum boot_end end)
{
    end_wanted = end;
}

static bool stays_on(void)
{
    return end_wanted == END_HALT ||
           (end_wanted != END_OFF && platform_is_real() && console_has_screen());
}

void shutdown_after_panic(void)
{
    if (end_wanted == END_RESET) {
        root_leave();
        power_reset(&platform_acpi);
    }
    if (stays_on())
        panic_halt();
    power_off_or_halt();
}

void shutdown_machine(const char *how)
{
    bool is_good = strcmp(how, "poweroff") == 0;
    if (!is_good && stays_on())
        log_info("corbel: halted, so that this stays on the screen: switch off by the button\n");
    log_info("corbel: end: %s\n", how);
    consoles_show_log();
    console_flush();
    if (is_good)
        power_off_or_halt();
    shutdown_after_panic();
}
