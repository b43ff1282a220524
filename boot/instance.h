// One VM with everything that it has, in one piece of memory; its RAM, tables and vCPUs apart.
#pragma once

#include "boot/vms.h"
#include "drivers/virt/board.h"
#include "vmx/machine.h"

struct instance {
    struct vm vm;
    struct vmx_vm machine;
    struct board board;
    uint64_t wall_clock;   // seconds since 1970 at VM time 0
    uint64_t paused_at;    // host TSC, while it is paused
    bool is_held;          // paused for a moment, by vms_hold()
    bool is_killed;        // the operator wants it to end
    bool is_reset;         // the operator wants it to start anew
    bool is_buried;        // its end was dealt with: it is only preserved
    _Atomic bool has_left; // its last vCPU left its CPU
};

// Builds a VM, ready for its vCPUs to be given to CPUs' loops. NULL: explained; nothing is left
// behind.
struct instance *instance_create(const struct vm_config *config, const struct vm_host *host,
                                 const struct vms_inputs *inputs, struct explanation *why);

// Begins or ends the watching of its vCPUs' exits (vm/watch.h). The VM stands still.
// STATUS_NO_MEMORY: some are not watched.
MUST_CHECK status_t instance_watch(struct instance *instance, bool on);

// Gives back all that it has; its RAM is cleared. None of its vCPUs may be in a loop or loaded.
void instance_destroy(struct instance *instance);
