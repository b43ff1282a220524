// Making the VMCS of a vCPU. SDM: "VMCS Types, Initialization".
#pragma once

#include "vmx/vmx.h"

// The bitmaps that all VMs share, before the first setup_vm().
MUST_CHECK status_t setup_shared(void);

// The machine half of a VM whose EPT is built: EPTP and MSR bitmap.
MUST_CHECK status_t setup_vm(struct vmx_vm *vm, struct explanation *why);
void setup_release_vm(struct vmx_vm *vm);

// The VMCS of a vCPU whose guest state is in struct vcpu (all groups dirty). It is loaded nowhere
// yet.
MUST_CHECK status_t setup_vcpu(struct vmx_vcpu *vcpu, struct explanation *why);
void setup_release_vcpu(struct vmx_vcpu *vcpu); // must not be loaded

// Writes all of the loaded VMCS that does not change while the vCPU lives.
void setup_vmcs(struct vmx_vcpu *vcpu);

// Writes which exceptions exit, of the loaded VMCS: a debugger was attached, or let go.
void setup_exceptions(struct vmx_vcpu *vcpu);
