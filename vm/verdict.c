// The names of the reasons for which a VM ends.

#include "vm/verdict.h"

const char *stop_reason_text(enum stop_reason reason)
{
    static const char *const text[STOP_REASONS] = {
        [STOP_NONE] = "running",
        [STOP_POWEROFF] = "powered off",
        [STOP_RESET] = "reset",
        [STOP_TRIPLE_FAULT] = "triple fault",
        [STOP_KILLED] = "killed",
        [STOP_DEBUG_EXIT] = "debug exit",
        [STOP_GUEST_PANIC] = "guest panic",
        [STOP_ENTRY_FAILED] = "VM entry failed",
        [STOP_UNKNOWN_EXIT] = "unknown exit",
        [STOP_UNEMULATED] = "instruction not emulated",
        [STOP_BAD_MEMORY] = "no memory there",
        [STOP_MACHINE_CHECK] = "machine check",
        [STOP_BUG] = "bug in Corbel",
    };
    return reason < STOP_REASONS ? text[reason] : "unknown";
}
