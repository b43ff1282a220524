// Which vCPU runs next, where, and until when: policy alone. Time comes in, decisions go out; the
// mechanism (vmx/loop.c) holds one lock around each call.
//
// All CPUs draw from one queue, ordered by virtual run time (time received, divided by weight), so
// shares follow the weights on the whole machine; vCPUs pinned to one CPU wait in that CPU's own
// queue beside it. A vCPU that slept comes back at most one slice ahead of the others, so it runs
// soon and cannot save up. No CPU sleeps while a vCPU that it may run is queued: whoever queues one
// tells an idle CPU, and a CPU that leaves some behind tells the next. Queues are heaps: O(log n).
//
// Where threads of a core see each other's data, they run vCPUs of one VM at a time. While one
// runs, the others take its VM's vCPUs or none; their slices end together, and whoever had less
// than that VM then gets the core: threads that find such a one waiting stay idle until the last of
// them is out.
#pragma once

#include "lib/status.h"

#define SCHED_CPUS    128
#define SCHED_VCPUS   4096
#define SCHED_ANY_CPU UINT16_MAX
#define SCHED_NO_CORE UINT16_MAX

#define SCHED_WEIGHT_DEFAULT 256 // 1 to 65535

// Nanoseconds.
#define SCHED_SLICE      UINT64_C(3000000)
#define SCHED_CAP_PERIOD UINT64_C(100000000)

enum sched_state {
    SCHED_PARKED = 0, // not scheduled: new, paused or gone
    SCHED_QUEUED,     // can run
    SCHED_RUNNING,
    SCHED_BLOCKED,   // waits for an event or its deadline
    SCHED_THROTTLED, // has used up its cap for this period
};

struct sched_heap;
struct sched_entity;

// The vCPUs of one VM.
struct sched_group {
    struct sched_entity *const *member;
    unsigned count;
};

struct sched_entity {
    // Set before sched_add().
    uint32_t weight;
    uint32_t cap;    // percent of one CPU; 0: none
    uint16_t pinned; // a CPU, or SCHED_ANY_CPU
    const struct sched_group *group;
    uint64_t debt; // nanoseconds that were spent on its account already

    _Atomic uint8_t state;   // enum sched_state
    uint16_t cpu;            // where it runs or ran last
    uint64_t vruntime;       // nanoseconds at SCHED_WEIGHT_DEFAULT
    uint64_t since;          // RUNNING: when it began
    uint64_t received;       // nanoseconds in all
    uint64_t ready;          // QUEUED, THROTTLED: since when it could run; NEVER: not known
    uint64_t waited;         // nanoseconds in all that it could run and did not
    uint64_t key;            // in its heap: vruntime, or a time
    struct sched_heap *heap; // that holds it, or NULL
    size_t index;            // in that heap
    uint64_t period;         // when the cap's present period began
    uint64_t used;           // in that period
};

struct sched_heap {
    struct sched_entity **slot;
    size_t count;
};

struct sched_cpu {
    struct sched_heap pinned; // QUEUED, by vruntime
    struct sched_heap timers; // BLOCKED and THROTTLED here, by time
    struct sched_entity *current;
    struct sched_entity *next; // asked for by a directed yield
    uint64_t floor;            // as of the machine, for those that are pinned here
    uint16_t number;
    uint16_t core;    // its number, or SCHED_NO_CORE: what siblings run does not matter
    uint16_t sibling; // the next thread of the core, round and round
    bool idle;        // found nothing, and nobody has told it to look again
};

struct sched_core {
    uint32_t running; // threads that run a vCPU
    const struct sched_group *group;
    uint64_t vruntime; // the most that any had that ran there since `group` has the core
    uint64_t until;    // when slices there end
};

struct sched {
    unsigned cpu_count;
    struct sched_heap queue; // QUEUED on no CPU in particular, by vruntime
    uint64_t floor;          // no vCPU that wakes begins further back than one slice below this
    unsigned idle_count;
    struct sched_cpu cpu[SCHED_CPUS];
    bool has_cores;
    struct sched_core core[SCHED_CPUS];
};

// `slots` is memory for sched_slots(cpu_count) pointers.
void sched_init(struct sched *sched, unsigned cpu_count, struct sched_entity **slots);
size_t sched_slots(unsigned cpu_count);

// This CPU is a thread of that core (below SCHED_CPUS): all that are run vCPUs of one VM at a time.
// Before the first sched_add().
void sched_set_core(struct sched *sched, unsigned cpu, unsigned core);

// PARKED to QUEUED. Returns the CPU that should look around now, or -1. STATUS_FULL cannot happen
// below SCHED_VCPUS.
int sched_add(struct sched *sched, struct sched_entity *entity);

// QUEUED, BLOCKED or THROTTLED to PARKED. False: it runs; its CPU must stop it first.
bool sched_park(struct sched *sched, struct sched_entity *entity);

// An event for a BLOCKED one: it becomes QUEUED. Returns the CPU that should look around now, or
// -1. Others are left alone.
int sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now);

// Chooses for a CPU; the chosen one is RUNNING from `now` on and should stop at *until at the
// latest. NULL: nothing to run before *until (NEVER: no time known). The caller must then ask
// sched_help().
struct sched_entity *sched_pick(struct sched *sched, unsigned cpu, uint64_t now, uint64_t *until);

// A CPU that should look around: an idle one, since vCPUs that it may run are queued, or one that
// is in the way of another VM; or -1.
int sched_help(struct sched *sched);

// The one that runs on `cpu` stops: it can go on (QUEUED or THROTTLED), waits until `deadline`
// (BLOCKED), or leaves (PARKED).
void sched_stop(struct sched *sched, unsigned cpu, uint64_t now, enum sched_state to,
                uint64_t deadline);

// The one that runs on `cpu` spins and is about to stop: prefer one of these there next.
void sched_yield_to(struct sched *sched, unsigned cpu, const struct sched_group *group);
