// The frame allocator over a piece of this process's memory, in which pointers are the physical
// addresses.

#define _GNU_SOURCE // MAP_FIXED_NOREPLACE

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "mm/frames.h"

#define MIB        UINT64_C(0x100000)
#define BASE       (UINT64_C(256) * MIB)
#define RAM        (UINT64_C(16) * MIB)
#define RAM_FRAMES (RAM / PAGE_SIZE)

static uint8_t *bitmap;

static int map_ram(void **state)
{
    (void)state;
    void *ram = mmap((void *)BASE, RAM, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    bitmap = aligned_alloc(PAGE_SIZE, frames_bitmap_size(BASE + RAM));
    return ram == (void *)BASE && bitmap ? 0 : -1;
}

static int unmap_ram(void **state)
{
    (void)state;
    free(bitmap);
    return munmap((void *)BASE, RAM);
}

static int all_is_free(void **state)
{
    (void)state;
    memset(bitmap, 0xff, frames_bitmap_size(BASE + RAM)); // whatever was there before
    frames_init(hpa((uintptr_t)bitmap), BASE + RAM);
    frames_add(hpa(BASE), RAM);
    return 0;
}

static void whole_frames_of_what_is_added_are_free(void **state)
{
    (void)state;
    assert_int_equal(frames_free_count(), RAM_FRAMES);
    assert_int_equal(frames_total_count(), RAM_FRAMES);
    frames_init(hpa((uintptr_t)bitmap), BASE + RAM);
    assert_int_equal(frames_free_count(), 0);
    frames_add(hpa(BASE + 1), 3 * PAGE_SIZE); // two whole ones
    frames_add(hpa(BASE + PAGE_SIZE), PAGE_SIZE);
    assert_int_equal(frames_free_count(), 2);
    frames_add(hpa(BASE), PAGE_SIZE - 1);
    assert_int_equal(frames_total_count(), 2);
}

static void every_frame_that_is_reserved_in_part_is_taken(void **state)
{
    (void)state;
    frames_reserve(hpa(BASE + PAGE_SIZE - 1), 2);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 2);
    assert_int_equal(frames_total_count(), RAM_FRAMES - 2);
    frames_reserve(hpa(BASE + PAGE_SIZE), 10); // again
    assert_int_equal(frames_total_count(), RAM_FRAMES - 2);
    assert_int_equal((uintptr_t)frame_allocate(), BASE + 2 * PAGE_SIZE);
}

static void each_frame_is_given_once_and_zeroed(void **state)
{
    (void)state;
    static bool given[RAM_FRAMES];
    memset(given, 0, sizeof(given));
    memset((void *)BASE, 0xa5, RAM);
    for (uint64_t i = 0; i < RAM_FRAMES; i++) {
        uint8_t *frame = frame_allocate();
        uint64_t number = ((uintptr_t)frame - BASE) / PAGE_SIZE;
        assert_true(number < RAM_FRAMES && !given[number]);
        given[number] = true;
        for (unsigned k = 0; k < PAGE_SIZE; k += 8)
            assert_true(*(uint64_t *)(frame + k) == 0);
        assert_int_equal(frames_free_count(), RAM_FRAMES - 1 - i);
    }
    assert_null(frame_allocate());
    assert_null(frames_allocate(PAGE_SIZE, PAGE_SIZE));
    frame_free((void *)(BASE + 5 * MIB));
    assert_int_equal((uintptr_t)frame_allocate(), BASE + 5 * MIB);
}

static void large_pieces_are_aligned_and_come_from_the_top(void **state)
{
    (void)state;
    assert_int_equal((uintptr_t)frames_allocate(3 * PAGE_SIZE, PAGE_SIZE),
                     BASE + RAM - 3 * PAGE_SIZE);
    assert_int_equal((uintptr_t)frames_allocate(4 * MIB, 2 * MIB), BASE + RAM - 6 * MIB);
    assert_int_equal((uintptr_t)frames_allocate(PAGE_SIZE, 2 * MIB), BASE + RAM - 2 * MIB);
    assert_int_equal((uintptr_t)frames_allocate(65 * PAGE_SIZE, PAGE_SIZE),
                     BASE + RAM - 68 * PAGE_SIZE);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 3 - 1024 - 1 - 65);
}

static void what_does_not_fit_in_one_piece_is_refused(void **state)
{
    (void)state;
    assert_null(frames_allocate(0, PAGE_SIZE));
    assert_null(frames_allocate(RAM + PAGE_SIZE, PAGE_SIZE));
    assert_null(frames_allocate(UINT64_C(1) << 50, PAGE_SIZE));
    assert_null(frames_allocate(2 * MIB, UINT64_C(1) << 30)); // nothing so aligned
    frames_reserve(hpa(BASE + 8 * MIB - 1), 2);
    assert_null(frames_allocate(8 * MIB, PAGE_SIZE));
    assert_int_equal((uintptr_t)frames_allocate(8 * MIB - PAGE_SIZE, PAGE_SIZE),
                     BASE + 8 * MIB + PAGE_SIZE);
    assert_int_equal((uintptr_t)frames_allocate(8 * MIB - PAGE_SIZE, 2 * MIB), BASE);
    assert_int_equal(frames_free_count(), 0);
}

