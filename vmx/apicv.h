// APIC virtualization by the CPU: controls, pages and bitmaps that follow the mode of each vCPU's
// local APIC, and the interrupts that the CPU is given to deliver. SDM: "APIC Virtualization and
// Virtual Interrupts".
#pragma once

#include "vmx/vmx.h"

// The pages that a VM needs, after its EPT and its MSR bitmap were made.
MUST_CHECK status_t apicv_setup_vm(struct vmx_vm *vm, struct explanation *why);
void apicv_release_vm(struct vmx_vm *vm);

// Before the first entry, and whenever the mode or the base of its local APIC has changed: the
// vCPU's controls follow. Its VMCS is current.
void apicv_follow(struct vmx_vcpu *vcpu);

// Gives the CPU what the local APIC holds, for the next entry of a vCPU that has
// `virtual_delivery`.
void apicv_deliver(struct vmx_vcpu *vcpu);
