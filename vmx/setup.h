// Making the VMCS of a vCPU, and moving vCPUs on and off CPUs. SDM: "VMCS Types, Initialization",
// "Using VMXLAUNCH".
#pragma once

#include "vmx/machine.h"

// The bitmaps that all VMs share, before the first setup_vm().
MUST_CHECK status_t setup_shared(void);

// The machine half of a VM whose EPT is built: EPTP and MSR bitmap.
MUST_CHECK status_t setup_vm(struct vmx_vm *vm, struct explanation *why);
void setup_release_vm(struct vmx_vm *vm);

// Lets guests with this MSR bitmap access an MSR without an exit.
void setup_pass_msr(uint8_t *bitmap, uint32_t index, bool is_write);

// The VMCS of a vCPU whose guest state is in struct vcpu (all groups dirty). It is loaded nowhere
// yet.
MUST_CHECK status_t setup_vcpu(struct vmx_vcpu *vcpu, struct explanation *why);
void setup_release_vcpu(struct vmx_vcpu *vcpu); // must not be loaded

// Makes the vCPU current on this CPU with its registers live; another one that is loaded here
// leaves first. The vCPU must not be loaded on another CPU.
void vcpu_load(struct vmx_vcpu *vcpu);

// Makes the next VM entry of the vCPU, loaded here, fail: by a control or by guest state, which one
// differs from a VM to the next.
void setup_spoil(struct vmx_vcpu *vcpu);

// Chooses how the vCPU, loaded here, is entered: `launched` has changed.
void setup_enter(struct vmx_vcpu *vcpu);

// Takes the loaded vCPU off this CPU: its state is in memory afterwards and its VMCS cleared, so
// that any CPU may load it.
void vcpu_unload(struct vmx_vcpu *vcpu);