static void what_is_freed_twice_is_our_bug(void **state)
{
    (void)state;
    uint8_t *piece = frames_allocate(4 * PAGE_SIZE, PAGE_SIZE);
    frames_free(piece, 2 * PAGE_SIZE);
    expect_panic(frames_free(piece, 4 * PAGE_SIZE)); // half of it
    expect_panic(frames_free((void *)(BASE + RAM - PAGE_SIZE), UINT64_C(1) << 40));
    expect_panic(frames_free((void *)(BASE + 1), PAGE_SIZE));
}

// ---- many lives ----

struct piece {
    uint8_t *start;
    uint64_t size, alignment;
};

static uint64_t random_number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void take(struct piece *piece, uint64_t *seed)
{
    static const uint64_t alignments[] = {PAGE_SIZE, 4 * PAGE_SIZE, MIB};
    piece->alignment = alignments[random_number(seed) % ARRAY_LENGTH(alignments)];
    piece->size = (1 + random_number(seed) % 200) * PAGE_SIZE;
    piece->start = random_number(seed) % 2 ? frames_allocate(piece->size, piece->alignment) : NULL;
    if (!piece->start) {
        piece->size = piece->alignment = PAGE_SIZE;
        piece->start = frame_allocate();
    }
}

static void assert_apart(const struct piece *pieces, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true((uintptr_t)pieces[i].start >= BASE);
        assert_true((uintptr_t)pieces[i].start + pieces[i].size <= BASE + RAM);
        assert_true(is_aligned((uintptr_t)pieces[i].start, pieces[i].alignment));
        for (unsigned k = 0; k < i; k++)
            assert_true(pieces[k].start + pieces[k].size <= pieces[i].start ||
                        pieces[i].start + pieces[i].size <= pieces[k].start);
    }
}

static void a_thousand_lives_leave_every_frame_free(void **state)
{
    (void)state;
    enum { PIECES = 24 };
    struct piece pieces[PIECES];
    uint64_t seed = 1;
    for (unsigned life = 0; life < 1000; life++) {
        uint64_t taken = 0;
        for (unsigned i = 0; i < PIECES; i++) {
            take(&pieces[i], &seed);
            taken += pieces[i].size / PAGE_SIZE;
        }
        assert_apart(pieces, PIECES);
        assert_int_equal(frames_free_count(), RAM_FRAMES - taken);
        for (unsigned i = 0; i < PIECES; i++)
            frames_free(pieces[i].start, pieces[i].size);
        assert_int_equal(frames_free_count(), RAM_FRAMES);
    }
    assert_int_equal((uintptr_t)frames_allocate(RAM, PAGE_SIZE), BASE);
}

static void what_has_broken_is_given_to_nobody(void **state)
{
    (void)state;
    uint8_t *piece = frames_allocate(4 * PAGE_SIZE, PAGE_SIZE);
    memset(piece, 0xa5, 4 * PAGE_SIZE);
    assert_true(frames_retire(hpa((uintptr_t)piece + PAGE_SIZE + 123))); // in use
    assert_true(frames_retire(hpa((uintptr_t)piece + PAGE_SIZE)));       // known
    assert_true(frames_retire(hpa(BASE)));                               // free
    assert_true(frames_retire(hpa(UINT64_C(1) << 50)));                  // not RAM
    frames_clear(hpa((uintptr_t)piece), piece, 4 * PAGE_SIZE);
    for (unsigned page = 0; page < 4; page++)
        assert_int_equal(piece[page * PAGE_SIZE], page == 1 ? 0xa5 : 0);
    frames_free(piece, 4 * PAGE_SIZE);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 2);
    assert_int_equal(frames_total_count(), RAM_FRAMES - 2);
    for (unsigned i = 0; i < RAM_FRAMES - 2; i++) {
        uint8_t *frame = frame_allocate();
        assert_true(frame && frame != piece + PAGE_SIZE && frame != (uint8_t *)BASE);
    }
    assert_null(frame_allocate());
}

static void only_so_many_broken_frames_are_remembered(void **state)
{
    (void)state;
    unsigned count = 0;
    while (frames_retire(hpa(BASE + count * PAGE_SIZE)))
        count++;
    assert_int_equal(count, 32);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole_frames_of_what_is_added_are_free, all_is_free),
        cmocka_unit_test_setup(every_frame_that_is_reserved_in_part_is_taken, all_is_free),
        cmocka_unit_test_setup(each_frame_is_given_once_and_zeroed, all_is_free),
        cmocka_unit_test_setup(large_pieces_are_aligned_and_come_from_the_top, all_is_free),
        cmocka_unit_test_setup(what_does_not_fit_in_one_piece_is_refused, all_is_free),
        cmocka_unit_test_setup(a_thousand_lives_leave_every_frame_free, all_is_free),
        cmocka_unit_test_setup(what_has_broken_is_given_to_nobody, all_is_free),
        cmocka_unit_test_setup(only_so_many_broken_frames_are_remembered, all_is_free),
        // Last: a panic leaves the allocator as it found it.
        cmocka_unit_test_setup(what_is_freed_twice_is_our_bug, all_is_free),
    };
    return cmocka_run_group_tests(tests, map_ram, unmap_ram);
}
