// A stream: bytes in both directions between two ends, in order, none lost. An end is a connection
// of virtio-vsock, a task that speaks a protocol, a host's UART, or, in tests, a socket. Nobody
// waits here: an end takes what is there, gives what there is room for, and is woken when that
// changes.
//
// Each end belongs to one owner, whose calls do not run at the same time; the two owners may be on
// two CPUs. An owner that has closed its end does not touch it again.
#pragma once

#include "lib/ring.h"
#include "lib/spinlock.h"

enum {
    STREAM_FINISHED = 1, // gives nothing more
    STREAM_DEAF = 2,     // takes nothing more
    STREAM_CLOSED = 4,   // has let go of it
};

struct stream_end {
    struct stream *stream;
    struct stream_end *peer;
    struct ring given; // by this end, to be taken by the other
    // There is something to take, more room, or the other end finished, is deaf or has closed. From
    // any CPU, under the stream's lock: it marks and rouses, and calls nothing of the stream's.
    void (*wake)(struct stream_end *end);
    void *owner;
    _Atomic unsigned says; // STREAM_*
};

struct stream {
    struct stream_end end[2];
    struct spinlock lock; // wakes and closes, so that no end is woken once it is closed
    // The last end has closed: the memory may go. Its caller is the owner of that end.
    void (*release)(struct stream *stream);
};

// Two rings of `size` bytes, a power of two, beginning at `bytes`. The ends have no owners yet, and
// are not woken until they have one.
void stream_init(struct stream *stream, uint8_t *bytes, uint32_t size,
                 void (*release)(struct stream *));

void stream_own(struct stream_end *end, void (*wake)(struct stream_end *), void *owner);

static inline bool stream_says(const struct stream_end *end, unsigned what)
{
    return atomic_load_explicit(&end->says, memory_order_acquire) & what;
}

// What the other end gave, as far as it lies in one piece (none if this end is deaf); and so much
// of it is taken now.
static inline uint64_t stream_piece(const struct stream_end *end, const uint8_t **from)
{
    return stream_says(end, STREAM_DEAF) ? 0 : ring_piece(&end->peer->given, from);
}

void stream_took(struct stream_end *end, uint64_t bytes);

// Room for what this end gives, in one piece (none if the other end is deaf: nothing comes to it);
// and so much of it is given now.
uint64_t stream_room(const struct stream_end *end, uint8_t **to);
void stream_gave(struct stream_end *end, uint64_t bytes);

// By copies, as far as it goes: the number of bytes.
uint64_t stream_take(struct stream_end *end, void *to, uint64_t most);
uint64_t stream_give(struct stream_end *end, const void *from, uint64_t bytes);

// Gives nothing more, or takes nothing more: what lies there for it is dropped.
void stream_finish(struct stream_end *end);
void stream_deafen(struct stream_end *end);

// Both, for ever. What was given is there for the other end until it has taken it.
void stream_close(struct stream_end *end);

// Everything that the other end gave is taken, or is for nobody, and nothing more will come.
static inline bool stream_is_at_end(const struct stream_end *end)
{
    return stream_says(end->peer, STREAM_FINISHED) &&
           (stream_says(end, STREAM_DEAF) || ring_used(&end->peer->given) == 0);
}

// What is given from now on reaches nobody.
static inline bool stream_is_unheard(const struct stream_end *end)
{
    return stream_says(end->peer, STREAM_DEAF);
}
