// The scheduler's queues: binary heaps of entities, the least key first. Used by vm/sched/sched.c
// alone.
#pragma once

#include "vm/sched/sched.h"

// Stands first in an empty one; its key is NEVER.
extern const struct sched_entity sched_nobody;

static inline void set_empty(struct sched_heap *heap)
{
    heap->slot[0] = (struct sched_entity *)&sched_nobody; // nobody writes there
}

static inline void place(struct sched_heap *heap, size_t index, struct sched_entity *entity)
{
    heap->slot[index] = entity;
    entity->index = index;
}

static inline void sift_up(struct sched_heap *heap, size_t index, struct sched_entity *entity)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->slot[parent]->key <= entity->key)
            break;
        place(heap, index, heap->slot[parent]);
        index = parent;
    }
    place(heap, index, entity);
}

// `entity` was the heap's last and still stands behind its end: there it answers for a child that
// is missing.
static inline void sift_down(struct sched_heap *heap, size_t index, struct sched_entity *entity)
{
    struct sched_entity **slot = heap->slot;
    size_t count = heap->count;
    uint64_t key = entity->key;
    for (size_t child = 2 * index + 1; child < count; child = 2 * index + 1) {
        struct sched_entity *lesser = slot[child], *right = slot[child + 1];
        if (right->key < lesser->key)
            lesser = right;
        if (lesser->key >= key)
            break;
        size_t from = lesser->index;
        slot[index] = lesser;
        lesser->index = index;
        index = from;
    }
    place(heap, index, entity);
}

static inline void insert(struct sched_heap *heap, struct sched_entity *entity, uint64_t key)
{
    entity->heap = heap;
    entity->key = key;
    sift_up(heap, heap->count++, entity);
}

static inline void take(struct sched_entity *entity)
{
    struct sched_heap *heap = entity->heap;
    size_t index = entity->index;
    struct sched_entity *last = heap->slot[--heap->count];
    if (last == entity) {
        if (index == 0)
            set_empty(heap);
        return;
    }
    if (index > 0 && heap->slot[(index - 1) / 2]->key > last->key)
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}

static inline struct sched_entity *first(const struct sched_heap *heap)
{
    return heap->slot[0];
}
