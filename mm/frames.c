// The frame allocator: a bitmap of the machine's memory, searched a word at a time. Called while
// VMs are built and destroyed, by any CPU. Pure: a frame's pointer is its address, so it runs over
// any memory that is mapped one to one.

#include "mm/frames.h"

#include "lib/panic.h"
#include "lib/spinlock.h"
#include "lib/string.h"

#define FRAMES_PER_WORD 64

// A bit is set while its frame is free. Guards: every variable here.
static struct spinlock lock;
static uint64_t *free_map;
static uint64_t frame_limit; // frames that the map covers
static uint64_t next_single; // where the search for a single frame goes on (a word)
static uint64_t free_count, total_count;
static uint64_t retired[32]; // frames
static unsigned retired_count;

uint64_t frames_bitmap_size(uint64_t top)
{
    return align_up(align_up(top, PAGE_SIZE * FRAMES_PER_WORD) / PAGE_SIZE / 8, PAGE_SIZE);
}

void frames_init(hpa_t bitmap, uint64_t top)
{
    free_map = (uint64_t *)bitmap.value;
    frame_limit = align_up(top / PAGE_SIZE, FRAMES_PER_WORD);
    next_single = free_count = total_count = retired_count = 0;
    memset(free_map, 0, frames_bitmap_size(top));
}

static bool is_free(uint64_t frame)
{
    return free_map[frame / FRAMES_PER_WORD] & BIT(frame % FRAMES_PER_WORD);
}

// Sets or clears the bits of a range, a word at a time where it can. Frames that already are so do
// not count.
static void mark(uint64_t first, uint64_t count, bool make_free)
{
    while (count) {
        uint64_t bit = first % FRAMES_PER_WORD, in_word = MIN(count, FRAMES_PER_WORD - bit);
        uint64_t mask = (in_word == FRAMES_PER_WORD ? ~UINT64_C(0) : BIT(in_word) - 1) << bit;
        uint64_t *word = &free_map[first / FRAMES_PER_WORD];
        uint64_t before = *word;
        *word = make_free ? before | mask : before & ~mask;
        uint64_t changed = bit_count(before ^ *word);
        free_count += make_free ? changed : 0 - changed;
        first += in_word;
        count -= in_word;
    }
}

// Frames from `first` to `end` become, or are no longer, ours to give.
static void set_ours(uint64_t first, uint64_t end, bool ours)
{
    uint64_t before = free_count;
    end = MIN(end, frame_limit);
    if (end > first)
        mark(first, end - first, ours);
    total_count += free_count - before;
}

void frames_add(hpa_t start, uint64_t size)
{
    set_ours(align_up(start.value, PAGE_SIZE) / PAGE_SIZE, (start.value + size) / PAGE_SIZE, true);
}

void frames_reserve(hpa_t start, uint64_t size)
{
    set_ours(start.value / PAGE_SIZE, align_up(start.value + size, PAGE_SIZE) / PAGE_SIZE, false);
}

void *frame_allocate(void)
{
    uint64_t words = frame_limit / FRAMES_PER_WORD;
    void *frame = NULL;
    spin_lock(&lock);
    for (uint64_t i = 0; i < words && !frame; i++) {
        uint64_t word = next_single + i < words ? next_single + i : next_single + i - words;
        if (!free_map[word])
            continue;
        uint64_t number = word * FRAMES_PER_WORD + lowest_bit(free_map[word]);
        mark(number, 1, false);
        next_single = word;
        frame = (void *)(number * PAGE_SIZE);
    }
    spin_unlock(&lock);
    if (frame)
        memset(frame, 0, PAGE_SIZE);
    return frame;
}

void frame_free(void *frame)
{
    frames_free(frame, PAGE_SIZE);
}

// The length of the free run that ends before frame `end`, at most `wanted`; whole words at once.
static uint64_t free_run_below(uint64_t end, uint64_t wanted)
{
    uint64_t run = 0;
    while (run < wanted && run < end) {
        uint64_t frame = end - run - 1;
        if (frame % FRAMES_PER_WORD == FRAMES_PER_WORD - 1 && end - run >= FRAMES_PER_WORD &&
            free_map[frame / FRAMES_PER_WORD] == ~UINT64_C(0))
            run += FRAMES_PER_WORD;
        else if (is_free(frame))
            run++;
        else
            break;
    }
    return run;
}

void *frames_allocate(uint64_t size, uint64_t alignment)
{
    uint64_t count = size / PAGE_SIZE, step = alignment / PAGE_SIZE;
    void *start = NULL;
    if (count == 0 || count > frame_limit)
        return NULL;
    spin_lock(&lock);
    for (uint64_t first = align_down(frame_limit - count, step);; first -= step) {
        uint64_t run = free_run_below(first + count, count);
        if (run >= count) {
            mark(first, count, false);
            start = (void *)(first * PAGE_SIZE);
            break;
        }
        // The taken frame below the run rules out every start above it, as do those below it in
        // words that are taken as a whole.
        uint64_t taken = first + count - run - 1;
        while (taken >= FRAMES_PER_WORD && free_map[taken / FRAMES_PER_WORD] == 0)
            taken = align_down(taken, FRAMES_PER_WORD) - 1;
        if (taken < count)
            break;
        first = align_down(taken - count, step) + step;
        if (first < step)
            break;
    }
    spin_unlock(&lock);
    return start;
}

static bool is_retired(uint64_t frame)
{
    for (unsigned i = 0; i < retired_count; i++)
        if (retired[i] == frame)
            return true;
    return false;
}

bool frames_retire(hpa_t at)
{
    uint64_t frame = at.value / PAGE_SIZE;
    spin_lock(&lock);
    bool is_new = frame < frame_limit && !is_retired(frame);
    bool is_remembered = !is_new || retired_count < ARRAY_LENGTH(retired);
    if (is_new && is_remembered) {
        retired[retired_count++] = frame;
        if (is_free(frame))
            set_ours(frame, frame + 1, false);
    }
    spin_unlock(&lock);
    return is_remembered;
}

void frames_clear(hpa_t start, void *bytes, uint64_t size)
{
    if (!retired_count) {
        memset(bytes, 0, size);
        return;
    }
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        if (!is_retired((start.value + at) / PAGE_SIZE))
            memset((uint8_t *)bytes + at, 0, PAGE_SIZE);
}

void frames_free(void *start, uint64_t size)
{
    uint64_t first = (uintptr_t)start / PAGE_SIZE;
    assert(is_aligned((uintptr_t)start | size, PAGE_SIZE));
    assert(size / PAGE_SIZE <= frame_limit && first <= frame_limit - size / PAGE_SIZE);
    spin_lock(&lock);
    uint64_t before = free_count;
    mark(first, size / PAGE_SIZE, true);
    uint64_t freed = free_count - before;
    for (unsigned i = 0; i < retired_count; i++)
        if (retired[i] - first < size / PAGE_SIZE)
            set_ours(retired[i], retired[i] + 1, false);
    spin_unlock(&lock);
    assert(freed == size / PAGE_SIZE); // none was free already
}

uint64_t frames_free_count(void)
{
    spin_lock(&lock);
    uint64_t count = free_count;
    spin_unlock(&lock);
    return count;
}

uint64_t frames_total_count(void)
{
    return total_count;
}
