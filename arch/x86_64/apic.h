// The local APIC of the CPU that we run on, in whichever mode the firmware left it (x2APIC is kept,
// and taken where an APIC id needs it). SDM: "Advanced Programmable Interrupt Controller (APIC)".
#pragma once

#include "lib/bits.h"

// Once, on the first CPU: finds the mode. `base` is where MMIO registers are mapped; `need_x2apic`
// when some CPU's id does not fit xAPIC.
void apic_init(uint64_t base, bool need_x2apic);

// On each CPU: enabled, all local interrupts masked, spurious vector set.
void apic_enable(void);
uint32_t apic_id(void);
void apic_eoi(void);

// To one CPU, named by its APIC id (physical destination): the vector of an interrupt, or one of
// these; a startup with the number of its page.
#define APIC_NMI     UINT32_C(0x400)
#define APIC_INIT    UINT32_C(0x500)
#define APIC_STARTUP UINT32_C(0x600)
void apic_send(uint32_t id, uint32_t command);
void apic_stop_others(void); // NMI to all the CPUs that are online, for a panic

// Once, on the first CPU: whether all may use TSC deadlines. False: the CPU has them, and they come
// at the wrong time.
bool apic_timer_try_deadline(uint64_t tsc_hz);

// The timer interrupts this CPU (VECTOR_TIMER) at or after the given TSC. apic_timer_init() needs
// the TSC's frequency and, without TSC-deadline mode, measures the timer's own.
void apic_timer_init(uint64_t tsc_hz);
void apic_timer_arm(uint64_t tsc);
void apic_timer_stop(void);
