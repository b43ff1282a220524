// The loop of one CPU: choose a vCPU, run it until its slice ends, it waits or it stops; sleep when
// there is none.
#pragma once

#include "vmx/machine.h"

struct loop_hooks {
    // On each CPU between slices: host work (CPU 0's is the console). Returns the host TSC at which
    // it wants to be called again there; on CPU 0 also after loop_attend(): `is_asked`.
    uint64_t (*poll)(unsigned cpu, bool is_asked);
    // On CPU 0 after poll(), which may bring some: a piece of host work that takes long. True:
    // there was one, and it is called again. While there is work it has about half of CPU 0.
    bool (*work)(void);
    // The last vCPU of a VM has left its CPU. Called on the CPU that it left.
    void (*vm_stopped)(struct vm *vm);
};

// Once, before any CPU's loop. STATUS_NO_MEMORY: no room for the queues.
MUST_CHECK status_t loop_init(const struct loop_hooks *hooks);

// Gives a vCPU to the scheduler (its sched_entity is filled in); and takes it away: it then runs
// nowhere and is loaded nowhere. Any CPU may call them, but not on behalf of the vCPU that it runs
// itself.
void loop_add(struct vmx_vcpu *vcpu);
void loop_remove(struct vmx_vcpu *vcpu);

// vm_host.kick
void loop_kick(struct vcpu *vcpu);
void loop_notify(struct vcpu *vcpu, bool outstanding);

// CPU 0 is to poll soon.
void loop_attend(void);

// Never returns. Interrupts are off, and possible only while the CPU sleeps.
__attribute__((noreturn)) void loop_run(void);
