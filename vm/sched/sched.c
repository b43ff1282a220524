// The scheduling policy.

#include "vm/sched/sched.h"

#include "vm/sched/sched_choice.h"

// ---- becoming runnable ----

static uint64_t weighted(const struct sched_entity *entity, uint64_t time)
{
    return time * SCHED_WEIGHT_DEFAULT / entity->group->weight;
}

// A runnable one has spent so much. A VM that is pinned to several CPUs has but a part of its
// weight on each.
static void charge(struct sched_entity *entity, uint64_t time)
{
    struct sched_account *account = entity->account;
    account->vruntime += weighted(entity, time * entity->group->runnable / account->runnable);
}

static void set_state(struct sched_entity *entity, enum sched_state to)
{
    bool was = entity->state == SCHED_QUEUED || entity->state == SCHED_RUNNING;
    unsigned change = (to == SCHED_QUEUED || to == SCHED_RUNNING) - (unsigned)was;
    entity->group->runnable += change;
    entity->account->runnable += change;
    entity->state = (uint8_t)to;
}

// How much longer its VM's cap lets it run, from `now` on. What was too much in one period is
// missing in the next.
static uint64_t cap_left(struct sched_group *group, uint64_t now)
{
    if (!group->cap)
        return NEVER;
    spin_lock(&group->lock);
    uint64_t budget = SCHED_CAP_PERIOD / 100 * group->cap;
    uint64_t periods = now > group->period ? (now - group->period) / SCHED_CAP_PERIOD : 0;
    group->period += periods * SCHED_CAP_PERIOD;
    group->used -= MIN(group->used, periods * budget);
    uint64_t left = budget - MIN(budget, group->used);
    spin_unlock(&group->lock);
    return left;
}

static void use_cap(struct sched_group *group, uint64_t time)
{
    if (!group->cap)
        return;
    spin_lock(&group->lock);
    group->used += time;
    spin_unlock(&group->lock);
}

// It can run, if its VM may. What is pinned competes on its CPU alone, which may have given out
// less than the others.
static void enqueue(struct sched *sched, struct sched_entity *entity, uint64_t now)
{
    if (!cap_left(entity->group, now)) {
        set_state(entity, SCHED_THROTTLED);
        insert(&sched->cpu[entity->cpu].timers, entity,
               now - now % SCHED_CAP_PERIOD + SCHED_CAP_PERIOD);
        return;
    }
    struct sched_cpu *home = is_pinned(sched, entity) ? &sched->cpu[entity->pinned] : NULL;
    struct sched_account *account = entity->account;
    struct sched_domain *domain = sched->cpu[entity->cpu].domain;
    uint64_t level = home ? home->floor : domain->floor;
    uint64_t behind = account->runnable ? 2 * SCHED_SLICE : SCHED_SLICE;
    raise(&account->vruntime, level - MIN(level, behind));
    set_state(entity, SCHED_QUEUED);
    insert(home ? &home->pinned : &domain->queue, entity,
           entity->is_prompt ? 0 : account->vruntime);
    show_head(domain);
}

// True: it was not. A CPU that is told counts as busy from then on: the next one to be queued goes
// to another.
static bool set_idle(struct sched *sched, struct sched_cpu *cpu, bool idle)
{
    if (cpu->idle == idle || atomic_exchange(&cpu->idle, idle) == idle)
        return false;
    sched->idle_count += idle ? 1U : UINT32_MAX;
    return true;
}

// The CPU that should look around because `entity` was queued: an idle one, or the one where it ran
// last if what runs there has had more than its share. Of one that is throttled that one alone.
static int cpu_for(struct sched *sched, const struct sched_entity *entity)
{
    unsigned home = is_pinned(sched, entity) ? entity->pinned : entity->cpu;
    struct sched_cpu *cpu = &sched->cpu[home];
    if (!is_shut_out(sched, cpu, entity) && set_idle(sched, cpu, false))
        return (int)home;
    if (entity->state == SCHED_THROTTLED)
        return -1;
    for (unsigned i = 0; sched->idle_count > 0 && !is_pinned(sched, entity) && i < sched->cpu_count;
         i++)
        if (!is_shut_out(sched, &sched->cpu[i], entity) && set_idle(sched, &sched->cpu[i], false))
            return (int)i;
    if (!cpu->current)
        return in_the_way(sched, cpu);
    return cpu->current->key > entity->key ? (int)home : -1;
}

