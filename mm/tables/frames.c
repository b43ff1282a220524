// The frame allocator: a bitmap of the machine's memory, searched a word at a time. Called while
// VMs are built and destroyed, by any CPU. Pure: a frame's pointer is its address, so it runs over
// any memory that is mapped one to one.

#include "mm/tables/frames.h"

#include "lib/panic.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/tables/frame_map.h"

#define FRAMES_PER_LARGE (PAGE_2M / PAGE_SIZE)

// The word of a frame, and of each aligned 2 MiB that one holds as a whole: the words of its frames
// are 0 then. Nobody holds what is free, and what was never ours to give.
#define HOLDERS BITS(15, 0)
#define OWNER   BITS(23, 16)
#define RETIRED BIT(31)

// Guards: every variable here.
static struct spinlock lock;
static struct frame_map map;
static uint32_t *words;      // NULL before frames_know_owners()
static uint32_t *large;      // behind them
static uint64_t next_single; // where the search for a single frame goes on
static const uint64_t run_frames[] = {FRAMES_PER_LARGE, PAGE_1G / PAGE_SIZE};
static uint64_t run_limit[2]; // no aligned run of so many frames is free from this frame on
static uint64_t free_count, total_count;
static uint64_t lent; // that are not
static bool some_retired;
static struct frames_held held[FRAME_OWNERS];

uint64_t frames_bitmap_size(uint64_t top)
{
    return align_up(align_up(top, PAGE_SIZE * FRAMES_PER_WORD) / PAGE_SIZE / 8, PAGE_SIZE);
}

void frames_init(hpa_t bitmap, uint64_t top)
{
    map = (struct frame_map){(uint64_t *)bitmap.value, align_up(top / PAGE_SIZE, FRAMES_PER_WORD)};
    words = NULL;
    run_limit[0] = run_limit[1] = map.limit;
    next_single = free_count = total_count = lent = 0;
    some_retired = false;
    memset(map.word, 0, frames_bitmap_size(top));
    memset(held, 0, sizeof(held));
}

bool frames_know_owners(void)
{
    uint64_t count = align_up(map.limit, FRAMES_PER_LARGE);
    uint64_t size = align_up((count + count / FRAMES_PER_LARGE) * sizeof(*words), PAGE_SIZE);
    uint32_t *place = frames_allocate(size, PAGE_SIZE, FRAMES_CORBEL);
    if (!place)
        return false;
    memset(place, 0, size);
    words = place;
    large = place + count;
    held[FRAMES_CORBEL] = (struct frames_held){0};
    return true;
}

// Frames that already are so do not count.
static void mark(uint64_t first, uint64_t count, bool make_free)
{
    uint64_t changed = frame_map_mark(&map, first, count, make_free);
    free_count += make_free ? changed : 0 - changed;
}

