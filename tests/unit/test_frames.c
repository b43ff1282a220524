// The frame allocator over a piece of this process's memory, in which pointers are the physical
// addresses.

#define _GNU_SOURCE // MAP_FIXED_NOREPLACE

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "mm/tables/frames.h"

#define VM         3
#define MIB        UINT64_C(0x100000)
#define BASE       (UINT64_C(256) * MIB)
#define RAM        (UINT64_C(16) * MIB)
#define RAM_FRAMES (RAM / PAGE_SIZE)
#define TOP        (BASE + RAM + MIB) // the owners' words have a place of their own above RAM

static uint8_t *bitmap;
static uint64_t words; // frames that hold them

static int map_ram(void **state)
{
    void *ram = mmap((void *)BASE, TOP - BASE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    bitmap = aligned_alloc(PAGE_SIZE, frames_bitmap_size(TOP));
    return ram == (void *)BASE && bitmap ? 0 : -1;
}

static int unmap_ram(void **state)
{
    free(bitmap);
    return munmap((void *)BASE, TOP - BASE);
}

static int all_is_free(void **state)
{
    memset(bitmap, 0xff, frames_bitmap_size(TOP)); // whatever was there before
    frames_init(hpa((uintptr_t)bitmap), TOP);
    frames_add(hpa(BASE + RAM), MIB);
    assert_true(frames_know_owners());
    frames_reserve(hpa(BASE + RAM), MIB);
    frames_add(hpa(BASE), RAM);
    words = frames_total_count() - RAM_FRAMES;
    return 0;
}

static void whole_frames_of_what_is_added_are_free(void **state)
{
    assert_int_equal(frames_free_count(), RAM_FRAMES);
    assert_int_equal(words, (TOP / PAGE_SIZE * 4 + PAGE_SIZE - 1) / PAGE_SIZE);
    frames_init(hpa((uintptr_t)bitmap), TOP);
    assert_int_equal(frames_free_count(), 0);
    frames_add(hpa(BASE + 1), 3 * PAGE_SIZE); // two whole ones
    frames_add(hpa(BASE + PAGE_SIZE), PAGE_SIZE);
    assert_int_equal(frames_free_count(), 2);
    frames_add(hpa(BASE), PAGE_SIZE - 1);
    assert_int_equal(frames_total_count(), 2);
}

static void every_frame_that_is_reserved_in_part_is_taken(void **state)
{
    frames_reserve(hpa(BASE + PAGE_SIZE - 1), 2);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 2);
    assert_int_equal(frames_total_count() - words, RAM_FRAMES - 2);
    frames_reserve(hpa(BASE + PAGE_SIZE), 10); // again
    assert_int_equal(frames_total_count() - words, RAM_FRAMES - 2);
    assert_int_equal((uintptr_t)frame_allocate(VM), BASE + 2 * PAGE_SIZE);
}

static void each_frame_is_given_once_and_zeroed(void **state)
{
    static bool given[RAM_FRAMES];
    memset(given, 0, sizeof(given));
    memset((void *)BASE, 0xa5, RAM);
    for (uint64_t i = 0; i < RAM_FRAMES; i++) {
        uint8_t *frame = frame_allocate(VM);
        uint64_t number = ((uintptr_t)frame - BASE) / PAGE_SIZE;
        assert_true(number < RAM_FRAMES && !given[number]);
        given[number] = true;
        for (unsigned k = 0; k < PAGE_SIZE; k += 8)
            assert_true(*(uint64_t *)(frame + k) == 0);
        assert_int_equal(frames_free_count(), RAM_FRAMES - 1 - i);
    }
    assert_null(frame_allocate(VM));
    assert_null(frames_allocate(PAGE_SIZE, PAGE_SIZE, VM));
    frame_free((void *)(BASE + 5 * MIB), VM);
    assert_int_equal((uintptr_t)frame_allocate(VM), BASE + 5 * MIB);
}

static void large_pieces_are_aligned_and_come_from_the_top(void **state)
{
    assert_int_equal((uintptr_t)frames_allocate(3 * PAGE_SIZE, PAGE_SIZE, VM),
                     BASE + RAM - 3 * PAGE_SIZE);
    assert_int_equal((uintptr_t)frames_allocate(4 * MIB, 2 * MIB, VM), BASE + RAM - 6 * MIB);
    assert_int_equal((uintptr_t)frames_allocate(PAGE_SIZE, 2 * MIB, VM), BASE + RAM - 2 * MIB);
    assert_int_equal((uintptr_t)frames_allocate(65 * PAGE_SIZE, PAGE_SIZE, VM),
                     BASE + RAM - 68 * PAGE_SIZE);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 3 - 1024 - 1 - 65);
}

