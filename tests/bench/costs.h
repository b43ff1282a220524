// What the parts of the guest that measures costs share.
#pragma once

#include <stdint.h>

// The handler of a vector, without anything around it: trap_handlers[] would measure the guest.
void install(uint8_t vector, void (*handler)(void));

// One that counts in `seen`, and does nothing else but an EOI, in x2APIC mode.
void take(void);
extern volatile unsigned seen;

void choice_measure(void);
void disk_measure(void);
void net_measure(void);
