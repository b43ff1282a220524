// Work of the host's own: a task is chosen as vCPUs are, on any CPU or on one. What is hot does a
// piece at a time and has no stack of its own. What is rare has one: it is straight code, that may
// wait.
#pragma once

#include "vm/sched/sched.h"

// Tasks that touch the same things: one of them runs at a time. Set up with zeros.
struct strand {
    struct task *tasks;
    _Atomic bool is_taken;
};

struct task {
    // Set before task_add(). `run` does a piece of work, until `until` (host TSC) at the latest;
    // the host TSC at which it wants to run again, NEVER: when it is woken.
    uint64_t (*run)(struct task *task, uint64_t until);
    struct strand *strand; // or NULL
    uint16_t pinned;       // a CPU, or SCHED_ANY_CPU
    uint16_t weight;
    bool is_prompt; // it is short, and takes its turn before all others
    // Or instead of `run`, with task_give_stack(): begins on that stack, and never returns.
    void (*main)(struct task *task);

    struct task *next; // of the strand
    struct sched_entity sched;
    struct sched_entity *member; // of the group
    struct sched_group group;
    _Atomic bool is_woken; // since it last began to run

    uint64_t stack_top; // of its own stack; 0: it has none
    uint64_t rsp;       // where it waits; while it runs, where the CPU's loop does
    uint64_t until;     // host TSC at which this piece is to end
    uint64_t deadline;  // host TSC until which it waits
};

// Gives it to the scheduler, for good. After loop_init(), one CPU at a time.
void task_add(struct task *task);

// Has it run soon (again). Any CPU may call it, an interrupt handler too.
void task_wake(struct task *task);

// ---- with a stack ----

// Before task_add(). STATUS_NO_MEMORY: there is none.
MUST_CHECK status_t task_give_stack(struct task *task);

// Where the task that calls it may be left for others: it gives up its strand, and is charged for
// what it has had. It holds no lock, and goes on on any CPU: nothing of this_cpu() is kept across.
// Returns at the host TSC's `deadline` or, sooner, when it is woken; 0: when it is its turn again.
// At once, where no task with a stack runs: at boot.
void task_wait(uint64_t deadline);

// The same as task_wait(0), if the time of its piece is over.
void task_pause(void);
