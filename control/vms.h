// The VMs of this machine, as others see and order them. Each has an index, from 0 on in the order
// of vms.conf, for as long as the machine runs: VMs that have ended keep theirs.
#pragma once

#include "control/state/life.h"
#include "vm/config/config.h"

struct networks;
struct stream_end;
struct vm;

// Before the first VM, and once there is nothing more to allocate for good.
void vms_init(void);

// Builds a VM and gives its vCPUs to the scheduler; the description gets the next index and must
// live on. Any result but STATUS_OK is explained in one line.
MUST_CHECK status_t vms_start(const struct vm_config *config, struct explanation *why);

// All that follows is for tasks of the strand `control` (control/tasks.h).

// Begins the same for a VM that has ended, from its description.
MUST_CHECK status_t vms_start_again(unsigned index, struct explanation *why);

// How many VMs are described, their indices being 0 on; whether all of them have ended.
unsigned vms_described(void);
bool vms_have_ended(void);

// The VM, or NULL (also beyond the last index): it has ended, or is not there yet.
struct vm *vms_at(unsigned index);

// Its description and its ports, or NULL beyond the last index; and where it is in its life.
const struct vm_config *vms_config(unsigned index);
struct networks *vms_networks(unsigned index);
struct news;
struct news *vms_news(unsigned index);
uint64_t vms_disk_bytes(unsigned index, unsigned disk);
struct life vms_life(unsigned index);

// Stops the vCPUs and the clocks of a VM; lets them go on, as if no time had passed.
// STATUS_INVALID: it does not run, or is not paused.
status_t vms_pause(struct vm *vm);
status_t vms_resume(struct vm *vm);

// The VM stands still, and every group of its vCPUs' state is in struct vcpu; it goes on, if it ran
// before.
void vms_hold(struct vm *vm);
void vms_release(struct vm *vm);

// Begins the watching of a VM's exits (vm/watch.h), or ends it if `filter` is NULL.
// STATUS_NO_MEMORY: not all of its vCPUs are watched.
struct watch_filter;
MUST_CHECK status_t vms_watch(struct vm *vm, const struct watch_filter *filter);

// Has its state written to where saved VMs go; to a stream; has it begin from one. And these, as
// long as the stream lasts: see control/saving.h.
MUST_CHECK status_t vms_save(struct vm *vm, struct explanation *why);
MUST_CHECK status_t vms_save_to(unsigned index, struct stream_end *to, struct explanation *why);
MUST_CHECK status_t vms_restore_from(unsigned index, struct stream_end *from,
                                     struct explanation *why);
bool vms_stream_goes_on(unsigned index, const struct stream_end *stream);
void vms_stream_forget(unsigned index, const struct stream_end *stream);

// Starts a VM anew, whatever its description says of resets.
void vms_reset(struct vm *vm);

// Asks its agent to shut it down, or presses its power button. False: the guest listens to neither.
bool vms_power_down(struct vm *vm);

// Ends the VM of this index, also one that is being built or about to begin anew; or every one.
void vms_kill(unsigned index);
void vms_kill_all(void);

// For loop_init().
void vms_stopped(struct vm *vm);

// Ends VMs whose last vCPU has left, when their last output is out.
void vms_attend(void);

// From now on each has a task that builds it and clears it away. Once the first ones are started.
void vms_start_tasks(void);

// When all have ended: whether all memory came back.
void vms_print_frames(void);

// How the VM that ended last did: the word behind "corbel: end: ".
const char *vms_end_text(void);
