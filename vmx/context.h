// Moving vCPUs on and off CPUs. SDM: "VMCS Types", "Using VMXLAUNCH".
#pragma once

#include "vmx/vmx.h"

// Makes the vCPU current on this CPU with its registers live; another one that is loaded here
// leaves first. The vCPU must not be loaded on another CPU.
void vcpu_load(struct vmx_vcpu *vcpu);

// Takes the loaded vCPU off this CPU: its state is in memory afterwards and its VMCS cleared, so
// that any CPU may load it.
void vcpu_unload(struct vmx_vcpu *vcpu);

// Chooses how the vCPU, loaded here, is entered: `launched` has changed.
void context_choose_entry(struct vmx_vcpu *vcpu);

// Makes the next VM entry of the vCPU, loaded here, fail: by a control or by guest state, which one
// differs from a VM to the next.
void context_spoil(struct vmx_vcpu *vcpu);
