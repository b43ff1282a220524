// A machine whose scheduler is simulated: CPUs, time, and vCPUs that run until their slices end.
#pragma once

#include "tests/unit/support.h"

#include "vm/bus.h"
#include "vm/sched.h"

#define MS UINT64_C(1000000)

struct machine {
    struct sched sched;
    struct sched_entity **slots;
    unsigned cpus;
    uint64_t now;
    uint64_t until[SCHED_CPUS];
};

static inline void build(struct machine *m, unsigned cpus)
{
    memset(m, 0, sizeof(*m));
    m->cpus = cpus;
    m->slots = calloc(sched_slots(cpus), sizeof(struct sched_entity *));
    sched_init(&m->sched, cpus, m->slots);
}

static inline struct sched_entity entity(uint32_t weight)
{
    return (struct sched_entity){.weight = weight, .pinned = SCHED_ANY_CPU};
}

// Every CPU whose slice is over stops what ran there (it could go on) and chooses again.
static inline void step(struct machine *m)
{
    uint64_t next = NEVER;
    for (unsigned i = 0; i < m->cpus; i++) {
        if (m->until[i] <= m->now) {
            if (m->sched.cpu[i].current)
                sched_stop(&m->sched, i, m->now, SCHED_QUEUED, 0);
            (void)sched_pick(&m->sched, i, m->now, &m->until[i]);
        }
        next = MIN(next, m->until[i]);
    }
    m->now = next;
}

static inline void run_until(struct machine *m, uint64_t end)
{
    while (m->now < end)
        step(m);
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->sched.cpu[i].current) {
            sched_stop(&m->sched, i, end, SCHED_QUEUED, 0);
            m->until[i] = 0;
        }
    m->now = end;
}
