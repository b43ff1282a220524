// The bitmap of free frames. See frame_map.h; called by frames.c, under its lock.

#include "mm/tables/frame_map.h"

uint64_t frame_map_mark(struct frame_map *map, uint64_t first, uint64_t count, bool make_free)
{
    uint64_t all = 0;
    while (count) {
        uint64_t bit = first % FRAMES_PER_WORD, in_word = MIN(count, FRAMES_PER_WORD - bit);
        uint64_t mask = (in_word == FRAMES_PER_WORD ? ~UINT64_C(0) : BIT(in_word) - 1) << bit;
        uint64_t *word = &map->word[first / FRAMES_PER_WORD];
        uint64_t before = *word;
        *word = make_free ? before | mask : before & ~mask;
        uint64_t bits = before ^ *word;
        all += ~bits ? bit_count(bits) : FRAMES_PER_WORD;
        first += in_word;
        count -= in_word;
    }
    return all;
}

uint64_t frame_map_next(const struct frame_map *map, uint64_t from)
{
    uint64_t words = map->limit / FRAMES_PER_WORD;
    for (uint64_t i = 0; i < words; i++) {
        uint64_t word = (from / FRAMES_PER_WORD + i) % words;
        if (map->word[word])
            return word * FRAMES_PER_WORD + lowest_bit(map->word[word]);
    }
    return 0;
}

// The length of the free run that ends before frame `end`, at most `wanted`; whole words at once.
static uint64_t free_run_below(const struct frame_map *map, uint64_t end, uint64_t wanted)
{
    uint64_t run = 0;
    while (run < wanted && run < end) {
        uint64_t frame = end - run - 1;
        if (frame % FRAMES_PER_WORD == FRAMES_PER_WORD - 1 && end - run >= FRAMES_PER_WORD &&
            map->word[frame / FRAMES_PER_WORD] == ~UINT64_C(0))
            run += FRAMES_PER_WORD;
        else if (frame_map_is_free(map, frame))
            run++;
        else
            break;
    }
    return run;
}

uint64_t frame_map_find(const struct frame_map *map, uint64_t count, uint64_t step, uint64_t limit)
{
    if (count == 0 || count > limit)
        return 0;
    for (uint64_t first = align_down(limit - count, step);; first -= step) {
        uint64_t run = free_run_below(map, first + count, count);
        if (run >= count)
            return first;
        // The run ends below the taken frame that stopped it, and below all words before that are
        // taken as a whole.
        uint64_t end = first + count - run - 1;
        if (map->word[end / FRAMES_PER_WORD] == 0)
            end = align_down(end, FRAMES_PER_WORD);
        while (end && end % FRAMES_PER_WORD == 0 && map->word[end / FRAMES_PER_WORD - 1] == 0)
            end -= FRAMES_PER_WORD;
        if (end < count)
            return 0;
        first = align_down(end - count, step) + step;
    }
}