// Frames from `first` to `end` become, or are no longer, ours to give.
static void set_ours(uint64_t first, uint64_t end, bool ours)
{
    uint64_t before = free_count;
    end = MIN(end, map.limit);
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

static uint32_t held_by(unsigned owner, unsigned holders)
{
    return (uint32_t)(FIELD_MAKE(OWNER, owner) | holders);
}

static uint32_t word_at(uint64_t frame)
{
    return large[frame / FRAMES_PER_LARGE] ? large[frame / FRAMES_PER_LARGE] : words[frame];
}

// The word of a frame for changes of it alone.
static uint32_t *own_word(uint64_t frame)
{
    uint32_t *whole = &large[frame / FRAMES_PER_LARGE];
    uint64_t first = align_down(frame, FRAMES_PER_LARGE);
    for (uint64_t i = 0; *whole && i < FRAMES_PER_LARGE; i++)
        words[first + i] = *whole;
    *whole = 0;
    return &words[frame];
}

static bool is_large(uint64_t first, uint64_t end)
{
    return first % FRAMES_PER_LARGE == 0 && end - first >= FRAMES_PER_LARGE;
}

// Free frames become `owner`'s.
static void give(uint64_t first, uint64_t count, unsigned owner)
{
    mark(first, count, false);
    held[owner].alone += count;
    for (uint64_t i = first, end = first + count, step; words && i < end; i += step) {
        step = is_large(i, end) ? FRAMES_PER_LARGE : 1;
        *(step > 1 ? &large[i / FRAMES_PER_LARGE] : &words[i]) = held_by(owner, 1);
    }
}

void *frame_allocate(unsigned owner)
{
    void *frame = NULL;
    spin_lock(&lock);
    if (free_count) {
        next_single = frame_map_next(&map, next_single);
        frame = (void *)(next_single * PAGE_SIZE);
        give(next_single, 1, owner);
    }
    spin_unlock(&lock);
    if (frame)
        memset(frame, 0, PAGE_SIZE);
    return frame;
}

void frame_free(void *frame, unsigned owner)
{
    frames_free(frame, PAGE_SIZE, owner);
}

static void *source_allocate(struct frame_source *source)
{
    return frame_allocate(source->owner);
}

static void source_free(struct frame_source *source, void *frame)
{
    frame_free(frame, source->owner);
}

static hpa_t source_address(struct frame_source *source, const void *frame)
{
    (void)source;
    return hpa((uintptr_t)frame);
}

static void *source_pointer(struct frame_source *source, hpa_t address)
{
    (void)source;
    return (void *)address.value;
}

struct frame_source frames_source(unsigned owner)
{
    return (struct frame_source){source_allocate, source_free, source_address, source_pointer,
                                 owner};
}

// A VM's RAM is many pieces of 1 GiB, or of 2 MiB where memory is in pieces: the search for them
// goes over what is taken once, not each time.
void *frames_allocate(uint64_t size, uint64_t alignment, unsigned owner)
{
    uint64_t count = size / PAGE_SIZE, step = alignment / PAGE_SIZE, limit = map.limit;
    spin_lock(&lock);
    for (unsigned i = 0; i < ARRAY_LENGTH(run_limit); i++)
        if (count >= run_frames[i] && step >= run_frames[i])
            limit = run_limit[i];
    uint64_t first = frame_map_find(&map, count, step, limit);
    for (unsigned i = 0; i < ARRAY_LENGTH(run_limit); i++)
        if (count == run_frames[i] && step == run_frames[i])
            run_limit[i] = first + (first ? count : 0);
    if (first)
        give(first, count, owner);
    spin_unlock(&lock);
    return (void *)(first * PAGE_SIZE);
}

void frames_retire(hpa_t at)
{
    uint64_t frame = at.value / PAGE_SIZE;
    spin_lock(&lock);
    if (words && frame < map.limit) {
        if (frame_map_is_free(&map, frame))
            set_ours(frame, frame + 1, false);
        *own_word(frame) |= RETIRED;
        some_retired = true;
    }
    spin_unlock(&lock);
}

bool frame_is_retired(hpa_t at)
{
    return some_retired && (word_at(at.value / PAGE_SIZE) & RETIRED);
}

void frames_clear(hpa_t start, void *bytes, uint64_t size)
{
    if (!some_retired) {
        memset(bytes, 0, size);
        return;
    }
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        if (!frame_is_retired(hpa(start.value + at)))
            memset((uint8_t *)bytes + at, 0, PAGE_SIZE);
}

// ---- whose a frame is ----

static unsigned owner_of(uint64_t frame)
{
    return (unsigned)FIELD_GET(OWNER, word_at(frame));
}

__attribute__((noreturn)) static void panic_not_own(uint64_t frame, unsigned owner)
{
    panic("frame %#lx, given back by VM %u (0: Corbel), has %u holders; its owner is VM %u",
          frame * PAGE_SIZE, owner, (unsigned)(word_at(frame) & HOLDERS), owner_of(frame));
}

bool frame_share(hpa_t at, unsigned owner, unsigned with)
{
    uint64_t frame = at.value / PAGE_SIZE;
    spin_lock(&lock);
    uint32_t *word = own_word(frame);
    unsigned holders = *word & HOLDERS;
    bool is_first = holders == 1 && owner_of(frame) == owner;
    bool is_shared = holders && owner_of(frame) == FRAMES_SHARED;
    bool has_room = holders < HOLDERS;
    if (is_first) {
        held[owner].alone--;
        held[owner].shared++;
        held[FRAMES_SHARED].alone++;
    }
    if (has_room && (is_first || is_shared)) {
        *word = (*word & (uint32_t)RETIRED) | held_by(FRAMES_SHARED, holders + 1);
        held[with].shared++;
    }
    spin_unlock(&lock);
    if (!is_first && !is_shared)
        panic_not_own(frame, owner);
    return has_room;
}

// What one owner alone holds goes back by whole runs. Returns where the first frame stands that is
// not so.
static uint64_t take_back_run(uint64_t first, uint64_t end, unsigned owner)
{
    uint64_t frame = first, step;
    for (; frame < end; frame += step) {
        step = is_large(frame, end) && large[frame / FRAMES_PER_LARGE] ? FRAMES_PER_LARGE : 1;
        uint32_t *word = step > 1 ? &large[frame / FRAMES_PER_LARGE] : own_word(frame);
        if (*word != held_by(owner, 1))
            break;
        *word = 0;
    }
    mark(first, frame - first, true);
    held[owner].alone -= frame - first;
    return frame;
}

// One that is shared, or has broken. False: it is not the owner's.
static bool take_back(uint64_t frame, unsigned owner)
{
    uint32_t *word = own_word(frame);
    uint32_t retired = *word & (uint32_t)RETIRED, holders = *word & HOLDERS;
    bool is_shared = owner_of(frame) == FRAMES_SHARED;
    uint64_t *count = is_shared ? &held[owner].shared : &held[owner].alone;
    if (!holders || (!is_shared && owner_of(frame) != owner) || !*count)
        return false;
    --*count;
    held[FRAMES_SHARED].alone -= is_shared && holders == 1;
    *word = retired | (holders > 1 ? held_by(FRAMES_SHARED, holders - 1) : 0);
    if (holders == 1 && retired)
        total_count--;
    else if (holders == 1)
        mark(frame, 1, true);
    return true;
}

void frames_free(void *start, uint64_t size, unsigned owner)
{
    uint64_t frame = (uintptr_t)start / PAGE_SIZE, end = frame + size / PAGE_SIZE;
    assert(is_aligned((uintptr_t)start | size, PAGE_SIZE));
    assert(size / PAGE_SIZE <= map.limit && frame <= map.limit - size / PAGE_SIZE);
    for (bool is_own = true; frame < end;) {
        uint64_t part = MIN(end, align_down(frame, FRAMES_PER_LARGE) + FRAMES_PER_LARGE);
        spin_lock(&lock);
        next_single = MIN(next_single, frame); // single frames keep together, below
        frame = take_back_run(frame, part, owner);
        if (frame < part && (is_own = take_back(frame, owner)))
            frame++;
        for (unsigned i = 0; i < ARRAY_LENGTH(run_limit); i++)
            run_limit[i] = MIN(MAX(run_limit[i], align_up(frame, run_frames[i])), map.limit);
        spin_unlock(&lock);
        if (!is_own)
            panic_not_own(frame, owner);
    }
}

void frames_lend(unsigned owner, uint64_t count)
{
    spin_lock(&lock);
    held[owner].alone -= count;
    held[owner].lent += count;
    lent += count;
    spin_unlock(&lock);
}

void frames_claim(unsigned owner, uint64_t count)
{
    frames_lend(owner, 0 - count);
}

unsigned frame_holders(hpa_t at, unsigned *owner)
{
    uint64_t frame = at.value / PAGE_SIZE;
    uint32_t word = words && frame < map.limit ? word_at(frame) : 0;
    *owner = (unsigned)FIELD_GET(OWNER, word);
    return word & HOLDERS;
}

struct frames_held frames_held(unsigned owner)
{
    spin_lock(&lock);
    struct frames_held found = held[owner];
    spin_unlock(&lock);
    return found;
}

uint64_t frames_free_count(void)
{
    return free_count + lent;
}

uint64_t frames_available(void)
{
    return free_count;
}

uint64_t frames_total_count(void)
{
    return total_count;
}
