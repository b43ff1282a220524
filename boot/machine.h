// The machine around the CPUs: what its firmware describes, its clocks, interrupt controllers and
// power switch.
#pragma once

#include "boot/bootinfo.h"
#include "boot/options.h"

// Reads the ACPI tables; numbers the CPUs (the one that runs is CPU 0) in cpus[] and sets
// cpu_count. Problems are warnings in the log: a machine without tables has one CPU. `nosmt`: one
// thread of each core.
void machine_read_tables(const struct boot_info *info, bool nosmt);

// Sets host_tsc_hz against a clock that the machine has. STATUS_NOT_FOUND: none answers.
MUST_CHECK status_t machine_calibrate(void);

// Local APIC of this CPU on, 8259s masked, I/O APICs masked, the console's receive interrupt
// routed.
void machine_start_interrupts(void);

// Routes the ISA interrupt of a serial line to CPU 0, whose loop then looks around. False: no I/O
// APIC has it.
bool machine_route_input(uint8_t irq);

// The RTC's time, seconds since 1970, as of the TSC in *tsc.
uint64_t machine_wall_clock(uint64_t *tsc);

// An emulated CPU (Bochs), whose known errors are kept from guests.
bool machine_is_emulated(void);

// Says how it ended, in the word that tools wait for ("poweroff", "refused", ...), then ends the
// machine: off, by ACPI where that works, after "poweroff"; else there is something for a person to
// read, and a real machine with a screen halts, so that it stays there. machine_set_end() overrules
// that.
__attribute__((noreturn)) void machine_finish(const char *how);
void machine_set_end(enum boot_end end);

// The same after a panic, which has said it.
__attribute__((noreturn)) void machine_end(void);
