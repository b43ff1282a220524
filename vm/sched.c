// The scheduling policy.

#include "vm/sched.h"

#include "vm/bus.h"
#include "vm/sched_heap.h"

// ---- set-up ----

size_t sched_slots(unsigned cpu_count)
{
    return SCHED_VCPUS * (1 + 2 * (size_t)cpu_count);
}

void sched_init(struct sched *sched, unsigned cpu_count, struct sched_entity **slots)
{
    *sched = (struct sched){.cpu_count = cpu_count, .queue = {slots, 0}};
    for (unsigned i = 0; i < cpu_count; i++) {
        struct sched_entity **own = slots + (1 + 2 * (size_t)i) * SCHED_VCPUS;
        sched->cpu[i] = (struct sched_cpu){
            .pinned = {own, 0},
            .timers = {own + SCHED_VCPUS, 0},
            .number = (uint16_t)i,
            .core = SCHED_NO_CORE,
        };
    }
}

void sched_set_core(struct sched *sched, unsigned cpu, unsigned core)
{
    struct sched_cpu *own = &sched->cpu[cpu];
    own->core = (uint16_t)core;
    own->sibling = (uint16_t)cpu;
    sched->has_cores = true;
    for (unsigned i = 0; i < sched->cpu_count; i++)
        if (i != cpu && sched->cpu[i].core == core) {
            own->sibling = sched->cpu[i].sibling;
            sched->cpu[i].sibling = (uint16_t)cpu;
            break;
        }
}

// ---- which one a CPU would run ----

static bool is_pinned(const struct sched *sched, const struct sched_entity *entity)
{
    return entity->pinned < sched->cpu_count;
}

// The one of a group that has had least, of those that are queued and may run on this CPU.
static struct sched_entity *least_of(const struct sched *sched, const struct sched_cpu *cpu,
                                     const struct sched_group *group)
{
    struct sched_entity *least = NULL;
    for (unsigned i = 0; i < group->count; i++) {
        struct sched_entity *entity = group->member[i];
        if (entity->state == SCHED_QUEUED &&
            (!is_pinned(sched, entity) || &sched->cpu[entity->pinned] == cpu) &&
            (!least || entity->vruntime < least->vruntime))
            least = entity;
    }
    return least;
}

// The one that has had least.
static struct sched_entity *least(const struct sched *sched, const struct sched_cpu *cpu)
{
    struct sched_entity *own = first(&cpu->pinned), *any = first(&sched->queue);
    return !own || (any && any->key < own->key) ? any : own;
}

// ---- cores that one VM at a time has ----

static struct sched_entity *least_of_core(const struct sched *sched, const struct sched_cpu *cpu)
{
    struct sched_entity *found = least(sched, cpu);
    for (unsigned i = cpu->sibling; i != cpu->number; i = sched->cpu[i].sibling) {
        struct sched_entity *other = least(sched, &sched->cpu[i]);
        if (!found || (other && other->vruntime < found->vruntime))
            found = other;
    }
    return found;
}

// Whether another VM runs on the CPU's core.
static bool is_shut_out(const struct sched *sched, const struct sched_cpu *cpu,
                        const struct sched_entity *entity)
{
    if (cpu->core == SCHED_NO_CORE)
        return false;
    const struct sched_core *core = &sched->core[cpu->core];
    return core->running && core->group != entity->group;
}

// The one that waits for another VM to leave the CPU's core, which has had more; or NULL.
static struct sched_entity *claimant(const struct sched *sched, const struct sched_cpu *cpu)
{
    if (cpu->core == SCHED_NO_CORE)
        return NULL;
    struct sched_entity *entity = least_of_core(sched, cpu);
    return entity && is_shut_out(sched, cpu, entity) &&
                   entity->vruntime < sched->core[cpu->core].vruntime
               ? entity
               : NULL;
}

// A sibling that is to leave for the claimant, or -1.
static int in_the_way(const struct sched *sched, const struct sched_cpu *cpu)
{
    if (claimant(sched, cpu))
        for (unsigned i = cpu->sibling; i != cpu->number; i = sched->cpu[i].sibling)
            if (sched->cpu[i].current)
                return (int)i;
    return -1;
}

static const struct sched_group *group_for(const struct sched *sched, const struct sched_cpu *cpu)
{
    const struct sched_core *core = &sched->core[cpu->core];
    if (core->running)
        return claimant(sched, cpu) ? NULL : core->group;
    const struct sched_entity *entity = least_of_core(sched, cpu);
    return entity ? entity->group : NULL;
}

