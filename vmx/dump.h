// What a person needs to see when a guest stops for a reason of its own or ours.
#pragma once

#include "vmx/machine.h"

// Logs why a VM entry failed: the instruction error or exit reason, and what the VM-entry checker
// finds in the VMCS.
void dump_entry_failure(struct vmx_vcpu *vcpu, uint32_t reason);

// Runs the VM-entry checker over the current VMCS, a line in the log for each violation. Returns
// their number.
unsigned dump_check_entry(struct vmx_vcpu *vcpu);