// A CPU of its domain that should look around, or -1.
static int neighbour(struct sched *sched, const struct sched_domain *domain)
{
    if (!domain->queue.count && !sched->has_cores)
        return -1;
    for (unsigned i = 0; i < sched->cpu_count; i++) {
        struct sched_cpu *cpu = &sched->cpu[i];
        if (cpu->domain != domain || !cpu->idle || (sched->has_cores && !least_of_core(sched, cpu)))
            continue;
        if (fairest(sched, cpu) && set_idle(sched, cpu, false))
            return (int)i;
        int other = in_the_way(sched, cpu);
        if (other >= 0)
            return other;
    }
    return -1;
}

// An idle CPU that may take over what waits in another domain, or -1.
static int stranger(struct sched *sched, const struct sched_cpu *self)
{
    const struct sched_domain *waiting = NULL;
    bool several = false;
    for (unsigned i = 0; i < sched->domain_count; i++) {
        if (sched->domain[i].head == NEVER)
            continue;
        several = waiting;
        waiting = &sched->domain[i];
    }
    for (unsigned i = 0; waiting && i < sched->cpu_count; i++) {
        struct sched_cpu *cpu = &sched->cpu[i];
        bool is_taken = cpu->core != SCHED_NO_CORE && sched->core[cpu->core].running;
        if (cpu != self && !is_taken && (several || cpu->domain != waiting) &&
            set_idle(sched, cpu, false))
            return (int)i;
    }
    return -1;
}

// Who came from another domain passes on what is left there, too.
int sched_help(struct sched *sched, unsigned number)
{
    const struct sched_cpu *cpu = &sched->cpu[number];
    if (!sched->idle_count)
        return -1;
    int other = neighbour(sched, cpu->domain);
    return other < 0 && sched->domain_count > 1 ? stranger(sched, cpu) : other;
}

// The first of its VM that waits in the same queue has the account.
static struct sched_account *account_of(const struct sched *sched, struct sched_entity *entity)
{
    for (unsigned i = 0; i < entity->group->count; i++) {
        struct sched_entity *other = entity->group->member[i];
        if (is_pinned(sched, other) ? other->pinned == entity->pinned : !is_pinned(sched, entity))
            return &other->own;
    }
    return &entity->own;
}

int sched_add(struct sched *sched, struct sched_entity *entity)
{
    entity->account = account_of(sched, entity);
    if (is_pinned(sched, entity))
        entity->cpu = entity->pinned;
    else if (sched->domain_count > 1) // to all in turn
        entity->cpu = (uint16_t)(sched->added++ * sched->domain_cpus % sched->cpu_count);
    else if (entity->cpu >= sched->cpu_count)
        entity->cpu = 0;
    struct sched_domain *domain = sched_hold(sched, entity);
    set_state(entity, SCHED_QUEUED);
    const struct sched_cpu *cpu = &sched->cpu[entity->cpu];
    raise(&entity->account->vruntime, is_pinned(sched, entity) ? cpu->floor : cpu->domain->floor);
    charge(entity, entity->debt);
    entity->debt = 0;
    entity->ready = NEVER;
    enqueue(sched, entity, 0);
    int told = cpu_for(sched, entity);
    sched_release(domain);
    return told;
}

bool sched_park(struct sched *sched, struct sched_entity *entity)
{
    if (entity->state == SCHED_RUNNING)
        return false;
    if (entity->state != SCHED_PARKED)
        take(entity);
    show_head(sched->cpu[entity->cpu].domain);
    forget(sched, entity);
    set_state(entity, SCHED_PARKED);
    return true;
}

// An end of its sleep that it pays for: the CPU switches to it.
static void wake(struct sched *sched, struct sched_entity *entity, uint64_t now)
{
    entity->ready = now;
    enqueue(sched, entity, now);
    if (entity->state == SCHED_QUEUED)
        charge(entity, sched->cpu[entity->cpu].switching);
}

int sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now)
{
    if (entity->state != SCHED_BLOCKED)
        return -1;
    take(entity);
    wake(sched, entity, now);
    return cpu_for(sched, entity);
}

// ---- choosing ----

// What is rare is out of line, so that a choice without it is short.

// Queues whoever waited on this CPU until now.
__attribute__((noinline)) static void expire(struct sched *sched, struct sched_cpu *cpu,
                                             uint64_t now)
{
    struct sched_entity *timer;
    while ((timer = first(&cpu->timers))->key <= now) {
        take(timer);
        if (timer->state == SCHED_BLOCKED)
            wake(sched, timer, timer->key); // this CPU chooses next, then asks for help
        else
            enqueue(sched, timer, now);
    }
}

