// The groups of checks of the self-test guest, each in a file of its own.
#pragma once

#include "tests/guests/lib/guest.h"

void check_cpuid(void);
void check_msrs(void);
void check_control(void);
void check_faults(void);
void check_interrupts(void);
void check_board(void);
void check_debug(void);
void check_ports(void);
void check_mmio(void);
void check_user(void);
void check_time(void);
void check_smp(void);
