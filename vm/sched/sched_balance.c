// The machine's CPUs in domains, and what goes from one to another.

#include "lib/string.h"
#include "vm/sched/sched_domain.h"

// ---- set-up ----

const struct sched_entity sched_nobody = {.key = NEVER};

static struct sched_heap empty(struct sched_entity **slots)
{
    struct sched_heap heap = {slots, 0};
    set_empty(&heap);
    return heap;
}

static unsigned domains(unsigned cpu_count, unsigned domain_cpus)
{
    return (cpu_count + domain_cpus - 1) / domain_cpus;
}

size_t sched_slots(unsigned cpu_count, unsigned domain_cpus)
{
    return SCHED_ENTITIES * (2 * (size_t)cpu_count + domains(cpu_count, domain_cpus));
}

void sched_init(struct sched *sched, unsigned cpu_count, unsigned domain_cpus,
                struct sched_entity **slots)
{
    memset(sched, 0, sizeof(*sched));
    sched->cpu_count = cpu_count;
    sched->domain_cpus = domain_cpus;
    sched->domain_count = domains(cpu_count, domain_cpus);
    for (unsigned i = 0; i < sched->domain_count; i++, slots += SCHED_ENTITIES) {
        sched->domain[i].queue = empty(slots);
        sched->domain[i].head = NEVER;
        sched->domain[i].next = &sched->domain[(i + 1) % sched->domain_count];
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        struct sched_entity **own = slots + 2 * (size_t)i * SCHED_ENTITIES;
        sched->cpu[i] = (struct sched_cpu){
            .pinned = empty(own),
            .timers = empty(own + SCHED_ENTITIES),
            .number = (uint16_t)i,
            .core = SCHED_NO_CORE,
            .left = NEVER,
            .look = &sched->domain[i % sched->domain_count],
            .domain = &sched->domain[i / domain_cpus],
        };
    }
}

void sched_set_core(struct sched *sched, unsigned cpu, unsigned core)
{
    struct sched_cpu *own = &sched->cpu[cpu];
    own->core = (uint16_t)core;
    own->sibling = (uint16_t)cpu;
    own->domain = &sched->domain[core / sched->domain_cpus];
    sched->has_cores = true;
    for (unsigned i = 0; i < sched->cpu_count; i++)
        if (i != cpu && sched->cpu[i].core == core) {
            own->sibling = sched->cpu[i].sibling;
            sched->cpu[i].sibling = (uint16_t)cpu;
            break;
        }
}

struct sched_domain *sched_hold(struct sched *sched, const struct sched_entity *entity)
{
    for (;;) {
        struct sched_domain *domain = sched_hold_cpu(sched, entity->cpu);
        if (is_in(sched, entity, domain))
            return domain;
        sched_release(domain);
    }
}

static void hold_both(struct sched_domain *one, struct sched_domain *other)
{
    spin_lock(one < other ? &one->lock : &other->lock);
    spin_lock(one < other ? &other->lock : &one->lock);
}

// Its turn there was before this domain's: so it is here, but it has not saved up what its domain's
// CPUs were idle for.
static bool take_over(struct sched *sched, struct sched_cpu *cpu, struct sched_domain *from)
{
    struct sched_domain *own = cpu->domain;
    hold_both(own, from);
    struct sched_entity *entity = first(&from->queue);
    bool is_worth_it = entity->key < bar_of(own);
    if (is_worth_it) {
        uint64_t level = own->floor - MIN(own->floor, SCHED_APART);
        take(entity);
        forget(sched, entity);
        entity->cpu = cpu->number;
        if (!entity->is_prompt)
            raise(&entity->account->vruntime, level);
        insert(&own->queue, entity, entity->is_prompt ? 0 : MAX(entity->key, level));
        show_head(from);
        show_head(own);
    }
    sched_release(own);
    sched_release(from);
    return is_worth_it;
}

// Before its domain's floor leaps, or it idles, a CPU looks at all.
__attribute__((noinline)) static bool look_at_all(struct sched *sched, struct sched_cpu *cpu)
{
    struct sched_domain *best = NULL;
    uint64_t bar = bar_of(cpu->domain);
    for (unsigned i = 0; i < sched->domain_count; i++) {
        struct sched_domain *other = &sched->domain[i];
        uint64_t floor = other->floor, head = other->head;
        raise(&cpu->domain->floor, floor - MIN(floor, SCHED_APART));
        if (head >= bar || other == cpu->domain)
            continue;
        best = other;
        bar = head;
    }
    return best && take_over(sched, cpu, best);
}

bool sched_look(struct sched *sched, unsigned number)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    struct sched_domain *domain = cpu->domain, *other = cpu->look;
    uint64_t head = domain->head, floor = domain->floor, theirs = other->floor;
    cpu->look = other->next;
    if (head > floor + SCHED_SLICE)
        return look_at_all(sched, cpu);
    if (theirs > floor + SCHED_APART)
        raise(&domain->floor, theirs - SCHED_APART);
    theirs = other->head;
    return theirs < head && head - theirs > SCHED_SLICE && take_over(sched, cpu, other);
}
