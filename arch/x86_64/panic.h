// The end of the machine, in words: registers, the symbol that faulted, a backtrace.
#pragma once

#include "arch/x86_64/traps.h"
#include "lib/print.h"

// Where panics print and how that output is forced out of its buffers. Until it is called they are
// silent.
void panic_set_output(struct printer *printer, void (*flush)(void));

// Called last, with everything printed: switches the machine off where the settings say so.
void panic_set_end(void (*end)(void));

// All other CPUs are stopped by an NMI, which ends here.
bool panic_in_progress(void);
__attribute__((noreturn)) void panic_halt(void);
__attribute__((noreturn)) void panic_trap(const struct trap_frame *frame);
__attribute__((noreturn)) void panic_machine_check(const char *when);

// Prints "name+offset" of the function at `address`.
void print_symbol(struct printer *to, uint64_t address);
