// Guest state between the VMCS, the CPU's registers and struct vcpu, by the groups of vm/exit.h.
#pragma once

#include "vmx/vmx.h"

#define ALWAYS_VALID (STATE_XCR0 | STATE_TSC) // no register holds them but struct vcpu

// Fetches the groups that are not valid yet. The vCPU must be loaded on this CPU.
void state_fetch(struct vmx_vcpu *vcpu, uint32_t groups);

// Writes back what is dirty; afterwards only STATE_STICKY is left.
void state_write_back(struct vmx_vcpu *vcpu);

// The rare part of stepping over an instruction: shadows end, RF clears, a single-step trap becomes
// pending.
__attribute__((cold)) void state_end_instruction(struct vcpu *vcpu);
