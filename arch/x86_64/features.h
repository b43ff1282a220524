// What every CPU of the machine has: hybrid ones and firmware's oversights make CPUs differ, and a
// vCPU moves between them.
#pragma once

#include "arch/x86_64/registers.h"

// Each CPU, once, before anybody asks.
void features_note(void);

// CPUID of this CPU, without the features that another CPU lacks.
struct cpuid_result features_common(uint32_t leaf, uint32_t subleaf);
