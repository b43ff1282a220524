// The rings of a console keep what was on the terminal, and are read here beside it.

#include "monitor/mux_streams.h"

// The guest may be printing: it is not met where it does.
static uint64_t oldest(const struct ring *text, uint64_t end)
{
    return end - MIN(end, text->size - text->size / 16);
}

uint64_t mux_read(const struct mux *mux, unsigned slot, uint64_t *position, uint8_t *to,
                  uint64_t most)
{
    const struct ring *text = &mux->channel[slot]->console.printed;
    uint64_t end = atomic_load_explicit(&text->written, memory_order_acquire);
    uint64_t begin = MAX(*position, oldest(text, end)), count = MIN(end - begin, most);
    for (uint64_t i = 0; i < count; i++)
        to[i] = text->bytes[(begin + i) & (text->size - 1)];
    *position = begin + count;
    return count;
}

uint64_t mux_type_into(struct mux *mux, unsigned slot, const uint8_t *bytes, uint64_t count)
{
    struct ring *typed = &mux->channel[slot]->console.typed;
    uint64_t done = 0;
    while (done < count && ring_put(typed, bytes[done]))
        done++;
    return done;
}
