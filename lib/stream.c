// Streams: who says what, and who is woken. Called by whoever holds an end.
#include "lib/stream.h"

void stream_init(struct stream *stream, uint8_t *bytes, uint32_t size,
                 void (*release)(struct stream *))
{
    *stream = (struct stream){.release = release};
    for (unsigned i = 0; i < 2; i++) {
        struct stream_end *end = &stream->end[i];
        end->stream = stream;
        end->peer = &stream->end[!i];
        ring_init(&end->given, bytes + (uint64_t)i * size, size);
    }
}

void stream_own(struct stream_end *end, void (*wake)(struct stream_end *), void *owner)
{
    spin_lock(&end->stream->lock);
    end->owner = owner;
    end->wake = wake;
    spin_unlock(&end->stream->lock);
}

static void wake(struct stream_end *end)
{
    spin_lock(&end->stream->lock);
    if (end->wake && !stream_says(end, STREAM_CLOSED))
        end->wake(end);
    spin_unlock(&end->stream->lock);
}

void stream_took(struct stream_end *end, uint64_t bytes)
{
    ring_took(&end->peer->given, bytes);
    if (bytes)
        wake(end->peer);
}

uint64_t stream_room(const struct stream_end *end, uint8_t **to)
{
    return stream_is_unheard(end) || stream_says(end, STREAM_FINISHED) ? 0
                                                                       : ring_room(&end->given, to);
}

void stream_gave(struct stream_end *end, uint64_t bytes)
{
    ring_wrote(&end->given, bytes);
    if (bytes)
        wake(end->peer);
}

uint64_t stream_take(struct stream_end *end, void *to, uint64_t most)
{
    const uint8_t *from;
    uint64_t taken = 0;
    for (uint64_t part; (part = min_once(stream_piece(end, &from), most - taken)); taken += part) {
        memcpy((uint8_t *)to + taken, from, part);
        ring_took(&end->peer->given, part);
    }
    if (taken)
        wake(end->peer);
    return taken;
}

uint64_t stream_give(struct stream_end *end, const void *from, uint64_t bytes)
{
    uint8_t *to;
    uint64_t given = 0;
    for (uint64_t part; (part = min_once(stream_room(end, &to), bytes - given)); given += part) {
        memcpy(to, (const uint8_t *)from + given, part);
        ring_wrote(&end->given, part);
    }
    if (given)
        wake(end->peer);
    return given;
}

static void say(struct stream_end *end, unsigned what)
{
    if ((atomic_fetch_or(&end->says, what) & what) != what)
        wake(end->peer);
}

void stream_finish(struct stream_end *end)
{
    say(end, STREAM_FINISHED);
}

void stream_deafen(struct stream_end *end)
{
    say(end, STREAM_DEAF);
}

void stream_close(struct stream_end *end)
{
    struct stream *stream = end->stream;
    spin_lock(&stream->lock);
    atomic_fetch_or(&end->says, STREAM_FINISHED | STREAM_DEAF | STREAM_CLOSED);
    bool is_last = stream_says(end->peer, STREAM_CLOSED);
    if (!is_last && end->peer->wake)
        end->peer->wake(end->peer);
    spin_unlock(&stream->lock);
    if (is_last)
        stream->release(stream);
}
