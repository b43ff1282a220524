// The local APIC of a vCPU, xAPIC and x2APIC. SDM: "Advanced Programmable Interrupt Controller
// (APIC)".
#pragma once

#include "lib/bits.h"

struct lapic {
    uint64_t base; // IA32_APIC_BASE
};

struct vcpu;
struct access;

// Whether the vCPU's local APIC answers at this guest-physical address (xAPIC mode, its page); and
// one access to it, whose `offset` is the absolute address.
bool lapic_mmio_claims(const struct vcpu *vcpu, uint64_t gpa);
void lapic_mmio_access(struct vcpu *vcpu, struct access *access);