static void what_does_not_fit_in_one_piece_is_refused(void **state)
{
    assert_null(frames_allocate(0, PAGE_SIZE, VM));
    assert_null(frames_allocate(RAM + PAGE_SIZE, PAGE_SIZE, VM));
    assert_null(frames_allocate(UINT64_C(1) << 50, PAGE_SIZE, VM));
    assert_null(frames_allocate(2 * MIB, UINT64_C(1) << 30, VM)); // nothing so aligned
    frames_reserve(hpa(BASE + 8 * MIB - 1), 2);
    assert_null(frames_allocate(8 * MIB, PAGE_SIZE, VM));
    assert_int_equal((uintptr_t)frames_allocate(8 * MIB - PAGE_SIZE, PAGE_SIZE, VM),
                     BASE + 8 * MIB + PAGE_SIZE);
    assert_int_equal((uintptr_t)frames_allocate(8 * MIB - PAGE_SIZE, 2 * MIB, VM), BASE);
    assert_int_equal(frames_free_count(), 0);
}

static void what_is_freed_twice_is_our_bug(void **state)
{
    uint8_t *piece = frames_allocate(4 * PAGE_SIZE, PAGE_SIZE, VM);
    frames_free(piece, 2 * PAGE_SIZE, VM);
    expect_panic(frames_free(piece, 4 * PAGE_SIZE, VM)); // half of it
    expect_panic(frames_free((void *)(BASE + RAM - PAGE_SIZE), UINT64_C(1) << 40, VM));
    expect_panic(frames_free((void *)(BASE + 1), PAGE_SIZE, VM));
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
    piece->start =
        random_number(seed) % 2 ? frames_allocate(piece->size, piece->alignment, VM) : NULL;
    if (!piece->start) {
        piece->size = piece->alignment = PAGE_SIZE;
        piece->start = frame_allocate(VM);
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
            frames_free(pieces[i].start, pieces[i].size, VM);
        assert_int_equal(frames_free_count(), RAM_FRAMES);
    }
    assert_int_equal((uintptr_t)frames_allocate(RAM, PAGE_SIZE, VM), BASE);
}

static void what_has_broken_is_given_to_nobody(void **state)
{
    uint8_t *piece = frames_allocate(4 * PAGE_SIZE, PAGE_SIZE, VM);
    memset(piece, 0xa5, 4 * PAGE_SIZE);
    frames_retire(hpa((uintptr_t)piece + PAGE_SIZE + 123)); // in use
    frames_retire(hpa((uintptr_t)piece + PAGE_SIZE));       // known
    frames_retire(hpa(BASE));                               // free
    frames_retire(hpa(UINT64_C(1) << 50));                  // not RAM
    frames_clear(hpa((uintptr_t)piece), piece, 4 * PAGE_SIZE);
    for (unsigned page = 0; page < 4; page++)
        assert_int_equal(piece[page * PAGE_SIZE], page == 1 ? 0xa5 : 0);
    frames_free(piece, 4 * PAGE_SIZE, VM);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 2);
    assert_int_equal(frames_total_count() - words, RAM_FRAMES - 2);
    for (unsigned i = 0; i < RAM_FRAMES - 2; i++) {
        uint8_t *frame = frame_allocate(VM);
        assert_true(frame && frame != piece + PAGE_SIZE && frame != (uint8_t *)BASE);
    }
    assert_null(frame_allocate(VM));
}

// ---- owners ----

static void each_frame_has_an_owner(void **state)
{
    unsigned owner = 99;
    uint8_t *one = frame_allocate(VM), *ours = frame_allocate(FRAMES_CORBEL);
    uint8_t *piece = frames_allocate(4 * MIB, 2 * MIB, 7);
    assert_int_equal(frame_holders(hpa((uintptr_t)one + 5), &owner), 1);
    assert_int_equal(owner, VM);
    assert_int_equal(frame_holders(hpa((uintptr_t)ours), &owner), 1);
    assert_int_equal(owner, FRAMES_CORBEL);
    assert_int_equal(frame_holders(hpa((uintptr_t)piece + 4 * MIB - 1), &owner), 1);
    assert_int_equal(owner, 7);
    assert_int_equal(frame_holders(hpa((uintptr_t)one + PAGE_SIZE * 2), &owner), 0); // free
    assert_int_equal(frame_holders(hpa(UINT64_C(1) << 50), &owner), 0);              // no RAM
    assert_int_equal(frames_held(VM).alone, 1);
    assert_int_equal(frames_held(7).alone, 1024);
    frames_free(piece, 4 * MIB, 7);
    frame_free(one, VM);
    frame_free(ours, FRAMES_CORBEL);
    assert_int_equal(frames_held(7).alone, 0);
    assert_int_equal(frames_free_count(), RAM_FRAMES);
}

