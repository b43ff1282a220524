// Corbel's own page tables over memory as large machines have it: more than 1 TiB, with holes. The
// file under test is part of the machine half; of it, only what touches memory runs here.

#define _GNU_SOURCE // MAP_FIXED_NOREPLACE

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "mm/paging.c"

#define MIB  UINT64_C(0x100000)
#define GIB  UINT64_C(0x40000000)
#define TIB  (1024 * GIB)
#define POOL (UINT64_C(256) * MIB) // where page tables come from
#define SIZE (UINT64_C(32) * MIB)

const uint8_t image_start[1], image_text_start[1], image_text_end[1], image_rodata_start[1],
    image_rodata_end[1], image_end[1], image_data_end[1];

static int make_pool(void **state)
{
    void *pool = mmap((void *)POOL, SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    static _Alignas(PAGE_SIZE) uint8_t bitmap[4 * PAGE_SIZE];
    assert_true(frames_bitmap_size(POOL + SIZE) <= sizeof(bitmap));
    frames_init(hpa((uintptr_t)bitmap), POOL + SIZE);
    frames_add(hpa(POOL), SIZE);
    assert_true(frames_know_owners());
    return pool == (void *)POOL ? 0 : -1;
}

static int free_pool(void **state)
{
    return munmap((void *)POOL, SIZE);
}

// The entry that maps `address` in these tables, found as the CPU does; 0: none. *size is what it
// covers.
static uint64_t walk_in(const uint64_t *table, uint64_t address, uint64_t *size)
{
    for (int shift = 39;; shift -= 9) {
        uint64_t entry = table[address >> shift & 511];
        *size = UINT64_C(1) << shift;
        if (!(entry & 1))
            return 0;
        if (shift == 12 || (entry & 0x80))
            return entry;
        table = (const uint64_t *)(entry & 0xffffffffff000);
    }
}

static uint64_t walk(uint64_t address, uint64_t *size)
{
    return walk_in((const uint64_t *)own.root, address, size);
}

#define UNCACHEABLE UINT64_C(0x18) // PWT and PCD
#define NO_EXECUTE  (UINT64_C(1) << 63)

static void assert_maps(uint64_t address, uint64_t size, uint64_t cache)
{
    uint64_t found, entry = walk(address, &found);
    assert_int_equal(found, size);
    assert_int_equal(entry & 0xffffffffff000 & ~(size - 1), address & ~(size - 1));
    assert_int_equal(entry & UNCACHEABLE, cache);
    assert_int_equal(entry & NO_EXECUTE, NO_EXECUTE);
}

static void memory_beyond_a_terabyte_is_mapped_as_it_is(void **state)
{
    uint64_t size;
    paging_init();
    paging_add_ram(hpa(MIB), 2 * GIB - MIB + 12345);
    paging_add_ram(hpa(4 * GIB), 1020 * GIB);
    paging_add_ram(hpa(2 * TIB + 4096), TIB); // no large page at either end
    assert_int_equal(walk(0, &size), 0);
    assert_maps(0x1000, 4096, UNCACHEABLE);
    assert_maps(MIB, 4096, 0);
    assert_maps(2 * MIB, 2 * MIB, 0);
    assert_maps(2 * GIB - 1, 2 * MIB, 0);
    assert_maps(2 * GIB + 0x2000, 4096, 0);
    assert_maps(2 * GIB + 0x3000, 4096, UNCACHEABLE); // part of a page is no memory
    assert_maps(4 * GIB - 1, 2 * MIB, UNCACHEABLE);
    assert_maps(4 * GIB, 2 * MIB, 0);
    assert_maps(TIB - 1, 2 * MIB, 0);
    assert_int_equal(walk(TIB, &size), 0);
    assert_int_equal(walk(2 * TIB, &size), 0);
    assert_maps(2 * TIB + 4096, 4096, 0);
    assert_maps(2 * TIB + 2 * MIB, 2 * MIB, 0);
    assert_maps(3 * TIB + 4095, 4096, 0);
    assert_int_equal(walk(3 * TIB + 4096, &size), 0);
    assert_int_equal(paging_violations(), 0);
}

static void a_page_that_may_be_written_and_executed_is_found(void **state)
{
    paging_init();
    assert_int_equal(paging_violations(), 0);
    map(2 * GIB, 2 * GIB + 2 * MIB, DATA & ~NO_EXECUTE);
    assert_int_equal(paging_violations(), 1);
    map(2 * GIB, 2 * GIB + 2 * MIB, PTE_PRESENT); // not text, though
    assert_int_equal(paging_violations(), 1);
}

// What a CPU in these tables reads at `at` of RAM: by the window, or one to one.
static bool is_seen(const void *tables, uint64_t at, uint64_t offset)
{
    uint64_t size, entry = walk_in(tables, offset + at, &size);
    if (!entry)
        return false;
    assert_int_equal(entry & 0xffffffffff000 & ~(size - 1), at & ~(size - 1));
    assert_int_equal(entry & NO_EXECUTE, NO_EXECUTE);
    assert_int_equal(entry & UNCACHEABLE, 0);
    assert_int_equal(entry & PTE_GLOBAL, 0); // or a MOV CR3 would leave it in the TLB
    return true;
}

static void a_view_shows_its_own_guests_memory(void **state)
{
    const uint64_t one = 4 * GIB, other = 5 * GIB, ours = 6 * GIB - 4096, size = 6 * MIB;
    paging_init();
    paging_add_ram(hpa(4 * GIB), 2 * GIB);
    map(other + 2 * MIB, other + 2 * MIB + 4096, RAM); // split once, for whatever reason
    uint64_t before = frames_free_count();
    uint64_t view[2] = {paging_view_make(1), paging_view_make(2)};
    unmap(one, size);
    unmap(other, size);
    assert_true(paging_view_add(view[0], 1, hpa(one), size));
    assert_true(paging_view_add(view[1], 2, hpa(other), size));
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        for (unsigned i = 0; i < 2; i++) {
            const void *tables = (const void *)view[i];
            assert_false(is_seen(tables, one + at, 0));
            assert_false(is_seen(tables, other + at, 0));
            assert_int_equal(is_seen(tables, one + at, PAGING_WINDOW), i == 0);
            assert_int_equal(is_seen(tables, other + at, PAGING_WINDOW), i == 1);
        }
        assert_false(is_seen((const void *)own.root, one + at, 0));
        assert_true(is_seen((const void *)own.root, one + at, PAGING_WINDOW));
        assert_true(is_seen((const void *)own.root, other + at, PAGING_WINDOW));
    }
    assert_true(is_seen((const void *)view[0], ours, 0));
    assert_false(is_seen((const void *)view[0], ours, PAGING_WINDOW));
    assert_true(is_seen((const void *)view[0], one + size, 0));
    paging_show(hpa(other), size);
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        assert_true(is_seen((const void *)view[0], other + at, 0));
    assert_int_equal(paging_violations(), 0);
    assert_int_equal(frames_held(1).alone, 3); // a table of each level
    paging_view_free(view[0], 1);
    paging_view_free(view[1], 2);
    assert_int_equal(frames_free_count(), before);
}

