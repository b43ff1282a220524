// The loop of one vCPU on one CPU.
#pragma once

#include "vmx/vmx.h"

enum run_end {
    RUN_SLICE,   // its time is up, or the CPU is wanted for something else
    RUN_WAITING, // halted or waiting for SIPI: nothing to run until an event
    RUN_YIELD,   // it spins: others of its VM may have what it waits for
    RUN_STOPPED, // its VM ended
};

// Runs the vCPU (loaded on this CPU, interrupts off) until `slice_end` (host TSC) or one of the
// other ends.
enum run_end vcpu_run(struct vmx_vcpu *vcpu, uint64_t slice_end);

// Registers the entry's window with the NMI handler. Once.
void run_init(void);
