// A domain, as libvirt calls it: a VM as vms.conf describes it, over all its lives. Its state is
// moved by domain_post() alone (control/state/life.h). All of it is for tasks of the strand
// `control`, but domain_left().
#pragma once

#include "control/disks.h"
#include "control/instance.h"
#include "control/networks.h"
#include "control/rom.h"
#include "control/state/life.h"
#include "lib/spinlock.h"
#include "monitor/mux.h"
#include "vm/news.h"
#include "vmx/task.h"

struct domain {
    unsigned index; // its place, from 0 on; its VM's id is one more
    const struct vm_config *config;
    struct spinlock lock; // guards `life`
    struct life life;
    struct news news;
    uint64_t balloon;          // bytes, as told last; 0: nothing was
    uint64_t balloon_seen;     // host TSC
    struct instance *instance; // NULL in LIFE_ABSENT, or where there was no memory for it
    uint64_t flushing_since;   // host TSC
    uint64_t vruntime;         // of the scheduler, where its last life ended
    struct task task;          // builds and clears
    uint64_t charged;          // nanoseconds of its task's that its VMs have paid for
    struct disks disks;        // these three outlive the instance
    struct rom rom;
    struct uuid generation; // as the disks: what they hold goes on
    struct networks *networks;
    struct mux_channel console; // outlives the instance, so that its last words can be read
    uint64_t kept;              // frames of Corbel's that it has for good: its console, its task
    unsigned restarts;
    bool is_logged;                   // the end of its last life: vm_end_is_logged()
    bool waits_for_memory;            // paused by domain_feed(), not by the operator
    bool is_saving;                   // by its task: control/saving.c
    struct stream_end *saved_to;      // ... to there, or NULL: an emulator's debug port, or nowhere
    struct stream_end *restored_from; // where its next life comes from; NULL: from its description
    bool has_restored;                // what follows begins as described
};

// ---- the state ----

struct life domain_life(struct domain *domain);

// The VM, or NULL: life_has_vm().
struct vm *domain_vm(struct domain *domain);

// An event takes its effect; LIFE_HOLD besides has every group of the vCPUs' state fetched.
// STATUS_INVALID: it cannot be now.
status_t domain_post(struct domain *domain, enum life_event event);

// Tells its readers, all but the time. Any CPU may call it, without a lock.
void domain_tell(struct domain *domain, struct news_item item);

// The last vCPU has left: the CPU that it left says so.
void domain_left(struct domain *domain);

// In LIFE_FLUSHING, and the last output is out, or is waited for no more: prints the summary, and
// goes on to what follows.
void domain_flush(struct domain *domain);

// Pauses it where it has touched memory that the machine does not have, and lets it go on when that
// is there.
void domain_feed(struct domain *domain);

// While somebody reads its news: tells, once a second at most, what its balloon has left it.
void domain_watch_balloon(struct domain *domain);

// How the domain that ended last did: the word behind "corbel: end: ".
const char *domain_last_end(void);

// ---- what takes long ----

// Its task, to be given to task_add(): from then on what begins to be built or cleared gets done.
// STATUS_NO_MEMORY: no memory for its stack.
MUST_CHECK status_t domain_make_task(struct domain *domain);

// Begins building, or lets that follow once it is cleared. Any result but STATUS_OK is explained.
MUST_CHECK status_t domain_start(struct domain *domain, struct explanation *why);

// In LIFE_BUILDING: builds it, and gives its vCPUs to the scheduler, unless it is called off
// meanwhile. Any result but STATUS_OK is explained: it cannot be built.
MUST_CHECK status_t domain_build(struct domain *domain, struct explanation *why);
