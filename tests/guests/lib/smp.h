// The other CPUs of a small guest: each waits, halted, for work.
#pragma once

#include "tests/guests/lib/interrupts.h"

#define SMP_CPUS   8
#define SMP_VECTOR 0xf0 // "there is work"

// CPUs by CPUID's leaf 0BH.
unsigned smp_count(void);

// INIT and start-up IPIs; whether the CPU came up, within some 20 ms. May be called again for one
// that runs.
bool smp_start(uint32_t apic_id);

// Has that CPU call work() and comes back at once; smp_wait() waits, some 20 ms at most, until it
// has returned.
void smp_begin(uint32_t apic_id, void (*work)(void));
bool smp_wait(uint32_t apic_id);
bool smp_run(uint32_t apic_id, void (*work)(void));
