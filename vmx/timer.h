// The timers of a vCPU, in host time.
#pragma once

#include "vmx/vmx.h"

// Ticks what is due and arms the timer for what comes next. False: the slice is over.
bool timer_serve(struct vmx_vcpu *vcpu);

// An interrupt was made ready a little early: waits until its moment has come.
void timer_hold_entry(struct vmx_vcpu *vcpu);

// The preemption timer counts only while the guest runs: sets it right after a long time in root
// operation, or sees that the deadline has passed.
__attribute__((cold)) void timer_rearm(struct vmx_vcpu *vcpu);

// The host TSC at which a vCPU that waits wants to be looked at again (NEVER: only by an event).
uint64_t vcpu_next_deadline(struct vmx_vcpu *vcpu);
