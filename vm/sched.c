// The scheduling policy.

#include "vm/sched.h"

#include "vm/bus.h"

// ---- heaps ----

static void place(struct sched_heap *heap, uint32_t index, struct sched_entity *entity)
{
    heap->slot[index] = entity;
    entity->index = index;
}

static void sift_up(struct sched_heap *heap, uint32_t index, struct sched_entity *entity)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (heap->slot[parent]->key <= entity->key)
            break;
        place(heap, index, heap->slot[parent]);
        index = parent;
    }
    place(heap, index, entity);
}

// `entity` was the heap's last and still stands behind its end: there it answers for a child that
// is missing.
static void sift_down(struct sched_heap *heap, size_t index, struct sched_entity *entity)
{
    struct sched_entity **slot = heap->slot; // these do not change: each choice comes by here
    size_t count = heap->count;
    uint64_t key = entity->key;
    for (size_t child = 2 * index + 1; child < count; child = 2 * index + 1) {
        struct sched_entity *lesser = slot[child], *right = slot[child + 1];
        if (right->key < lesser->key) {
            lesser = right;
            child++;
        }
        if (lesser->key >= key)
            break;
        slot[index] = lesser;
        lesser->index = (uint32_t)index;
        index = child;
    }
    place(heap, (uint32_t)index, entity);
}

static void insert(struct sched_heap *heap, struct sched_entity *entity, uint64_t key)
{
    entity->heap = heap;
    entity->key = key;
    sift_up(heap, heap->count++, entity);
}

static void take(struct sched_entity *entity)
{
    struct sched_heap *heap = entity->heap;
    uint32_t index = entity->index;
    struct sched_entity *last = heap->slot[--heap->count];
    entity->heap = NULL;
    if (last == entity)
        return;
    if (index > 0 && heap->slot[(index - 1) / 2]->key > last->key)
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}

static struct sched_entity *first(const struct sched_heap *heap)
{
    return heap->count ? heap->slot[0] : NULL;
}

// ---- set-up ----

size_t sched_slots(unsigned cpu_count)
{
    return SCHED_VCPUS * (1 + 2 * (size_t)cpu_count);
}

void sched_init(struct sched *sched, unsigned cpu_count, struct sched_entity **slots)
{
    sched->cpu_count = cpu_count;
    sched->queue = (struct sched_heap){slots, 0, SCHED_VCPUS};
    sched->floor = 0;
    sched->idle_count = 0;
    for (unsigned i = 0; i < cpu_count; i++) {
        struct sched_entity **own = slots + (1 + 2 * (size_t)i) * SCHED_VCPUS;
        sched->cpu[i] = (struct sched_cpu){
            .pinned = {own, 0, SCHED_VCPUS},
            .timers = {own + SCHED_VCPUS, 0, SCHED_VCPUS},
        };
    }
}

// ---- becoming runnable ----

static bool is_pinned(const struct sched *sched, const struct sched_entity *entity)
{
    return entity->pinned < sched->cpu_count;
}

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

static int tell_any_idle(struct sched *sched)
{
    if (sched->idle_count > 0)
        for (unsigned i = 0; i < sched->cpu_count; i++)
            if (sched->cpu[i].idle)
                return tell_idle(sched, i);
    return -1;
}

// The CPU that should look around because `entity` was queued: an idle one, or the one where it ran
// last if what runs there has had more than its share.
static int cpu_for(struct sched *sched, const struct sched_entity *entity)
{
    unsigned home = is_pinned(sched, entity) ? entity->pinned : entity->cpu;
    const struct sched_cpu *cpu = &sched->cpu[home];
    if (cpu->idle)
        return tell_idle(sched, home);
    int other = is_pinned(sched, entity) ? -1 : tell_any_idle(sched);
    if (other >= 0)
        return other;
    return cpu->current && cpu->current->vruntime > entity->vruntime ? (int)home : -1;
}

int sched_help(struct sched *sched)
{
    return sched->queue.count ? tell_any_idle(sched) : -1;
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

// Out of line, so that a choice without it is short.
__attribute__((noinline)) static void expire(struct sched *sched, struct sched_entity *entity)
{
    take(entity);
    if (entity->state == SCHED_BLOCKED)
        entity->ready = entity->key;
    make_runnable(sched, entity); // this CPU chooses next, then asks for help
}

static struct sched_entity *choose(struct sched *sched, struct sched_cpu *cpu)
{
    if (cpu->next && cpu->next->state == SCHED_QUEUED)
        return cpu->next;
    if (!cpu->pinned.count)
        return first(&sched->queue);
    struct sched_entity *own = cpu->pinned.slot[0];
    return sched->queue.count && sched->queue.slot[0]->key < own->key ? sched->queue.slot[0] : own;
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

__attribute__((noinline)) static uint64_t capped_slice(struct sched_entity *entity, uint64_t now)
{
    uint64_t left = cap_left(entity, now);
    return MIN(SCHED_SLICE, MAX(left, SCHED_SLICE / 100));
}

struct sched_entity *sched_pick(struct sched *sched, unsigned number, uint64_t now, uint64_t *until)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    struct sched_entity *timer, *entity;
    while ((timer = first(&cpu->timers)) && timer->key <= now)
        expire(sched, timer);
    uint64_t end = timer ? timer->key : NEVER;
    entity = choose(sched, cpu);
    cpu->next = NULL;
    set_idle(sched, cpu, entity == NULL);
    if (!entity) {
        *until = end;
        return NULL;
    }
    take(entity);
    sched->floor = MAX(sched->floor, entity->vruntime);
    cpu->floor = MAX(cpu->floor, entity->vruntime);
    entity->cpu = (uint16_t)number; // before the state: whoever sees RUNNING kicks this CPU
    entity->state = SCHED_RUNNING;
    entity->since = now;
    if (entity->ready && now > entity->ready)
        entity->waited += now - entity->ready;
    cpu->current = entity;
    uint64_t slice = entity->cap ? capped_slice(entity, now) : SCHED_SLICE;
    *until = MIN(end, now + slice);
    return entity;
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
    entity->state = (uint8_t)to;
    entity->ready = to == SCHED_QUEUED ? now : 0;
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

void sched_yield_to(struct sched *sched, unsigned number, struct sched_entity *const *siblings,
                    unsigned count)
{
    struct sched_cpu *cpu = &sched->cpu[number];
    cpu->next = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct sched_entity *sibling = siblings[i];
        bool allowed = sibling->pinned >= sched->cpu_count || sibling->pinned == number;
        if (sibling->state == SCHED_QUEUED && allowed &&
            (!cpu->next || sibling->vruntime < cpu->next->vruntime))
            cpu->next = sibling;
    }
}
