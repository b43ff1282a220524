// mm/tables/page_table.c with the format of EPT over a recording memory: translations, frames and
// generations.

#include "tests/unit/ept_fixture.h"

static void the_pointer_says_what_the_cpu_can(void **state)
{
    struct fixture f = begin(3);
    assert_int_equal(ept_pointer(&f.ept, true), POOL_ADDRESS | 0x5e);
    assert_int_equal(ept_pointer(&f.ept, false), POOL_ADDRESS | 0x1e);
    end(&f);
}

static void the_largest_leaf_that_fits(void **state)
{
    struct fixture f = begin(3);
    // 4K up to 2M, 2M up to 1G, one 1G, and down again.
    uint64_t first = PAGE_1G - PAGE_2M - PAGE_SIZE;
    uint64_t size = PAGE_SIZE + PAGE_2M + PAGE_1G + PAGE_2M + PAGE_SIZE;
    OK(MAP(&f, first, first + 4 * PAGE_1G, size, EPT_RAM));
    is_hole(&f, first - 1);
    is_mapped(&f, first, first + 4 * PAGE_1G, EPT_RAM, 1);
    is_mapped(&f, PAGE_1G - 1, 5 * PAGE_1G - 1, EPT_RAM, 2);
    is_mapped(&f, PAGE_1G, 5 * PAGE_1G, EPT_RAM, 3);
    is_mapped(&f, 2 * PAGE_1G, 6 * PAGE_1G, EPT_RAM, 2);
    is_mapped(&f, 2 * PAGE_1G + PAGE_2M + 5, 6 * PAGE_1G + PAGE_2M + 5, EPT_RAM, 1);
    is_hole(&f, first + size);
    assert_int_equal(f.ept.generation, 0); // nothing was mapped before
    assert_int_equal(f.memory->out, 6);    // root, 1 table of 1G, 2 of 2M, 2 of 4K
    end(&f);
}

static void without_1g_pages_or_alignment_smaller_ones(void **state)
{
    struct fixture f = begin(2);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    is_mapped(&f, PAGE_1G - 1, 2 * PAGE_1G - 1, EPT_RAM, 2);
    OK(MAP(&f, 2 * PAGE_1G, PAGE_SIZE, PAGE_2M, EPT_ROM));
    is_mapped(&f, 2 * PAGE_1G + 1, PAGE_SIZE + 1, EPT_ROM, 1);
    end(&f);
}

static void where_only_4k_pages_are_safe_there_are_no_others(void **state)
{
    struct fixture f = begin(3);
    f.ept.largest = 1;
    OK(MAP(&f, 0, PAGE_1G, 2 * PAGE_2M, EPT_RAM));
    is_mapped(&f, 0, PAGE_1G, EPT_RAM, 1);
    is_mapped(&f, 2 * PAGE_2M - 1, PAGE_1G + 2 * PAGE_2M - 1, EPT_RAM, 1);
    assert_false(MERGE(&f, 0, 2));
    unsigned out = f.memory->out; // pages go and come without another frame
    for (uint64_t page = 0; page < 2 * PAGE_2M; page += PAGE_SIZE)
        OK(UNMAP(&f, page, PAGE_SIZE));
    is_hole(&f, PAGE_2M);
    OK(MAP(&f, PAGE_2M, PAGE_1G + PAGE_2M, PAGE_SIZE, EPT_RAM));
    assert_int_equal(f.memory->out, out);
    end(&f);
}

static void a_range_that_is_none_is_our_bug(void **state)
{
    struct fixture f = begin(3);
    const uint64_t page = PAGE_SIZE;
    expect_panic((void)!MAP(&f, 1, 0, page, EPT_RAM));
    expect_panic((void)!MAP(&f, 0, 1, page, EPT_RAM));
    expect_panic((void)!MAP(&f, 0, 0, page + 1, EPT_RAM));
    expect_panic((void)!MAP(&f, BIT(48), 0, page, EPT_RAM));
    expect_panic((void)!MAP(&f, BIT(48) - page, 0, 2 * page, EPT_RAM));
    expect_panic((void)!MAP(&f, page, 0, -page, EPT_RAM));
    expect_panic((void)!UNMAP(&f, BIT(48), page));
    expect_panic((void)!UNMAP(&f, 1, page));
    OK(MAP(&f, BIT(48) - page, BIT(40) - page, page, EPT_RAM));
    is_mapped(&f, BIT(48) - 1, BIT(40) - 1, EPT_RAM, 1);
    OK(MAP(&f, 0, 0, 0, EPT_RAM));
    is_hole(&f, 0);
    end(&f);
}

