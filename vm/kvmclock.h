// KVM's paravirtual clock: a page from which a guest computes VM time out of its TSC, and the wall
// clock at VM time 0. Every vCPU's page has the same scale and the same origin, so all of them
// agree.
#pragma once

#include "lib/bits.h"

#define MSR_KVM_WALL_CLOCK_OLD  0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12
#define MSR_KVM_WALL_CLOCK      0x4b564d00
#define MSR_KVM_SYSTEM_TIME     0x4b564d01

struct vcpu;

// A write to the MSR of the clock page: its address, and bit 0 to enable it. False: the page is not
// RAM.
MUST_CHECK bool kvmclock_set_system(struct vcpu *vcpu, uint32_t index, uint64_t value,
                                    uint64_t now);

// A write to the MSR of the wall clock: writes it there, once. False: not RAM.
MUST_CHECK bool kvmclock_set_wall(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now);

// Writes the clock page anew, if there is one: after REQUEST_CLOCK.
void kvmclock_update(struct vcpu *vcpu);