__attribute__((noinline)) static struct sched_entity *choose(const struct sched *sched,
                                                             const struct sched_cpu *cpu)
{
    bool is_asked = cpu->next && cpu->next->state == SCHED_QUEUED;
    struct sched_entity *entity = is_asked ? cpu->next : least(sched, cpu);
    if (cpu->core == SCHED_NO_CORE)
        return entity;
    const struct sched_group *group = group_for(sched, cpu);
    if (!group || (entity && entity->group == group))
        return group ? entity : NULL;
    return least_of(sched, cpu, group);
}

// ---- becoming runnable ----

static void enqueue(struct sched *sched, struct sched_entity *entity)
{
    entity->state = SCHED_QUEUED;
    insert(is_pinned(sched, entity) ? &sched->cpu[entity->pinned].pinned : &sched->queue, entity,
           entity->vruntime);
}

static void set_idle(struct sched *sched, struct sched_cpu *cpu, bool idle)
{
    if (cpu->idle != idle)
        sched->idle_count += idle ? 1U : UINT32_MAX;
    cpu->idle = idle;
}

// A CPU that is told counts as busy from then on: the next one to be queued goes to another.
static int tell_idle(struct sched *sched, unsigned number)
{
    set_idle(sched, &sched->cpu[number], false);
    return (int)number;
}

// The CPU that should look around because `entity` was queued: an idle one, or the one where it ran
// last if what runs there has had more than its share.
static int cpu_for(struct sched *sched, const struct sched_entity *entity)
{
    unsigned home = is_pinned(sched, entity) ? entity->pinned : entity->cpu;
    const struct sched_cpu *cpu = &sched->cpu[home];
    if (cpu->idle && !is_shut_out(sched, cpu, entity))
        return tell_idle(sched, home);
    for (unsigned i = 0; sched->idle_count > 0 && !is_pinned(sched, entity) && i < sched->cpu_count;
         i++)
        if (sched->cpu[i].idle && !is_shut_out(sched, &sched->cpu[i], entity))
            return tell_idle(sched, i);
    if (!cpu->current)
        return in_the_way(sched, cpu);
    return cpu->current->vruntime > entity->vruntime ? (int)home : -1;
}

int sched_help(struct sched *sched)
{
    if (!sched->idle_count || (!sched->queue.count && !sched->has_cores))
        return -1;
    for (unsigned i = 0; i < sched->cpu_count; i++) {
        const struct sched_cpu *cpu = &sched->cpu[i];
        if (!cpu->idle || (sched->has_cores && !least_of_core(sched, cpu)))
            continue;
        if (choose(sched, cpu))
            return tell_idle(sched, i);
        int other = in_the_way(sched, cpu);
        if (other >= 0)
            return other;
    }
    return -1;
}

static uint64_t weighted(const struct sched_entity *entity, uint64_t time)
{
    return time * SCHED_WEIGHT_DEFAULT / entity->weight;
}

// The level that one who joins starts from. What is pinned competes on its CPU alone, which may
// have given out less than the others.
static uint64_t floor_for(const struct sched *sched, const struct sched_entity *entity)
{
    return is_pinned(sched, entity) ? sched->cpu[entity->pinned].floor : sched->floor;
}

static void make_runnable(struct sched *sched, struct sched_entity *entity)
{
    uint64_t bonus = weighted(entity, SCHED_SLICE), level = floor_for(sched, entity);
    uint64_t earliest = level > bonus ? level - bonus : 0;
    if (entity->vruntime < earliest)
        entity->vruntime = earliest;
    enqueue(sched, entity);
}

int sched_add(struct sched *sched, struct sched_entity *entity)
{
    uint64_t level = floor_for(sched, entity);
    if (entity->vruntime < level)
        entity->vruntime = level;
    entity->vruntime += weighted(entity, entity->debt);
    entity->debt = 0;
    entity->ready = NEVER;
    if (entity->cpu >= sched->cpu_count)
        entity->cpu = 0;
    enqueue(sched, entity);
    return cpu_for(sched, entity);
}

// Nothing names it any more: its memory may be gone before the next call.
static void forget(struct sched *sched, struct sched_entity *entity)
{
    for (unsigned i = 0; i < sched->cpu_count; i++)
        if (sched->cpu[i].next == entity)
            sched->cpu[i].next = NULL;
    entity->state = SCHED_PARKED;
}

bool sched_park(struct sched *sched, struct sched_entity *entity)
{
    if (entity->state == SCHED_RUNNING)
        return false;
    if (entity->heap)
        take(entity);
    forget(sched, entity);
    return true;
}

int sched_wake(struct sched *sched, struct sched_entity *entity, uint64_t now)
{
    if (entity->state != SCHED_BLOCKED)
        return -1;
    take(entity);
    entity->ready = now;
    make_runnable(sched, entity);
    return cpu_for(sched, entity);
}

// ---- choosing ----

// What is rare is out of line, so that a choice without it is short.