static void a_shared_frame_is_free_when_its_last_holder_leaves(void **state)
{
    unsigned owner;
    uint8_t *piece = frames_allocate(3 * PAGE_SIZE, PAGE_SIZE, VM), *frame = piece + PAGE_SIZE;
    hpa_t at = hpa((uintptr_t)frame);
    assert_true(frame_share(at, VM, 4));
    assert_true(frame_share(at, 4, 5));
    assert_int_equal(frame_holders(at, &owner), 3);
    assert_int_equal(owner, FRAMES_SHARED);
    assert_int_equal(frames_held(VM).alone, 2);
    assert_int_equal(frames_held(VM).shared, 1);
    assert_int_equal(frames_held(5).shared, 1);
    assert_int_equal(frames_held(FRAMES_SHARED).alone, 1);
    frames_free(piece, 3 * PAGE_SIZE, VM);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 1);
    frame_free(frame, 5);
    frames_retire(at); // while one still holds it
    assert_int_equal(frame_holders(at, &owner), 1);
    frame_free(frame, 4);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 1);
    assert_int_equal(frames_total_count() - words, RAM_FRAMES - 1);
    for (unsigned i = 0; i < FRAME_OWNERS; i++)
        assert_int_equal(frames_held(i).alone + frames_held(i).shared, 0);
}

static void a_large_piece_comes_apart_by_frames(void **state)
{
    unsigned owner;
    uint8_t *piece = frames_allocate(4 * MIB, 2 * MIB, VM), *frame = piece + 7 * PAGE_SIZE;
    expect_panic(frame_free(frame, VM + 1));
    assert_true(frame_share(hpa((uintptr_t)frame), VM, 4));
    frames_retire(hpa((uintptr_t)piece + 3 * MIB));
    assert_int_equal(frame_holders(hpa((uintptr_t)frame), &owner), 2);
    assert_int_equal(frame_holders(hpa((uintptr_t)frame + PAGE_SIZE), &owner), 1);
    assert_int_equal(owner, VM);
    assert_int_equal(frames_held(VM).alone, 1023);
    frames_free(piece + MIB, MIB, VM); // a half of each
    frames_free(piece + 2 * MIB, MIB, VM);
    assert_int_equal(frame_holders(hpa((uintptr_t)piece + MIB), &owner), 0);
    frames_free(piece, MIB, VM);
    frames_free(piece + 3 * MIB, MIB, VM);
    frame_free(frame, 4);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 1);
    assert_int_equal(frames_held(VM).alone + frames_held(VM).shared, 0);
    assert_ptr_equal(frames_allocate(2 * MIB, 2 * MIB, 7), piece);
    frames_free(piece, 2 * MIB, 7);
    assert_int_equal(frames_free_count(), RAM_FRAMES - 1);
}

static void only_so_many_hold_a_frame(void **state)
{
    unsigned owner;
    hpa_t at = hpa((uintptr_t)frame_allocate(1));
    for (unsigned i = 1; i < 65535; i++)
        assert_true(frame_share(at, 1, 2));
    assert_false(frame_share(at, 1, 2));
    assert_int_equal(frame_holders(at, &owner), 65535);
}

static void what_is_not_ones_own_is_our_bug(void **state)
{
    uint8_t *piece = frames_allocate(4 * MIB, 2 * MIB, VM);
    expect_panic(frames_free(piece, 4 * MIB, VM + 1));
    expect_panic(frame_share(hpa((uintptr_t)piece), VM + 1, VM) ? exit(1) : exit(1));
    expect_panic(frame_share(hpa(BASE), VM, VM + 1) ? exit(1) : exit(1)); // free
    assert_int_equal(frames_held(VM).alone, 1024);
    frames_free(piece, 4 * MIB, VM);
}

