// What a person needs to see when a guest stops for a reason of its own or ours.
#pragma once

#include "lib/print.h"
#include "vmx/vmx.h"

// Logs why a VM entry failed: the instruction error or exit reason, and what the VM-entry checker
// finds in the VMCS.
void dump_entry_failure(struct vmx_vcpu *vcpu, uint32_t reason);

// All fields of a vCPU's VMCS that this CPU has, by the manual's names, a line each. It does not
// run.
void dump_vmcs(struct printer *to, struct vcpu *vcpu);

// Before a vCPU's first entry: has the VM-entry checker look at it, a line in the log for each
// violation. An emulated CPU accepts states that silicon refuses.
void dump_check_first(struct vmx_vcpu *vcpu);
