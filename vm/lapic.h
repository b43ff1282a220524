// The local APIC of a vCPU, xAPIC and x2APIC. SDM: "Advanced Programmable Interrupt Controller (APIC)".
#pragma once

#include "lib/bits.h"

struct lapic {
    uint64_t base; // IA32_APIC_BASE
};
