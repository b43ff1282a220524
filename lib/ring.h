// A ring of bytes over memory of the caller's. One writer and one reader may be different CPUs.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"

struct ring {
    uint8_t *bytes;
    uint32_t size; // a power of two
    _Atomic uint32_t written;
    _Atomic uint32_t read;
};

static inline void ring_init(struct ring *ring, uint8_t *bytes, uint32_t size)
{
    *ring = (struct ring){.bytes = bytes, .size = size};
}

static inline uint32_t ring_used(struct ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_acquire) -
           atomic_load_explicit(&ring->read, memory_order_acquire);
}

static inline uint32_t ring_free(struct ring *ring)
{
    return ring->size - ring_used(ring);
}

// False if the ring is full: the byte is not taken.
static inline bool ring_put(struct ring *ring, uint8_t byte)
{
    uint32_t at = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (ring_free(ring) == 0)
        return false;
    ring->bytes[at & (ring->size - 1)] = byte;
    atomic_store_explicit(&ring->written, at + 1, memory_order_release);
    return true;
}

// The next byte, or -1 if there is none; and the same, taken.
static inline int ring_peek(struct ring *ring)
{
    uint32_t at = atomic_load_explicit(&ring->read, memory_order_relaxed);
    return ring_used(ring) ? ring->bytes[at & (ring->size - 1)] : -1;
}

static inline int ring_get(struct ring *ring)
{
    int byte = ring_peek(ring);
    if (byte >= 0)
        atomic_fetch_add_explicit(&ring->read, 1, memory_order_release);
    return byte;
}