static void two_vms_are_seen_at_two_places_and_no_third(void **state)
{
    const uint64_t at[3] = {4 * GIB, 5 * GIB, TIB}, size = 2 * MIB;
    uint64_t view[3];
    paging_init();
    paging_add_ram(hpa(4 * GIB), 2 * GIB);
    paging_add_ram(hpa(TIB), GIB);      // two more entries of the top table
    uint64_t pair = paging_pair_make(); // before RAM is hidden
    for (unsigned i = 0; i < 3; i++) {
        view[i] = paging_view_make(i + 1);
        unmap(at[i], size);
        assert_true(paging_view_add(view[i], i + 1, hpa(at[i]), size));
    }
    for (unsigned one = 0; one < 3; one++)
        for (unsigned other = 0; other < 3; other++) {
            paging_pair_show(pair, view[one], view[other]);
            for (unsigned i = 0; i < 3; i++) {
                const void *tables = (const void *)pair;
                assert_false(is_seen(tables, at[i], 0));
                assert_int_equal(is_seen(tables, at[i], PAGING_WINDOW), i == one);
                assert_int_equal(is_seen(tables, at[i], PAGING_OTHER), i == other);
            }
        }
    assert_true(is_seen((const void *)pair, 6 * GIB - 4096, 0)); // what is ours
    for (unsigned i = 0; i < 3; i++)
        paging_view_free(view[i], i + 1);
}

