// KVM's steal time: a record in guest memory, one for each vCPU, from which the guest learns how
// long the vCPU could have run and did not, and whether it runs just now. A vCPU that does not run
// need not be interrupted to flush its TLB: the others leave a word in its record.
#pragma once

#include "lib/bits.h"

#define MSR_KVM_STEAL_TIME 0x4b564d03
#define MSR_KVM_PV_EOI     0x4b564d04 // lapic_set_eoi_flag()

struct vcpu;

// A write to the MSR: the address of 64 aligned bytes, and bit 0 to enable it. Time counts from
// here on. False: they are not RAM, or a reserved bit is set.
MUST_CHECK bool kvmsteal_set(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now);

// Another state was loaded: without a record that is RAM there is none.
void kvmsteal_loaded(struct vcpu *vcpu);

// The CPU that is about to run the vCPU says so; vcpu->stolen is up to date. Asks for a flush of
// its TLB if somebody wanted one meanwhile. Before requests are served.
void kvmsteal_runs(struct vcpu *vcpu);

// The vCPU has left the guest, and will not come back without kvmsteal_runs().
void kvmsteal_leaves(struct vcpu *vcpu);
