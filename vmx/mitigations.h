// What vmx/policy/speculation.c decided, carried out: mitigations of one CPU. The world switch has
// its own in enter.asm.
#pragma once

#include "vmx/vmx.h"
#include "vmx/policy/speculation.h"

// What holds for the machine: mitigations of any CPU (MITIGATION_SPEC_CTRL: of all), and what all
// CPUs have of IA32_ARCH_CAPABILITIES. Set at boot.
extern struct speculation host_speculation;
extern uint64_t host_arch_capabilities;

// What this CPU says of itself.
void mitigations_read_facts(struct speculation_facts *facts);

// This CPU's part of the policy, in VMX root operation.
void mitigations_start(struct vmx_cpu *here);

// A vCPU of this VM is about to be loaded here.
void mitigations_switch(struct vmx_cpu *here, const struct vmx_vm *vm);

// A vCPU that is loaded here is about to run, after the CPU's loop may have touched anything.
void mitigations_run(const struct vmx_cpu *here);
