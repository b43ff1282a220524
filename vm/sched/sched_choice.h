// Which vCPU a CPU would run. Used by vm/sched.c alone.
#pragma once

#include "vm/sched/sched_domain.h"

static inline bool is_pinned(const struct sched *sched, const struct sched_entity *entity)
{
    return entity->pinned < sched->cpu_count;
}

// The one of a group whose turn is next, of those that are queued and may run on this CPU.
static inline struct sched_entity *least_of(const struct sched *sched, const struct sched_cpu *cpu,
                                            const struct sched_group *group)
{
    struct sched_entity *least = NULL;
    for (unsigned i = 0; i < group->count; i++) {
        struct sched_entity *entity = group->member[i];
        if (is_in(sched, entity, cpu->domain) && entity->state == SCHED_QUEUED &&
            (!is_pinned(sched, entity) || &sched->cpu[entity->pinned] == cpu) &&
            (!least || entity->key < least->key))
            least = entity;
    }
    return least;
}

// The one that has had least.
static inline struct sched_entity *least(const struct sched_cpu *cpu)
{
    struct sched_entity *own = first(&cpu->pinned), *any = first(&cpu->domain->queue);
    struct sched_entity *entity = any->key < own->key ? any : own;
    return entity == &sched_nobody ? NULL : entity;
}

// ---- cores that one VM at a time has ----

static inline struct sched_entity *least_of_core(const struct sched *sched,
                                                 const struct sched_cpu *cpu)
{
    struct sched_entity *found = least(cpu);
    for (unsigned i = cpu->sibling; i != cpu->number; i = sched->cpu[i].sibling) {
        struct sched_entity *other = least(&sched->cpu[i]);
        if (!found || (other && other->key < found->key))
            found = other;
    }
    return found;
}

// Whether another VM runs on the CPU's core.
static inline bool is_shut_out(const struct sched *sched, const struct sched_cpu *cpu,
                               const struct sched_entity *entity)
{
    if (cpu->core == SCHED_NO_CORE)
        return false;
    const struct sched_core *core = &sched->core[cpu->core];
    return core->running && core->group != entity->group;
}

// The one that waits for another VM to leave the CPU's core, which has had more; or NULL.
static inline struct sched_entity *claimant(const struct sched *sched, const struct sched_cpu *cpu)
{
    if (cpu->core == SCHED_NO_CORE)
        return NULL;
    struct sched_entity *entity = least_of_core(sched, cpu);
    return entity && is_shut_out(sched, cpu, entity) &&
                   entity->key < sched->core[cpu->core].vruntime
               ? entity
               : NULL;
}

// A sibling that is to leave for the claimant, or -1.
static inline int in_the_way(const struct sched *sched, const struct sched_cpu *cpu)
{
    if (claimant(sched, cpu))
        for (unsigned i = cpu->sibling; i != cpu->number; i = sched->cpu[i].sibling)
            if (sched->cpu[i].current)
                return (int)i;
    return -1;
}

static inline const struct sched_group *group_for(const struct sched *sched,
                                                  const struct sched_cpu *cpu)
{
    const struct sched_core *core = &sched->core[cpu->core];
    if (core->running)
        return claimant(sched, cpu) ? NULL : core->group;
    const struct sched_entity *entity = least_of_core(sched, cpu);
    return entity ? entity->group : NULL;
}

static inline struct sched_entity *fairest(const struct sched *sched, const struct sched_cpu *cpu)
{
    struct sched_entity *entity = least(cpu);
    if (cpu->core == SCHED_NO_CORE)
        return entity;
    const struct sched_group *group = group_for(sched, cpu);
    if (!group || (entity && entity->group == group))
        return group ? entity : NULL;
    return least_of(sched, cpu, group);
}

// A yield's target has the turn of the sibling whose turn it is, and that one has its: to the other
// VMs it is all the same.
__attribute__((noinline)) static struct sched_entity *choose(const struct sched *sched,
                                                             struct sched_cpu *cpu)
{
    struct sched_entity *entity = fairest(sched, cpu), *next = cpu->next;
    cpu->next = NULL;
    if (!entity || !next || next == entity || next->state != SCHED_QUEUED ||
        next->account != entity->account)
        return entity;
    struct sched_heap *heap = entity->heap;
    uint64_t turn = entity->key, later = next->key;
    take(entity);
    take(next);
    insert(heap, entity, later);
    insert(heap, next, turn);
    return next;
}
