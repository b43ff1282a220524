// What vmx/speculation.c decided, carried out: guards of one CPU. The world switch has its own in
// enter.asm.
#pragma once

#include "vmx/machine.h"
#include "vmx/speculation.h"

// What holds for the machine: guards of any CPU (GUARD_SPEC_CTRL: of all), and what all CPUs have
// of IA32_ARCH_CAPABILITIES. Set at boot.
extern struct speculation machine_speculation;
extern uint64_t machine_arch_capabilities;

// What this CPU says of itself.
void guard_read_facts(struct speculation_facts *facts);

// This CPU's part of the policy, in VMX root operation.
void guard_start(struct vmx_cpu *here);

// A vCPU of this VM is about to be loaded here.
void guard_switch(struct vmx_cpu *here, const struct vmx_vm *vm);

// A vCPU that is loaded here is about to run, after the CPU's loop may have touched anything.
void guard_run(const struct vmx_cpu *here);
