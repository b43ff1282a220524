// Finding the machine around the CPUs: what its firmware describes, its clocks and interrupt
// controllers.
#pragma once

#include "boot/info/bootinfo.h"

// Reads the ACPI tables; numbers the CPUs (the one that runs is CPU 0) in cpus[] and sets
// cpu_count. Problems are warnings in the log: a machine without tables has one CPU. `nosmt`: one
// thread of each core.
void hardware_read_tables(const struct boot_info *info, bool nosmt);

// Sets host_tsc_hz against a clock that the machine has. STATUS_NOT_FOUND: none answers.
MUST_CHECK status_t hardware_calibrate(void);

// Local APIC of this CPU on, 8259s masked, I/O APICs masked, the console's receive interrupt
// routed.
void hardware_start_interrupts(void);

// The RTC's time, seconds since 1970, as of the TSC in *tsc.
uint64_t hardware_wall_clock(uint64_t *tsc);
