// Frames that are clear and not used, kept without memory of their own: each names the next by its
// first word. And such that some CPU may still see by a mapping that they have left.
#pragma once

#include "vm/address.h"

struct frame_chain {
    uint64_t first; // its address; 0: there is none
    uint64_t count;
};

static inline void frame_chain_push(struct frame_chain *chain, void *frame)
{
    *(uint64_t *)frame = chain->first;
    chain->first = (uintptr_t)frame;
    chain->count++;
}

// One of them, zeroed, or NULL.
static inline void *frame_chain_pop(struct frame_chain *chain)
{
    uint64_t *frame = (uint64_t *)(uintptr_t)chain->first;
    if (frame) {
        chain->first = *frame;
        chain->count--;
        *frame = 0;
    }
    return frame;
}

// Frames that left one owner's view. Time is counted in rounds of all CPUs: what left in round n is
// seen by nobody in round n + 2.
struct frames_leaving {
    struct frame_chain leaving, waiting;
    uint64_t since; // the round in which the last of those that wait had left
};

// One that waits no longer, zeroed, or NULL. A frame that leaves is pushed to `leaving`.
static inline void *frames_leaving_take(struct frames_leaving *frames, uint64_t round)
{
    if (!frames->waiting.count) {
        frames->waiting = frames->leaving;
        frames->leaving = (struct frame_chain){0};
        frames->since = round;
    }
    return round - frames->since >= 2 ? frame_chain_pop(&frames->waiting) : NULL;
}

// Any of them, for the view that it has left.
static inline void *frames_leaving_again(struct frames_leaving *frames)
{
    return frame_chain_pop(frames->leaving.count ? &frames->leaving : &frames->waiting);
}
