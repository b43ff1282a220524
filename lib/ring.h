// A ring of bytes over memory of the caller's. One writer and one reader may be different CPUs.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/string.h"

struct ring {
    uint8_t *bytes;
    uint32_t size;            // a power of two
    _Atomic uint64_t written; // bytes in all
    _Atomic uint64_t read;
};

static inline void ring_init(struct ring *ring, uint8_t *bytes, uint32_t size)
{
    *ring = (struct ring){.bytes = bytes, .size = size};
}

static inline uint64_t ring_used(const struct ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_acquire) -
           atomic_load_explicit(&ring->read, memory_order_acquire);
}

static inline uint64_t ring_free(const struct ring *ring)
{
    uint64_t used = ring_used(ring);
    return used < ring->size ? ring->size - used : 0;
}

// False if the ring is full: the byte is not taken.
static inline bool ring_put(struct ring *ring, uint8_t byte)
{
    uint64_t at = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (ring_free(ring) == 0)
        return false;
    ring->bytes[at & (ring->size - 1)] = byte;
    atomic_store_explicit(&ring->written, at + 1, memory_order_release);
    return true;
}

// The room behind what was written, as far as it is in one piece; and so many bytes of it are
// written now.
static inline uint64_t ring_room(const struct ring *ring, uint8_t **to)
{
    uint64_t at = atomic_load_explicit(&ring->written, memory_order_relaxed) & (ring->size - 1);
    *to = ring->bytes + at;
    return min_once(ring_free(ring), ring->size - at);
}

static inline void ring_wrote(struct ring *ring, uint64_t bytes)
{
    atomic_fetch_add_explicit(&ring->written, bytes, memory_order_release);
}

// The same of what is to be read.
static inline uint64_t ring_piece(const struct ring *ring, const uint8_t **from)
{
    uint64_t at = atomic_load_explicit(&ring->read, memory_order_relaxed) & (ring->size - 1);
    *from = ring->bytes + at;
    return min_once(ring_used(ring), ring->size - at);
}

static inline void ring_took(struct ring *ring, uint64_t bytes)
{
    atomic_fetch_add_explicit(&ring->read, bytes, memory_order_release);
}

// The next byte, or -1 if there is none; and the same, taken.
static inline int ring_peek(struct ring *ring)
{
    uint64_t at = atomic_load_explicit(&ring->read, memory_order_relaxed);
    return ring_used(ring) ? ring->bytes[at & (ring->size - 1)] : -1;
}

static inline int ring_get(struct ring *ring)
{
    int byte = ring_peek(ring);
    if (byte >= 0)
        atomic_fetch_add_explicit(&ring->read, 1, memory_order_release);
    return byte;
}

// Moves what is in one ring to another, as far as there is room.
static inline void ring_move(struct ring *to, struct ring *from)
{
    const uint8_t *bytes;
    uint8_t *room;
    for (uint64_t part; (part = min_once(ring_piece(from, &bytes), ring_room(to, &room)));) {
        memcpy(room, bytes, part);
        ring_wrote(to, part);
        ring_took(from, part);
    }
}
