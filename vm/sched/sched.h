// Which vCPU or task runs next, where, and until when: policy alone. Time comes in, decisions go
// out; the mechanism (vmx/loop.c) takes the locks. A task is what the host does itself; to the
// policy it is a VM of one vCPU, with a weight. One that is prompt takes its turn before all
// others: it must be short.
//
// The CPUs of a domain draw from one queue, ordered by virtual run time (time received, divided by
// weight), so shares follow the weights there; vCPUs pinned to one CPU wait in that CPU's own queue
// beside it. The run time is a VM's: its vCPUs in one queue have one account, and each queues up
// with what that has been charged so far (start-time fair queueing with VMs as flows). However many
// they are, and whoever of them sleeps, the VM is ahead of its share by a slice for each at most.
// One that is pinned to several CPUs has an account for each, and its weight there is divided by
// how many of its runnable vCPUs are. A VM that slept comes back at most one slice ahead of the
// others, so it runs soon and cannot save up; neither can one that had a CPU to itself, but by two:
// it did not sleep, and who did has no turn before it.
//
// Before a CPU chooses it looks at the head of another domain's queue, in turn, or at all if its
// own is empty, and takes over one that has had less by more than a slice: so shares follow the
// weights on the whole machine. No lock is shared by more than one domain's CPUs, and a VM's
// account, without a lock, by those that run it.
//
// What a VM causes is its own: each sleep and each yield is charged with the switches that come of
// it, nobody is interrupted before it has run SCHED_LEAST, and a yield only chooses among the
// yielder's siblings when the turn is their VM's.
//
// No CPU sleeps while a vCPU that it may run is queued: whoever queues one tells an idle CPU, and a
// CPU that leaves some behind tells the next. Queues are heaps: O(log n).
//
// Where threads of a core see each other's data, they run vCPUs of one VM at a time. While one
// runs, the others take its VM's vCPUs or none; their slices end together, and whoever had less
// than that VM then gets the core: threads that find such a one waiting stay idle until the last of
// them is out.
#pragma once

#include "lib/spinlock.h"
#include "lib/status.h"

#define SCHED_CPUS     128
#define SCHED_ENTITIES 4096
#define SCHED_ANY_CPU  UINT16_MAX
#define SCHED_NO_CORE  UINT16_MAX

#define SCHED_WEIGHT_DEFAULT 256 // 1 to 65535

// Nanoseconds.
#define SCHED_SLICE      UINT64_C(3000000)
#define SCHED_LEAST      UINT64_C(100000) // of a run that could go on
#define SCHED_CAP_PERIOD UINT64_C(100000000)

#define SCHED_APART (8 * SCHED_SLICE) // no further behind a domain's floor does one come there

enum sched_state {
    SCHED_PARKED = 0, // not scheduled: new, paused or gone
    SCHED_QUEUED,     // can run
    SCHED_RUNNING,
    SCHED_BLOCKED,   // waits for an event or its deadline
    SCHED_THROTTLED, // has used up its cap for this period
};

struct sched_heap;
struct sched_entity;

// The vCPUs of one VM; or a task alone.
struct sched_group {
    // Set before sched_add().
    struct sched_entity *const *member;
    unsigned count;
    uint32_t weight;
    uint32_t cap; // percent of one CPU that they may use together; 0: no limit

    _Atomic unsigned runnable; // QUEUED or RUNNING
    struct spinlock lock;      // of one with a cap: guards
    uint64_t period;           // when its present period began
    uint64_t used;             // in that period, and beyond the cap before
};

// What those of a VM that wait in one queue have had.
struct sched_account {
    _Atomic uint64_t vruntime; // nanoseconds at SCHED_WEIGHT_DEFAULT
    _Atomic unsigned runnable;
};

struct sched_entity {
    // Set before sched_add(), of all in the group.
    uint16_t pinned; // a CPU, or SCHED_ANY_CPU
    bool is_task;    // of the mechanism: what it is part of
    bool is_prompt;
    struct sched_group *group;
    uint64_t debt; // nanoseconds to charge it with besides; while it runs, its CPU adds to them
    struct sched_account own; // its vruntime: where the VM stood

    struct sched_account *account; // the first's `own` of those in the same queue
    _Atomic uint8_t state;         // enum sched_state
    _Atomic uint16_t cpu;          // where it runs or ran last; of its domain
    uint64_t since;                // RUNNING: when it began
    uint64_t received;             // nanoseconds in all
    uint64_t ready;                // QUEUED, THROTTLED: since when it could run; NEVER: not known
    uint64_t waited;               // nanoseconds in all that it could run and did not
    uint64_t key;            // in its heap, or before it ran: its account's vruntime; or a time
    struct sched_heap *heap; // that holds it, unless it is RUNNING or PARKED
    size_t index;            // in that heap
};

struct sched_heap {
    struct sched_entity **slot;
    size_t count;
};

