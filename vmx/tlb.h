// Ending what a CPU may keep of translations. SDM: "Guidelines for Use of the INVVPID Instruction",
// "Guidelines for Use of the INVEPT Instruction"; docs/silicon.md has the list of the places.
#pragma once

#include "vmx/vmx.h"

// On this CPU: what it kept for this vCPU's VPID; and for the VM's nested page tables.
void tlb_flush_vpid(const struct vmx_vcpu *vcpu);
void tlb_flush_ept(struct vmx_vcpu *vcpu);

// Whatever another hypervisor left: once, after VMXON.
void tlb_flush_all(void);