// Queues whoever waited on this CPU until now; when the next one is due.
__attribute__((noinline)) static uint64_t expire(struct sched *sched, struct sched_cpu *cpu,
                                                 uint64_t now)
{
    struct sched_entity *timer;
    while ((timer = first(&cpu->timers)) && timer->key <= now) {
        take(timer);
        if (timer->state == SCHED_BLOCKED)
            timer->ready = timer->key;
        make_runnable(sched, timer); // this CPU chooses next, then asks for help
    }
    return timer ? timer->key : NEVER;
}

// How much longer its cap lets it run, from `now` on; a new period begins where the old one is
// over.
static uint64_t cap_left(struct sched_entity *entity, uint64_t now)
{
    if (!entity->cap)
        return NEVER;
    if (now - entity->period >= SCHED_CAP_PERIOD) {
        entity->period = now;
        entity->used = 0;
    }
    uint64_t budget = SCHED_CAP_PERIOD / 100 * entity->cap;
    return budget > entity->used ? budget - entity->used : 0;
}

// A thread of a core takes part in what its VM has of it; how long.
static uint64_t join_core(struct sched_core *core, const struct sched_entity *entity, uint64_t now,
                          uint64_t slice)
{
    if (core->running++ == 0)
        *core = (struct sched_core){.running = 1, .group = entity->group};
    core->vruntime = MAX(core->vruntime, entity->vruntime);
    if (core->until <= now)
        core->until = now + SCHED_SLICE;
    return MIN(slice, core->until - now);
}

__attribute__((noinline)) static uint64_t slice_of(struct sched *sched, const struct sched_cpu *cpu,
                                                   struct sched_entity *entity, uint64_t now)
{
    uint64_t slice = MIN(SCHED_SLICE, MAX(cap_left(entity, now), SCHED_SLICE / 100));
    if (cpu->core != SCHED_NO_CORE)
        slice = join_core(&sched->core[cpu->core], entity, now, slice);
    return slice;
}

// Apart from sched_pick(), else the compiler computes the CPU's address anew for each use.
__attribute__((noinline)) static struct sched_entity *
pick(struct sched *sched, struct sched_cpu *cpu, uint64_t now, uint64_t *until)
{
    struct sched_entity *entity;
    uint64_t end = NEVER, slice = SCHED_SLICE;
    if (cpu->timers.count)
        end = expire(sched, cpu, now);
    if (cpu->next || cpu->core != SCHED_NO_CORE)
        entity = choose(sched, cpu);
    else
        entity = least(sched, cpu);
    cpu->next = NULL;
    if (cpu->idle != !entity)
        set_idle(sched, cpu, !entity);
    *until = end;
    if (!entity)
        return NULL;
    take(entity);
    sched->floor = MAX(sched->floor, entity->vruntime);
    cpu->floor = MAX(cpu->floor, entity->vruntime);
    entity->cpu = cpu->number; // before the state: whoever sees RUNNING kicks this CPU
    entity->state = SCHED_RUNNING;
    entity->since = now;
    if (now > entity->ready)
        entity->waited += now - entity->ready;
    cpu->current = entity;
    if (entity->cap || cpu->core != SCHED_NO_CORE)
        slice = slice_of(sched, cpu, entity, now);
    *until = MIN(end, now + slice);
    return entity;
}

struct sched_entity *sched_pick(struct sched *sched, unsigned cpu, uint64_t now, uint64_t *until)
{
    return pick(sched, &sched->cpu[cpu], now, until);
}

void sched_stop(struct sched *sched, unsigned number, uint64_t now, enum sched_state to,
                uint64_t deadline)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    struct sched_entity *entity = cpu->current;
    uint64_t ran = now > entity->since ? now - entity->since : 0;
    cpu->current = NULL;
    entity->received += ran;
    entity->used += ran;
    entity->vruntime += weighted(entity, ran);
    if (cpu->core != SCHED_NO_CORE) {
        struct sched_core *core = &sched->core[cpu->core];
        core->running--;
        core->vruntime = MAX(core->vruntime, entity->vruntime);
    }
    entity->state = (uint8_t)to;
    entity->ready = to == SCHED_QUEUED ? now : NEVER;
    if (to == SCHED_PARKED) {
        forget(sched, entity);
        return;
    }
    if (to == SCHED_QUEUED && cap_left(entity, now) > 0) {
        enqueue(sched, entity);
        return;
    }
    if (to == SCHED_QUEUED) {
        entity->state = SCHED_THROTTLED;
        deadline = entity->period + SCHED_CAP_PERIOD;
    }
    insert(&cpu->timers, entity, deadline);
}

void sched_yield_to(struct sched *sched, unsigned number, const struct sched_group *group)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    cpu->next = least_of(sched, cpu, group);
}