// Cache lines of its own.
struct sched_cpu {
    _Alignas(128) struct sched_heap pinned; // QUEUED, by vruntime
    struct sched_heap timers;               // BLOCKED and THROTTLED here, by time
    struct sched_entity *current;
    struct sched_entity *next;  // asked for by a directed yield
    uint64_t floor;             // as of the machine, for those that are pinned here
    uint64_t left;              // when a vCPU stopped here, if the next one follows it; or NEVER
    _Atomic uint64_t switching; // nanoseconds from there to when the next one begins, on average
    uint16_t number;
    uint16_t core;    // its number, or SCHED_NO_CORE: what siblings run does not matter
    uint16_t sibling; // the next thread of the core, round and round
    struct sched_domain *domain, *look; // its own, and where it looks next
    _Atomic bool idle;                  // found nothing, and nobody has told it to look again
};

struct sched_core {
    uint32_t running; // threads that run a vCPU
    const struct sched_group *group;
    uint64_t vruntime; // the most that any had that ran there since `group` has the core
    uint64_t until;    // when slices there end
};

// CPUs that draw from one queue.
struct sched_domain {
    struct spinlock lock; // guards this, its CPUs, their cores, and every entity whose `cpu` it has
    struct sched_heap queue; // QUEUED on no CPU in particular, by vruntime
    // Of the machine, as far as it is known: nobody queues up more than a slice below it.
    _Atomic uint64_t floor;
    _Atomic uint64_t head;     // the least key in the queue, for others to see; or NEVER
    struct sched_domain *next; // round and round
};

struct sched {
    unsigned cpu_count, domain_count, domain_cpus;
    _Atomic unsigned idle_count, added;
    struct sched_cpu cpu[SCHED_CPUS];
    struct sched_domain domain[SCHED_CPUS];
    bool has_cores;
    struct sched_core core[SCHED_CPUS];
};

// `slots` is memory for sched_slots() pointers; so many CPUs are a domain.
void sched_init(struct sched *sched, unsigned cpu_count, unsigned domain_cpus,
                struct sched_entity **slots);
size_t sched_slots(unsigned cpu_count, unsigned domain_cpus);

// This CPU is a thread of that core (below SCHED_CPUS): all that are run vCPUs of one VM at a time.
// Before the first sched_add().
void sched_set_core(struct sched *sched, unsigned cpu, unsigned core);

// Locks the domain in which an entity is, and of a CPU. All that follows is called with the lock of
// what it names, unless it says otherwise.
struct sched_domain *sched_hold(struct sched *sched, const struct sched_entity *entity);
static inline struct sched_domain *sched_hold_cpu(struct sched *sched, unsigned cpu)
{
    spin_lock(&sched->cpu[cpu].domain->lock);
    return sched->cpu[cpu].domain;
}
static inline void sched_release(struct sched_domain *domain)
{
    spin_unlock(&domain->lock);
}

// PARKED to QUEUED; called with no lock. Returns the CPU that should look around now, or -1.
// STATUS_FULL cannot happen below SCHED_ENTITIES.
int sched_add(struct sched *sched, struct sched_entity *entity);

// QUEUED, BLOCKED or THROTTLED to PARKED. False: it runs; its CPU must stop it first.
bool sched_park(struct sched *sched, struct sched_entity *entity);

// An event for a BLOCKED one: it becomes QUEUED. Returns the CPU that should look around now, or
// -1. Others are left alone.
int sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now);

// Chooses for a CPU; the chosen one is RUNNING from `now` on and should stop at *until at the
// latest. NULL: nothing to run before *until (NEVER: no time known). The caller must then ask
// sched_help(), and if it was NULL sched_balance(): true: it must choose again.
struct sched_entity *sched_pick(struct sched *sched, unsigned cpu, uint64_t now, uint64_t *until);

// The one chosen for `cpu` is about to enter its guest: what the switch took is not its own time.
// Needs no lock.
void sched_begin(struct sched *sched, unsigned cpu, uint64_t now);

// A CPU that should look around: an idle one, since vCPUs that it may run are queued here, or it
// may take them over; or one that is in the way of another VM; or -1.
int sched_help(struct sched *sched, unsigned cpu);

// Before sched_pick(): looks whether others have had less in another domain, and takes one of them
// over. True: it did. Called with no lock.
bool sched_look(struct sched *sched, unsigned cpu);
static inline bool sched_balance(struct sched *sched, unsigned cpu)
{
    return sched->domain_count > 1 && sched_look(sched, cpu);
}

// The one that runs on `cpu` stops: it can go on (QUEUED or THROTTLED), waits until `deadline`
// (BLOCKED), or leaves (PARKED).
void sched_stop(struct sched *sched, unsigned cpu, uint64_t now, enum sched_state to,
                uint64_t deadline);

// The one that runs on `cpu` spins and is about to stop: at its VM's next turn there, prefer
// `target` (of its VM), or whoever of the VM waits if that is NULL.
void sched_yield_to(struct sched *sched, unsigned cpu, struct sched_entity *target);