// The search for 2 MiB begins below what is taken, and sees what comes back.
static void pieces_are_found_again_wherever_they_are_freed(void **state)
{
    uint8_t *piece[8];
    for (unsigned i = 0; i < 8; i++)
        piece[i] = frames_allocate(2 * MIB, 2 * MIB, VM);
    assert_int_equal((uintptr_t)piece[7], BASE);
    assert_null(frames_allocate(2 * MIB, 2 * MIB, VM));
    frames_free(piece[2] + MIB, MIB, VM);
    assert_null(frames_allocate(2 * MIB, 2 * MIB, VM));
    frames_free(piece[2], MIB, VM);
    assert_ptr_equal(frames_allocate(2 * MIB, 2 * MIB, VM), piece[2]);
    frames_free(piece[5], 2 * MIB, VM);
    frames_free(piece[0], 2 * MIB, VM);
    assert_null(frames_allocate(4 * MIB, 2 * MIB, VM));
    assert_ptr_equal(frames_allocate(2 * MIB, 2 * MIB, VM), piece[0]);
    assert_ptr_equal(frames_allocate(2 * MIB, 2 * MIB, VM), piece[5]);
}

// The same for 1 GiB, of memory that is not there: only the bitmap is looked at.
static void gigabytes_are_found_again(void **state)
{
    static _Alignas(PAGE_SIZE) uint8_t map[64 * PAGE_SIZE];
    const uint64_t gib = 1024 * MIB;
    assert_true(frames_bitmap_size(8 * gib) <= sizeof(map));
    frames_init(hpa((uintptr_t)map), 8 * gib);
    frames_add(hpa(gib), 7 * gib - MIB); // the last one is not whole
    for (uint64_t at = 6; at > 0; at--)
        assert_int_equal((uintptr_t)frames_allocate(gib, gib, FRAMES_CORBEL), at * gib);
    assert_null(frames_allocate(gib, gib, FRAMES_CORBEL));
    assert_int_equal((uintptr_t)frames_allocate(2 * MIB, 2 * MIB, FRAMES_CORBEL),
                     8 * gib - 4 * MIB);
    assert_int_equal(frames_free_count(), gib / PAGE_SIZE - 3 * MIB / PAGE_SIZE);
}

// ---- lent frames ----

#define OTHER 4

// On a machine that is full to the last frame, too.
static void what_is_lent_counts_as_free_and_is_nobody_elses(void **state)
{
    uint8_t *run = frames_allocate(RAM, PAGE_SIZE, VM);
    assert_non_null(run);
    frames_lend(VM, 3);
    assert_int_equal(frames_free_count(), 3);
    assert_int_equal(frames_available(), 0);
    assert_int_equal(frames_held(VM).lent, 3);
    assert_int_equal(frames_held(VM).alone, RAM_FRAMES - 3);
    assert_null(frame_allocate(OTHER));
    assert_null(frame_allocate(VM));
    assert_null(frames_allocate(PAGE_SIZE, PAGE_SIZE, OTHER));
    frames_claim(VM, 1);
    assert_int_equal(frames_free_count(), 2);
    frames_claim(VM, 2);
    assert_int_equal(frames_held(VM).lent, 0);
    frames_free(run, RAM, VM);
    assert_int_equal(frames_held(VM).alone, 0);
    assert_int_equal(frames_available(), RAM_FRAMES);
    assert_int_equal(frames_free_count(), RAM_FRAMES);
}

static void broken_frames_are_known(void **state)
{
    uint8_t *run = frames_allocate(2 * PAGE_SIZE, PAGE_SIZE, VM);
    hpa_t second = hpa((uintptr_t)run + PAGE_SIZE);
    assert_false(frame_is_retired(second));
    frames_retire(second);
    assert_true(frame_is_retired(second));
    assert_false(frame_is_retired(hpa((uintptr_t)run)));
    frames_free(run, 2 * PAGE_SIZE, VM);
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
        cmocka_unit_test_setup(each_frame_has_an_owner, all_is_free),
        cmocka_unit_test_setup(a_shared_frame_is_free_when_its_last_holder_leaves, all_is_free),
        cmocka_unit_test(gigabytes_are_found_again),
        cmocka_unit_test_setup(a_large_piece_comes_apart_by_frames, all_is_free),
        cmocka_unit_test_setup(only_so_many_hold_a_frame, all_is_free),
        cmocka_unit_test_setup(what_is_not_ones_own_is_our_bug, all_is_free),
        cmocka_unit_test_setup(pieces_are_found_again_wherever_they_are_freed, all_is_free),
        cmocka_unit_test_setup(what_is_lent_counts_as_free_and_is_nobody_elses, all_is_free),
        cmocka_unit_test_setup(broken_frames_are_known, all_is_free),
        // Last: a panic leaves the allocator as it found it.
        cmocka_unit_test_setup(what_is_freed_twice_is_our_bug, all_is_free),
    };
    return cmocka_run_group_tests(tests, map_ram, unmap_ram);
}
