// The edges of a domain: what others see of it and what leaves it. Used by vm/sched/ alone.
#pragma once

#include "vm/bus.h"
#include "vm/sched/sched_heap.h"

static inline void raise(_Atomic uint64_t *value, uint64_t level)
{
    uint64_t was = *value;
    while (was < level && !atomic_compare_exchange_weak(value, &was, level))
        ;
}

// With the domain's lock: if it is there, it stays there.
static inline bool is_in(const struct sched *sched, const struct sched_entity *entity,
                         const struct sched_domain *domain)
{
    return sched->cpu[entity->cpu].domain == domain;
}

// For those without the lock.
static inline void show_head(struct sched_domain *domain)
{
    uint64_t head = first(&domain->queue)->key;
    if (domain->head != head)
        domain->head = head;
}

// Who has had less than `domain` has by so much is worth moving there.
static inline uint64_t bar_of(const struct sched_domain *domain)
{
    uint64_t head = domain->head;
    return head == NEVER ? NEVER : head - MIN(head, SCHED_SLICE);
}

// Nothing names it any more in its domain: its memory may be gone before the next call.
static inline void forget(struct sched *sched, const struct sched_entity *entity)
{
    const struct sched_domain *domain = sched->cpu[entity->cpu].domain;
    for (unsigned i = 0; i < sched->cpu_count; i++)
        if (sched->cpu[i].domain == domain && sched->cpu[i].next == entity)
            sched->cpu[i].next = NULL;
}
