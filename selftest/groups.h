// The groups of checks of the self-test guest, each in a file of its own.
#pragma once

#include "tests/guests/lib/guest.h"

void check_cpuid(void);
void check_msrs(void);
void check_control(void);
void check_faults(void);