// A thread of a core takes part in what its VM has of it; how long.
static uint64_t join_core(struct sched_core *core, const struct sched_entity *entity, uint64_t now,
                          uint64_t slice)
{
    if (core->running++ == 0)
        *core = (struct sched_core){.running = 1, .group = entity->group};
    core->vruntime = MAX(core->vruntime, entity->key);
    if (core->until <= now)
        core->until = now + SCHED_SLICE;
    return MIN(slice, core->until - now);
}

__attribute__((noinline)) static uint64_t slice_of(struct sched *sched, const struct sched_cpu *cpu,
                                                   struct sched_entity *entity, uint64_t now)
{
    uint64_t slice = MIN(SCHED_SLICE, MAX(cap_left(entity->group, now), SCHED_LEAST));
    if (cpu->core != SCHED_NO_CORE)
        slice = join_core(&sched->core[cpu->core], entity, now, slice);
    return slice;
}

// Apart from sched_pick(), else the compiler computes the CPU's address anew for each use.
__attribute__((noinline)) static struct sched_entity *
pick(struct sched *sched, struct sched_cpu *cpu, uint64_t now, uint64_t *until)
{
    struct sched_entity *entity;
    uint64_t slice = SCHED_SLICE;
    if (cpu->timers.count)
        expire(sched, cpu, now);
    if (cpu->next || cpu->core != SCHED_NO_CORE)
        entity = choose(sched, cpu);
    else
        entity = least(cpu);
    if (!entity) {
        (void)set_idle(sched, cpu, true);
        cpu->left = NEVER;
        *until = first(&cpu->timers)->key;
        return NULL;
    }
    if (cpu->idle)
        (void)set_idle(sched, cpu, false);
    take(entity);
    if (cpu->domain->next != cpu->domain)
        show_head(cpu->domain);
    if (cpu->domain->floor < entity->key)
        atomic_store_explicit(&cpu->domain->floor, entity->key, memory_order_relaxed);
    if (cpu->floor < entity->key)
        cpu->floor = entity->key;
    atomic_store_explicit(
        &entity->cpu, cpu->number,
        memory_order_relaxed); // before the state: whoever sees RUNNING kicks this CPU
    entity->state = SCHED_RUNNING;
    entity->since = now;
    if (now > entity->ready)
        entity->waited += now - entity->ready;
    cpu->current = entity;
    if (entity->group->cap || cpu->core != SCHED_NO_CORE)
        slice = slice_of(sched, cpu, entity, now);
    *until = now + slice;
    if (cpu->timers.count)
        *until = MIN(*until, MAX(first(&cpu->timers)->key, now + SCHED_LEAST));
    return entity;
}

struct sched_entity *sched_pick(struct sched *sched, unsigned cpu, uint64_t now, uint64_t *until)
{
    return pick(sched, &sched->cpu[cpu], now, until);
}

void sched_begin(struct sched *sched, unsigned number, uint64_t now)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    cpu->current->since = now;
    if (cpu->left > now)
        return;
    uint64_t took = MIN(now - cpu->left, SCHED_LEAST); // it may have done other work meanwhile
    uint64_t was = cpu->switching;
    atomic_store_explicit(&cpu->switching, was + took / 8 - was / 8, memory_order_relaxed);
}

void sched_stop(struct sched *sched, unsigned number, uint64_t now, enum sched_state to,
                uint64_t deadline)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    struct sched_entity *entity = cpu->current;
    uint64_t ran = now > entity->since ? now - entity->since : 0;
    cpu->current = NULL;
    cpu->left = now;
    entity->received += ran;
    use_cap(entity->group, ran);
    charge(entity, ran + entity->debt + (to == SCHED_BLOCKED ? cpu->switching : 0));
    entity->debt = 0;
    if (cpu->core != SCHED_NO_CORE) {
        struct sched_core *core = &sched->core[cpu->core];
        core->running--;
        core->vruntime = MAX(core->vruntime, entity->account->vruntime);
    }
    entity->ready = to == SCHED_QUEUED ? now : NEVER;
    if (to == SCHED_PARKED) {
        forget(sched, entity);
        set_state(entity, SCHED_PARKED);
    } else if (to == SCHED_QUEUED) {
        enqueue(sched, entity, now);
    } else {
        set_state(entity, to);
        insert(&cpu->timers, entity, deadline);
    }
}

void sched_yield_to(struct sched *sched, unsigned number, struct sched_entity *target)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    charge(cpu->current, cpu->switching);
    if (!target || !is_in(sched, target, cpu->domain))
        target = least_of(sched, cpu, cpu->current->group);
    cpu->next = target;
}
