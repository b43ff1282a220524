// The loop of one CPU: choose a vCPU, run it until its slice ends, it waits or it stops; sleep when
// there is none.
#pragma once

#include "vmx/machine.h"

struct loop_hooks {
    // On CPU 0, between slices: console and other host work. Returns the host TSC at which it wants
    // to be called again.
    uint64_t (*poll)(void);
    // The last vCPU of a VM has left its CPU. Called on the CPU that it left.
    void (*vm_stopped)(struct vm *vm);
};

void loop_set_hooks(const struct loop_hooks *hooks);

// Gives a vCPU to a CPU. Any CPU may call it.
void loop_add(struct vmx_vcpu *vcpu, unsigned cpu);

// Makes a CPU's loop look around, should it be asleep or in a guest.
void loop_wake(unsigned cpu);

// Never returns. Interrupts are off, and possible only while the CPU sleeps.
__attribute__((noreturn)) void loop_run(void);
