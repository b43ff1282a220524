// VMs on this machine: made from their description and images, started, ended, summed up.
#pragma once

#include "loaders/image.h"
#include "vm/config.h"
#include "vm/cpuid.h"

struct vm;

// What all VMs share, once: the host's CPUID leaves as guests may see them.
struct vms_inputs {
    const struct cpuid_leaves *host_cpuid;
    struct cpuid_inputs cpuid;
    const struct image *images; // modules of the boot loader, by name
    unsigned image_count;
    const char *fail_entry; // the VM that boot/options.h names
    uint64_t wall_clock;    // seconds since 1970 ...
    uint64_t wall_tsc;      // ... at this host TSC
};

extern struct vms_inputs vms_inputs; // set by vms_init()

void vms_init(const struct vms_inputs *inputs);

// Builds a VM and gives its vCPUs to the scheduler; the description takes the next free slot and
// must live on. Any result but STATUS_OK is explained in one line.
MUST_CHECK status_t vms_start(const struct vm_config *config, struct explanation *why);

// All that follows is for CPU 0, between slices.

// Begins the same for a VM that has ended, from the description in its slot.
MUST_CHECK status_t vms_start_again(unsigned slot, struct explanation *why);

// How many slots are filled, from 0 on; how many VMs there are: those that begin, end or are
// preserved count.
unsigned vms_slots(void);
unsigned vms_count(void);

// The VM in a slot (0 to CONFIG_VMS - 1), or NULL; whether there will be one soon; and the
// description of it, which remains when it has ended.
struct vm *vms_at(unsigned slot);
bool vms_is_starting(unsigned slot);
const struct vm_config *vms_config(unsigned slot);

bool vms_is_paused(struct vm *vm);
bool vms_is_preserved(struct vm *vm); // has ended, and stands still

// Output has room again.
void vms_console_room(void);

// Stops the vCPUs and the clocks of a VM; lets them go on, as if no time had passed.
void vms_pause(struct vm *vm);
void vms_continue(struct vm *vm);

// The VM stands still, and every group of its vCPUs' state is in struct vcpu; it goes on, if it ran
// before.
void vms_hold(struct vm *vm);
void vms_release(struct vm *vm);

// Begins or ends the watching of a VM's exits (vm/watch.h). STATUS_NO_MEMORY: not all of its vCPUs
// are watched.
MUST_CHECK status_t vms_watch(struct vm *vm, bool on);

// Starts a VM anew, whatever its description says of resets.
void vms_reset(struct vm *vm);

// Ends the VM in a slot, also one that begins or is about to begin anew; or every one.
void vms_kill(unsigned slot);
void vms_kill_all(void);

// loop_hooks.vm_stopped: on whichever CPU the last vCPU was.
void vms_stopped(struct vm *vm);

// Buries VMs whose last vCPU has left, when their last output is out: prints the summary, and has
// them cleared away and started anew as their descriptions say.
void vms_attend(void);

// loop_hooks.work: the next piece of starting or clearing away a VM.
bool vms_work(void);

// When no VM is left: whether all memory came back.
void vms_tell_frames(void);

// How the VM that ended last did: the word behind "corbel: end: ".
const char *vms_end_text(void);
