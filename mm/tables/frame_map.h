// Which frames are free: a bit each, looked at a word at a time.
#pragma once

#include "lib/bits.h"

#define FRAMES_PER_WORD 64

struct frame_map {
    uint64_t *word; // a bit is set while its frame is free; that of frame 0 never is
    uint64_t limit; // frames that it covers, whole words
};

static inline bool frame_map_is_free(const struct frame_map *map, uint64_t frame)
{
    return map->word[frame / FRAMES_PER_WORD] & BIT(frame % FRAMES_PER_WORD);
}

// Sets or clears the bits of a range. Returns how many were otherwise.
uint64_t frame_map_mark(struct frame_map *map, uint64_t first, uint64_t count, bool make_free);

// A free frame of the first word with one, beginning with the word of frame `from`, and at the
// beginning again after the end. 0: none.
uint64_t frame_map_next(const struct frame_map *map, uint64_t from);

// The highest run of `count` free frames that begins at a multiple of `step` and ends at or below
// `limit`. 0: none.
uint64_t frame_map_find(const struct frame_map *map, uint64_t count, uint64_t step, uint64_t limit);
