// The loop of one CPU: choose a vCPU or a task, run it until its slice ends, it waits or it stops;
// sleep when there is none.
#pragma once

#include "vmx/vmx.h"

// Once, before any task is added. STATUS_NO_MEMORY: no room for the queues. `vm_stopped` is called
// when the last vCPU of a VM has left its CPU, on that CPU.
MUST_CHECK status_t loop_init(void (*vm_stopped)(struct vm *vm));

// Gives a vCPU to the scheduler (its sched_entity is filled in); and takes it away: it then runs
// nowhere and is loaded nowhere. Any CPU may call them, but not on behalf of the vCPU that it runs
// itself.
void loop_add(struct vmx_vcpu *vcpu);
void loop_remove(struct vmx_vcpu *vcpu);

// Of struct vm_host.
void loop_kick(struct vcpu *vcpu);
void loop_notify(struct vcpu *vcpu, bool outstanding);
bool loop_is_here(const struct vcpu *vcpu);

// Never returns. Interrupts are off, and possible only while the CPU sleeps.
__attribute__((noreturn)) void loop_run(void);
