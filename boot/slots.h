// The descriptions of VMs and where each is in its life. CPU 0's, between slices: vms.c is the door
// for others, lives.c moves VMs from one phase to the next.
#pragma once

#include "boot/instance.h"
#include "monitor/mux.h"

enum slot_phase {
    PHASE_ENDED = 0, // there is no instance
    PHASE_FILLING,   // RAM is cleared, then loaded
    PHASE_RUNNING,   // or paused
    PHASE_SPEAKING,  // the last vCPU has left; the last output is on its way
    PHASE_PRESERVED, // stands still
    PHASE_CLEARING,  // RAM is cleared, then given back
};

struct slot {
    const struct vm_config *config;
    struct instance *instance;
    enum slot_phase phase;
    bool again;                 // PHASE_CLEARING: another instance follows
    uint64_t since;             // PHASE_SPEAKING: host TSC
    uint64_t vruntime;          // of the scheduler, where its last life ended
    uint64_t spent;             // host TSC cycles of work for an instance that does not run yet
    struct mux_channel console; // outlives the instance, so that its last words can be read
    unsigned restarts;
    bool is_told; // the end of its last life: vm_is_told()
};

extern struct slot slots[CONFIG_VMS];
extern unsigned slot_count; // that are filled, from 0 on: none is ever freed

// From PHASE_ENDED to PHASE_FILLING. STATUS_NO_MEMORY: explained.
MUST_CHECK status_t slot_begin(struct slot *slot, struct explanation *why);

// A piece of work in PHASE_FILLING: on to PHASE_RUNNING; if the VM cannot be, to PHASE_CLEARING:
// explained.
status_t slot_fill(struct slot *slot, uint64_t until, struct explanation *why);

// From any phase with an instance whose vCPUs are in no loop to PHASE_CLEARING.
void slot_end(struct slot *slot, bool again);

// The same by the operator's will, and for good.
void slot_kill(struct slot *slot);
