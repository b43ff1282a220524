// A machine whose scheduler is simulated: CPUs, time, and vCPUs that run until their slices end.
#pragma once

#include "tests/unit/support.h"

#include "vm/bus.h"
#include "vm/sched/sched.h"

#define MS UINT64_C(1000000)

struct simulation {
    struct sched sched;
    struct sched_entity **slots;
    unsigned cpus;
    uint64_t now;
    uint64_t until[SCHED_CPUS];
};

// Of VMs of one vCPU each.
static struct sched_group groups[4096];
static unsigned group_count;

static inline void build_of(struct simulation *m, unsigned cpus, unsigned domain_cpus)
{
    memset(m, 0, sizeof(*m));
    m->cpus = cpus;
    m->slots = calloc(sched_slots(cpus, domain_cpus), sizeof(struct sched_entity *));
    sched_init(&m->sched, cpus, domain_cpus, m->slots);
}

static inline void build(struct simulation *m, unsigned cpus)
{
    build_of(m, cpus, 8);
}

// A vCPU of a VM of its own: join() makes a VM of several.
static inline struct sched_entity entity(uint32_t weight)
{
    struct sched_group *group = &groups[group_count++ % ARRAY_LENGTH(groups)];
    *group = (struct sched_group){.weight = weight};
    return (struct sched_entity){.pinned = SCHED_ANY_CPU, .group = group};
}

// One VM, with the first's weight.
static inline struct sched_group *join(struct sched_entity *const *all, unsigned count)
{
    struct sched_group *group = all[0]->group;
    group->member = all;
    group->count = count;
    for (unsigned i = 0; i < count; i++)
        all[i]->group = group;
    return group;
}

// Every CPU whose slice is over stops what ran there (it could go on) and chooses again.
static inline void step(struct simulation *m)
{
    uint64_t next = NEVER;
    for (unsigned i = 0; i < m->cpus; i++) {
        if (m->until[i] <= m->now) {
            if (m->sched.cpu[i].current)
                sched_stop(&m->sched, i, m->now, SCHED_QUEUED, 0);
            do
                (void)sched_balance(&m->sched, i);
            while (!sched_pick(&m->sched, i, m->now, &m->until[i]) && sched_balance(&m->sched, i));
        }
        next = MIN(next, m->until[i]);
    }
    m->now = next;
}

static inline void run_until(struct simulation *m, uint64_t end)
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