static void generation_advances_only_when_something_cached_is_wrong(void **state)
{
    struct fixture f = begin(3);
    _Atomic uint64_t *generation = &f.ept.generation;
    uint64_t before;
#define ADVANCES(expected, call)                                                                   \
    do {                                                                                           \
        before = *generation;                                                                      \
        OK(call);                                                                                  \
        assert_int_equal(*generation != before, expected);                                         \
    } while (0)
    ADVANCES(false, MAP(&f, 0, 0, 2 * PAGE_2M, EPT_ROM));
    ADVANCES(false, MAP(&f, 0, 0, 2 * PAGE_2M, EPT_ROM));
    ADVANCES(false, PROTECT(&f, 0, PAGE_2M, EPT_RIGHTS));  // more rights
    ADVANCES(true, PROTECT(&f, 0, PAGE_2M, EPT_READ));     // fewer
    ADVANCES(true, PROTECT(&f, 0, PAGE_SIZE, EPT_RIGHTS)); // a split
    ADVANCES(false, PROTECT(&f, 0, PAGE_SIZE, EPT_RIGHTS));
    ADVANCES(true, MAP(&f, 0, PAGE_SIZE, PAGE_SIZE, EPT_RAM)); // another address
    ADVANCES(true, MAP(&f, 0, PAGE_SIZE, PAGE_SIZE, EPT_RIGHTS));
    ADVANCES(true, UNMAP(&f, 0, PAGE_2M));
    ADVANCES(false, UNMAP(&f, 0, PAGE_2M));
    ADVANCES(false, MAP(&f, 0, 0, PAGE_2M, EPT_RAM)); // the table stays
    is_mapped(&f, 0, 0, EPT_RAM, 1);
    ADVANCES(true, MERGE(&f, 0, 2));
    end(&f);
}

static void protecting_a_part_splits_and_merging_joins(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, PAGE_1G, PAGE_1G, PAGE_1G, EPT_RAM));
    uint64_t page = PAGE_1G + 5 * PAGE_2M + 7 * PAGE_SIZE;
    OK(PROTECT(&f, page, PAGE_SIZE, EPT_READ | EPT_EXECUTE));
    is_mapped(&f, page - 1, page - 1, EPT_RAM, 1);
    is_mapped(&f, page, page, EPT_ROM, 1);
    is_mapped(&f, page + PAGE_SIZE, page + PAGE_SIZE, EPT_RAM, 1);
    is_mapped(&f, PAGE_1G, PAGE_1G, EPT_RAM, 2);
    is_mapped(&f, PAGE_1G + 6 * PAGE_2M, PAGE_1G + 6 * PAGE_2M, EPT_RAM, 2);

    const uint64_t part = PAGE_1G + 5 * PAGE_2M;
    assert_false(MERGE(&f, part, 2)); // not uniform
    OK(PROTECT(&f, page, PAGE_SIZE, EPT_RIGHTS));
    assert_false(MERGE(&f, PAGE_1G, 3));
    uint64_t before = f.ept.generation;
    OK(MERGE(&f, part, 2));
    assert_true(f.ept.generation > before);
    is_mapped(&f, page, page, EPT_RAM, 2);
    OK(MERGE(&f, PAGE_1G, 3));
    is_mapped(&f, page, page, EPT_RAM, 3);
    assert_int_equal(at(&f, page).flags & AD, AD); // counts as dirty
    assert_false(MERGE(&f, PAGE_1G, 3));

    // The tables that went out of use are still whole until every CPU has flushed.
    assert_int_equal(f.memory->out, 4);
    page_table_reclaim(&f.ept);
    assert_int_equal(f.memory->out, 2);
    end(&f);
}

static void merging_knows_its_limits(void **state)
{
    struct fixture f = begin(2);
    assert_false(MERGE(&f, 0, 3));
    assert_false(MERGE(&f, 0, 2)); // a hole
    // Contiguous, but not on a boundary of 2M in host memory.
    OK(MAP(&f, 0, PAGE_SIZE, PAGE_2M, EPT_RAM));
    assert_false(MERGE(&f, 0, 2));
    // Of one kind, but with one page of another memory type; then with one page out of place.
    for (uint64_t i = 0; i < 512; i++)
        OK(MAP(&f, i * PAGE_SIZE, PAGE_2M + i * PAGE_SIZE, PAGE_SIZE, EPT_RAM));
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M - PAGE_SIZE, PAGE_SIZE, EPT_RIGHTS));
    assert_false(MERGE(&f, 0, 2));
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M, PAGE_SIZE, EPT_RAM));
    assert_false(MERGE(&f, 0, 2));
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M - PAGE_SIZE, PAGE_SIZE, EPT_RAM));
    f.ept.retired_count = PAGE_TABLE_RETIRED;
    assert_false(MERGE(&f, 0, 2));
    f.ept.retired_count = 0;
    OK(MERGE(&f, 0, 2));
    end(&f);
}

