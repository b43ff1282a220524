// One VM with everything that it has, in one piece of memory; its RAM, tables and vCPUs apart.
#pragma once

#include "boot/vms.h"
#include "drivers/virt/board.h"
#include "vmx/machine.h"

// Work on RAM that is left to do: at this address of this region.
struct instance_cursor {
    unsigned region;
    uint64_t offset;
};

// A part of a boot module on its way into RAM.
struct instance_copy {
    gpa_t to;
    const uint8_t *from;
    uint64_t size;
};

#define INSTANCE_COPIES (1 + CONFIG_MODULES + 8) // an ELF kernel has some segments

struct instance {
    struct vm vm;
    struct vmx_vm machine;
    struct board board;
    uint8_t *test_memory;  // of its test devices, or NULL
    uint64_t wall_clock;   // seconds since 1970 at VM time 0
    uint64_t paused_at;    // host TSC, while it is paused
    bool is_held;          // paused for a moment, by vms_hold()
    bool is_killed;        // the operator wants it to end
    bool is_reset;         // the operator wants it to start anew
    bool is_loaded;        // what is left of it is in `copy`
    _Atomic bool has_left; // its last vCPU left its CPU
    struct instance_cursor cleared;
    unsigned copy_count;
    struct instance_copy copy[INSTANCE_COPIES];
};

// What takes long is done in pieces: each call returns when it is done or, soon, after the host
// TSC's `until`.

// Gives a VM all that it has, its RAM not cleared yet. NULL: explained; nothing is left behind.
struct instance *instance_create(const struct vm_config *config, const struct vm_host *host,
                                 const struct vms_inputs *inputs, struct explanation *why);

// Clears its RAM and loads what it starts with; from INSTANCE_READY on its vCPUs can be given to
// CPUs' loops. INSTANCE_REFUSED: explained.
enum instance_progress { INSTANCE_MORE, INSTANCE_READY, INSTANCE_REFUSED };
enum instance_progress instance_fill(struct instance *instance, const struct vms_inputs *inputs,
                                     uint64_t until, struct explanation *why);

// vm_host.copy_later of a VM that is being filled.
bool instance_copy_later(struct vm *vm, gpa_t to, const void *from, uint64_t size);

// Begins or ends the watching of its vCPUs' exits (vm/watch.h). The VM stands still.
// STATUS_NO_MEMORY: some are not watched.
MUST_CHECK status_t instance_watch(struct instance *instance, bool on);

// Its RAM is to be cleared from the beginning; then clears it. True: all of it is.
void instance_begin_clearing(struct instance *instance);
MUST_CHECK bool instance_clear(struct instance *instance, uint64_t until);

// Gives back all that it has. Its RAM must be clear: the next owner must not read it. None of its
// vCPUs may be in a loop or loaded.
void instance_destroy(struct instance *instance);
