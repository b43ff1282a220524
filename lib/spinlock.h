// A ticket lock: fair, two words of memory. The comment on each lock lists what it guards.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"

struct spinlock {
    _Atomic uint32_t next;
    _Atomic uint32_t serving;
};

static inline void spin_lock(struct spinlock *lock)
{
    uint32_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    while (__builtin_expect(atomic_load_explicit(&lock->serving, memory_order_acquire) != ticket,
                            false))
        __builtin_ia32_pause();
}

// For who must not wait. False: it is held.
static inline bool spin_try(struct spinlock *lock)
{
    uint32_t ticket = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(&lock->next, &ticket, ticket + 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

static inline void spin_unlock(struct spinlock *lock)
{
    uint32_t ticket = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    atomic_store_explicit(&lock->serving, ticket + 1, memory_order_release);
}