static void unmapping_leaves_the_neighbours(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, 0, PAGE_1G, 2 * PAGE_1G, EPT_RAM));
    OK(UNMAP(&f, PAGE_1G - PAGE_SIZE, 2 * PAGE_SIZE));
    is_mapped(&f, PAGE_1G - PAGE_SIZE - 1, 2 * PAGE_1G - PAGE_SIZE - 1, EPT_RAM, 1);
    is_hole(&f, PAGE_1G - PAGE_SIZE);
    is_hole(&f, PAGE_1G);
    is_mapped(&f, PAGE_1G + PAGE_SIZE, 2 * PAGE_1G + PAGE_SIZE, EPT_RAM, 1);
    OK(UNMAP(&f, 0, BIT(48)));
    is_hole(&f, 0);
    is_hole(&f, 2 * PAGE_1G - 1);
    end(&f);
}

static void without_frames_what_was_mapped_stays_right(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, 0, 0, PAGE_1G, EPT_RAM));
    for (unsigned spare = 0; spare < 2; spare++) {
        f.memory->limit = f.memory->out + spare;
        assert_false(PROTECT(&f, PAGE_SIZE, PAGE_SIZE, EPT_READ));
        assert_false(UNMAP(&f, PAGE_SIZE, PAGE_SIZE));
        assert_false(MAP(&f, PAGE_SIZE, 0, PAGE_SIZE, EPT_ROM));
        is_mapped(&f, PAGE_SIZE, PAGE_SIZE, EPT_RAM, spare > 0 ? 2 : 3);
    }
    assert_false(MAP(&f, BIT(39), 0, PAGE_SIZE, EPT_RAM));
    is_hole(&f, BIT(39));
    struct page_table none;
    assert_false(page_table_init(&none, EPT_FORMAT, 3, &f.memory->source));
    page_table_destroy(&none, 1);
    end(&f);
}

static void set_flags(struct fixture *f, uint64_t guest, uint64_t flags)
{
    atomic_fetch_or(at(f, guest).entry, flags);
}

static void the_cpus_flags_are_kept(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, 0, 0, PAGE_2M, EPT_RAM));
    set_flags(&f, 5, AD);
    OK(PROTECT(&f, PAGE_SIZE, PAGE_SIZE, EPT_READ)); // a split hands them down
    assert_true(at(&f, 0).flags & EPT_DIRTY);
    assert_true(at(&f, PAGE_SIZE).flags & EPT_DIRTY);
    assert_true(at(&f, PAGE_2M - 1).flags & EPT_DIRTY);
    struct page_entry entry = page_table_walk(&f.ept, 0, 1);
    assert_true(page_table_update(entry.at, ~EPT_DIRTY, 0) & EPT_DIRTY);
    assert_int_equal(at(&f, 0).flags & AD, EPT_ACCESSED);
    assert_false(page_table_update(entry.at, ~EPT_DIRTY, 0) & EPT_DIRTY);
    end(&f);
}

static void a_page_has_the_rights_of_the_way_to_it(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, 0, 0, PAGE_2M + PAGE_SIZE, EPT_RAM));
    struct page_entry way = page_table_walk(&f.ept, 0, 3);
    assert_int_equal(way.level, 3);
    (void)page_table_update(way.at, ~EPT_WRITE, 0);
    struct page_entry large = page_table_walk(&f.ept, 0, 1);
    struct page_entry hole = page_table_walk(&f.ept, PAGE_1G, 1);
    assert_int_equal(large.level, 2);
    assert_int_equal(large.rights, EPT_READ | EPT_EXECUTE);
    assert_true(large.value & EPT_WRITE);
    assert_int_equal(page_table_walk(&f.ept, PAGE_2M, 1).rights, EPT_READ | EPT_EXECUTE);
    assert_int_equal(hole.level, 3);
    assert_int_equal(hole.rights | hole.value, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pointer_says_what_the_cpu_can),
        cmocka_unit_test(the_largest_leaf_that_fits),
        cmocka_unit_test(without_1g_pages_or_alignment_smaller_ones),
        cmocka_unit_test(where_only_4k_pages_are_safe_there_are_no_others),
        cmocka_unit_test(a_range_that_is_none_is_our_bug),
        cmocka_unit_test(generation_advances_only_when_something_cached_is_wrong),
        cmocka_unit_test(protecting_a_part_splits_and_merging_joins),
        cmocka_unit_test(merging_knows_its_limits),
        cmocka_unit_test(unmapping_leaves_the_neighbours),
        cmocka_unit_test(without_frames_what_was_mapped_stays_right),
        cmocka_unit_test(the_cpus_flags_are_kept),
        cmocka_unit_test(a_page_has_the_rights_of_the_way_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
