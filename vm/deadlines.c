// A binary heap: the children of place n are at 2n + 1 and 2n + 2. Called under the locks of
// devices (vm/vdev.c), and by the loop of vCPU 0.
#include "vm/deadlines.h"

#include "lib/panic.h"

static void place(struct deadlines *all, struct deadline *deadline, unsigned at)
{
    all->heap[at] = deadline;
    deadline->place = at;
}

static void sift(struct deadlines *all, struct deadline *deadline, unsigned hole)
{
    while (hole > 0 && deadline->at < all->heap[(hole - 1) / 2]->at) {
        place(all, all->heap[(hole - 1) / 2], hole);
        hole = (hole - 1) / 2;
    }
    for (unsigned child = 2 * hole + 1; child < all->count; child = 2 * hole + 1) {
        child += child + 1 < all->count && all->heap[child + 1]->at < all->heap[child]->at;
        if (deadline->at <= all->heap[child]->at)
            break;
        place(all, all->heap[child], hole);
        hole = child;
    }
    place(all, deadline, hole);
}

// The lock is held. True: the first one became earlier.
static bool move(struct deadlines *all, struct deadline *deadline, uint64_t at)
{
    bool was_in = deadline->at != NEVER;
    deadline->at = at;
    if (at != NEVER && !was_in) {
        assert(all->count < DEADLINES);
        sift(all, deadline, all->count++);
    } else if (at != NEVER) {
        sift(all, deadline, deadline->place);
    } else if (was_in && deadline->place != --all->count) {
        sift(all, all->heap[all->count], deadline->place);
    }
    uint64_t first = all->count ? all->heap[0]->at : NEVER;
    return first < atomic_exchange(&all->first, first);
}

bool deadlines_set(struct deadlines *all, struct deadline *deadline, uint64_t at)
{
    spin_lock(&all->lock);
    bool is_earlier = deadline->at != at && move(all, deadline, at);
    spin_unlock(&all->lock);
    return is_earlier;
}

struct deadline *deadlines_take(struct deadlines *all, uint64_t now)
{
    struct deadline *due = NULL;
    if (atomic_load(&all->first) > now)
        return NULL;
    spin_lock(&all->lock);
    if (all->count && all->heap[0]->at <= now) {
        due = all->heap[0];
        move(all, due, NEVER);
    }
    spin_unlock(&all->lock);
    return due;
}