static void a_view_without_memory_is_refused(void **state)
{
    paging_init();
    paging_add_ram(hpa(4 * GIB), GIB);
    uint64_t view = paging_view_make(1);
    uint8_t *rest[SIZE / PAGE_SIZE];
    unsigned count = 0;
    while ((rest[count] = frame_allocate(2)))
        count++;
    assert_false(paging_view_add(view, 1, hpa(4 * GIB), GIB));
    assert_int_equal(paging_view_make(1), 0);
    frame_free(rest[--count], 2);
    assert_int_equal(paging_view_make(1), 0);
    assert_false(paging_view_add(view, 1, hpa(8 * GIB - 8192), 8192)); // it needs two
    paging_view_free(view, 1);
    paging_view_free(0, 1);
    assert_int_equal(frames_free_count(), 3);
}

// By pages of 4 KiB, in what was whole.
static void a_page_comes_and_goes(void **state)
{
    const uint64_t ram = 4 * GIB, page = ram + 5 * 4096;
    paging_init();
    paging_add_ram(hpa(ram), GIB);
    uint64_t view = paging_view_make(1), size;
    unmap(ram, 2 * MIB);
    assert_true(paging_view_add(view, 1, hpa(ram), 2 * MIB));
    uint64_t before = frames_free_count();
    for (unsigned i = 0; i < 2; i++)
        assert_true(paging_split(hpa(page)) && paging_view_split(view, 1, hpa(page)));
    assert_int_equal(frames_free_count(), before - 2);
    struct frame_source from = frames_source(1);
    struct page_table table = view_of(view, &from);
    assert_true(page_table_change(&table, WINDOW + page, 4096, 0, 0)); // paging_view_take()
    paging_show(hpa(page), 4096);
    for (uint64_t at = ram; at < ram + 2 * MIB; at += 4096) {
        assert_int_equal(is_seen((const void *)view, at, PAGING_WINDOW), at != page);
        assert_int_equal(is_seen((const void *)view, at, 0), at == page);
    }
    assert_true(walk(page, &size) && size == 4096);
    unmap(page, 4096);
    assert_true(paging_view_add(view, 1, hpa(page), 4096));
    assert_true(is_seen((const void *)view, page, PAGING_WINDOW));
    assert_false(is_seen((const void *)view, page, 0));
    paging_show(hpa(ram), 2 * MIB);
    assert_int_equal(frames_free_count(), before - 2); // nothing is needed for that
    paging_view_free(view, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_beyond_a_terabyte_is_mapped_as_it_is, make_pool,
                                        free_pool),
        cmocka_unit_test_setup_teardown(a_page_that_may_be_written_and_executed_is_found, make_pool,
                                        free_pool),
        cmocka_unit_test_setup_teardown(a_view_shows_its_own_guests_memory, make_pool, free_pool),
        cmocka_unit_test_setup_teardown(two_vms_are_seen_at_two_places_and_no_third, make_pool,
                                        free_pool),
        cmocka_unit_test_setup_teardown(a_view_without_memory_is_refused, make_pool, free_pool),
        cmocka_unit_test_setup_teardown(a_page_comes_and_goes, make_pool, free_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
