// The machine's end.
#pragma once

#include "boot/info/options.h"

// What `end=` asks for, from now on.
void shutdown_set(enum boot_end end);

// Says how it ended, in the word that tools wait for ("poweroff", "refused", ...), then ends the
// machine: off, by ACPI where that works, after "poweroff"; else there is something for a person to
// read, and a real machine with a screen halts, so that it stays there. shutdown_set() overrules
// that.
__attribute__((noreturn)) void shutdown_machine(const char *how);

// The same after a panic, which has said it.
__attribute__((noreturn)) void shutdown_after_panic(void);
