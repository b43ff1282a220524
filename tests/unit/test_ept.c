// mm/ept.c over a recording memory: translations, frames, generations, and every
// intermediate state.

#include "tests/unit/support.h"

#include <pthread.h>
#include <sched.h>

#include "tests/unit/ept_memory.h"

#define AD (EPT_ACCESSED | EPT_DIRTY)

struct fixture {
    struct ept_memory *memory;
    struct ept ept;
};

static struct fixture begin(bool pages_1g)
{
    struct fixture f = {.memory = memory_new()};
    struct ept_features features = {
        .pages_1g = pages_1g, .accessed_dirty = true, .physical_bits = 40};
    assert_int_equal(ept_init(&f.ept, &f.memory->source, features), STATUS_OK);
    return f;
}

static void end(struct fixture *f)
{
    ept_destroy(&f->ept);
    assert_int_equal(f->memory->out, 0);
    assert_int_equal(f->ept.tables, 0);
    memory_delete(f->memory);
}

static struct translation at(struct fixture *f, uint64_t guest)
{
    return memory_walk(f->memory, ept_pointer(&f->ept), guest);
}

static void is_mapped(struct fixture *f, uint64_t guest, uint64_t host, uint64_t flags,
                      unsigned level)
{
    struct translation found = at(f, guest);
    assert_int_equal(found.host, host);
    assert_int_equal(found.flags & ~AD, flags);
    assert_int_equal(found.level, level);
}

static void is_hole(struct fixture *f, uint64_t guest)
{
    assert_int_equal(at(f, guest).flags, 0);
}

#define MAP(f, guest, host, size, flags) ept_map(&(f)->ept, gpa(guest), hpa(host), size, flags)
#define OK(call)                         assert_int_equal(call, STATUS_OK)

static void the_pointer_says_what_the_cpu_can(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    assert_int_equal(ept_pointer(&f.ept), POOL_ADDRESS | 0x5e);
    f.ept.features.accessed_dirty = false;
    assert_int_equal(ept_pointer(&f.ept), POOL_ADDRESS | 0x1e);
    end(&f);
}

static void the_largest_leaf_that_fits(void **state)
{
    (void)state;
    struct fixture f = begin(true);
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
    (void)state;
    struct fixture f = begin(false);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    is_mapped(&f, PAGE_1G - 1, 2 * PAGE_1G - 1, EPT_RAM, 2);
    OK(MAP(&f, 2 * PAGE_1G, PAGE_SIZE, PAGE_2M, EPT_ROM));
    is_mapped(&f, 2 * PAGE_1G + 1, PAGE_SIZE + 1, EPT_ROM, 1);
    end(&f);
}

static void where_only_4k_pages_are_safe_there_are_no_others(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    f.ept.features.only_4k = true;
    OK(MAP(&f, 0, PAGE_1G, 2 * PAGE_2M, EPT_RAM));
    is_mapped(&f, 0, PAGE_1G, EPT_RAM, 1);
    is_mapped(&f, 2 * PAGE_2M - 1, PAGE_1G + 2 * PAGE_2M - 1, EPT_RAM, 1);
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_UNSUPPORTED);
    end(&f);
}

static void what_cannot_be_mapped_is_refused(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    const uint64_t page = PAGE_SIZE;
    assert_int_equal(MAP(&f, 1, 0, page, EPT_RAM), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 1, page, EPT_RAM), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page + 1, EPT_RAM), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, 0, EPT_RAM), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_MEMORY_WB), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_WRITE | EPT_MEMORY_WB), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_WRITE | EPT_EXECUTE), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_EXECUTE | EPT_MEMORY_WB), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_READ | EPT_LEAF), STATUS_INVALID);
    assert_int_equal(MAP(&f, 0, 0, page, EPT_READ | BIT(63)), STATUS_INVALID);
    for (unsigned type = 0; type < 8; type++) {
        bool reserved = type == 2 || type == 3 || type == 7;
        assert_int_equal(MAP(&f, 0, 0, page, EPT_READ | type << 3),
                         reserved ? STATUS_INVALID : STATUS_OK);
    }
    assert_int_equal(MAP(&f, BIT(48), 0, page, EPT_RAM), STATUS_RANGE);
    assert_int_equal(MAP(&f, BIT(48) - page, 0, 2 * page, EPT_RAM), STATUS_RANGE);
    assert_int_equal(MAP(&f, page, 0, -page, EPT_RAM), STATUS_RANGE);
    assert_int_equal(MAP(&f, 0, BIT(40), page, EPT_RAM), STATUS_RANGE);
    assert_int_equal(MAP(&f, 0, BIT(40) - page, 2 * page, EPT_RAM), STATUS_RANGE);
    OK(MAP(&f, BIT(48) - page, BIT(40) - page, page, EPT_RAM));
    is_mapped(&f, BIT(48) - 1, BIT(40) - 1, EPT_RAM, 1);
    assert_int_equal(ept_unmap(&f.ept, gpa(BIT(48)), page), STATUS_RANGE);
    assert_int_equal(ept_unmap(&f.ept, gpa(1), page), STATUS_INVALID);
    assert_int_equal(ept_protect(&f.ept, gpa(0), page, 0), STATUS_INVALID);
    assert_int_equal(ept_protect(&f.ept, gpa(0), page, EPT_WRITE), STATUS_INVALID);
    assert_int_equal(ept_protect(&f.ept, gpa(0), page, EPT_READ | EPT_MEMORY_WB), STATUS_INVALID);
    f.ept.features.execute_only = true;
    OK(MAP(&f, 0, 0, page, EPT_EXECUTE | EPT_MEMORY_WB));
    end(&f);
}

static void generation_advances_only_when_something_cached_is_wrong(void **state)
{
    (void)state;
    struct fixture f = begin(true);
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
    ADVANCES(false, ept_protect(&f.ept, gpa(0), PAGE_2M, EPT_RIGHTS));  // more rights
    ADVANCES(true, ept_protect(&f.ept, gpa(0), PAGE_2M, EPT_READ));     // fewer
    ADVANCES(true, ept_protect(&f.ept, gpa(0), PAGE_SIZE, EPT_RIGHTS)); // a split
    ADVANCES(false, ept_protect(&f.ept, gpa(0), PAGE_SIZE, EPT_RIGHTS));
    ADVANCES(true, MAP(&f, 0, PAGE_SIZE, PAGE_SIZE, EPT_RAM)); // another address
    ADVANCES(true, MAP(&f, 0, PAGE_SIZE, PAGE_SIZE, EPT_RIGHTS | EPT_MEMORY_UC));
    ADVANCES(true, ept_unmap(&f.ept, gpa(0), PAGE_2M));
    ADVANCES(false, ept_unmap(&f.ept, gpa(0), PAGE_2M));
    ADVANCES(true, MAP(&f, 0, 0, PAGE_2M, EPT_RAM)); // in the place of an empty table
    is_mapped(&f, 0, 0, EPT_RAM, 2);
    end(&f);
}

static void protecting_a_part_splits_and_merging_joins(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    OK(MAP(&f, PAGE_1G, PAGE_1G, PAGE_1G, EPT_RAM));
    uint64_t page = PAGE_1G + 5 * PAGE_2M + 7 * PAGE_SIZE;
    OK(ept_protect(&f.ept, gpa(page), PAGE_SIZE, EPT_READ | EPT_EXECUTE));
    is_mapped(&f, page - 1, page - 1, EPT_RAM, 1);
    is_mapped(&f, page, page, EPT_ROM, 1);
    is_mapped(&f, page + PAGE_SIZE, page + PAGE_SIZE, EPT_RAM, 1);
    is_mapped(&f, PAGE_1G, PAGE_1G, EPT_RAM, 2);
    is_mapped(&f, PAGE_1G + 6 * PAGE_2M, PAGE_1G + 6 * PAGE_2M, EPT_RAM, 2);

    gpa_t part = gpa(PAGE_1G + 5 * PAGE_2M);
    assert_int_equal(ept_merge(&f.ept, part, PAGE_2M), STATUS_INVALID); // not uniform
    OK(ept_protect(&f.ept, gpa(page), PAGE_SIZE, EPT_RIGHTS));
    assert_int_equal(ept_merge(&f.ept, gpa(PAGE_1G), PAGE_1G), STATUS_INVALID);
    uint64_t before = f.ept.generation;
    OK(ept_merge(&f.ept, part, PAGE_2M));
    assert_true(f.ept.generation > before);
    is_mapped(&f, page, page, EPT_RAM, 2);
    OK(ept_merge(&f.ept, gpa(PAGE_1G), PAGE_1G));
    is_mapped(&f, page, page, EPT_RAM, 3);
    assert_int_equal(at(&f, page).flags & AD, AD); // counts as dirty
    assert_int_equal(ept_merge(&f.ept, gpa(PAGE_1G), PAGE_1G), STATUS_INVALID);

    // The tables that went out of use are still whole until every CPU has flushed.
    assert_int_equal(f.memory->out, 4);
    ept_reclaim(&f.ept);
    assert_int_equal(f.memory->out, 2);
    end(&f);
}

static void merging_knows_its_limits(void **state)
{
    (void)state;
    struct fixture f = begin(false);
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_1G), STATUS_UNSUPPORTED);
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_SIZE), STATUS_INVALID);
    assert_int_equal(ept_merge(&f.ept, gpa(PAGE_SIZE), PAGE_2M), STATUS_INVALID);
    assert_int_equal(ept_merge(&f.ept, gpa(BIT(48)), PAGE_2M), STATUS_RANGE);
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_INVALID); // a hole
    // Contiguous, but not on a boundary of 2M in host memory.
    OK(MAP(&f, 0, PAGE_SIZE, PAGE_2M, EPT_RAM));
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_INVALID);
    // Of one kind, but with one page of another memory type; then with one page out of place.
    for (uint64_t i = 0; i < 512; i++)
        OK(MAP(&f, i * PAGE_SIZE, PAGE_2M + i * PAGE_SIZE, PAGE_SIZE, EPT_RAM));
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M - PAGE_SIZE, PAGE_SIZE, EPT_RIGHTS));
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_INVALID);
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M, PAGE_SIZE, EPT_RAM));
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_INVALID);
    OK(MAP(&f, PAGE_2M - PAGE_SIZE, 2 * PAGE_2M - PAGE_SIZE, PAGE_SIZE, EPT_RAM));
    f.ept.retired_count = EPT_RETIRED;
    assert_int_equal(ept_merge(&f.ept, gpa(0), PAGE_2M), STATUS_FULL);
    f.ept.retired_count = 0;
    OK(ept_merge(&f.ept, gpa(0), PAGE_2M));
    end(&f);
}

static void unmapping_leaves_the_neighbours(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    OK(MAP(&f, 0, PAGE_1G, 2 * PAGE_1G, EPT_RAM));
    OK(ept_unmap(&f.ept, gpa(PAGE_1G - PAGE_SIZE), 2 * PAGE_SIZE));
    is_mapped(&f, PAGE_1G - PAGE_SIZE - 1, 2 * PAGE_1G - PAGE_SIZE - 1, EPT_RAM, 1);
    is_hole(&f, PAGE_1G - PAGE_SIZE);
    is_hole(&f, PAGE_1G);
    is_mapped(&f, PAGE_1G + PAGE_SIZE, 2 * PAGE_1G + PAGE_SIZE, EPT_RAM, 1);
    OK(ept_unmap(&f.ept, gpa(0), BIT(48)));
    is_hole(&f, 0);
    is_hole(&f, 2 * PAGE_1G - 1);
    end(&f);
}

static void without_frames_what_was_mapped_stays_right(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    OK(MAP(&f, 0, 0, PAGE_1G, EPT_RAM));
    for (unsigned spare = 0; spare < 2; spare++) {
        f.memory->limit = f.memory->out + spare;
        assert_int_equal(ept_protect(&f.ept, gpa(PAGE_SIZE), PAGE_SIZE, EPT_READ),
                         STATUS_NO_MEMORY);
        assert_int_equal(ept_unmap(&f.ept, gpa(PAGE_SIZE), PAGE_SIZE), STATUS_NO_MEMORY);
        assert_int_equal(MAP(&f, PAGE_SIZE, 0, PAGE_SIZE, EPT_ROM), STATUS_NO_MEMORY);
        is_mapped(&f, PAGE_SIZE, PAGE_SIZE, EPT_RAM, spare > 0 ? 2 : 3);
    }
    assert_int_equal(MAP(&f, BIT(39), 0, PAGE_SIZE, EPT_RAM), STATUS_NO_MEMORY);
    is_hole(&f, BIT(39));
    struct ept none;
    assert_int_equal(ept_init(&none, &f.memory->source, f.ept.features), STATUS_NO_MEMORY);
    ept_destroy(&none);
    end(&f);
}

static void set_flags(struct fixture *f, uint64_t guest, uint64_t flags)
{
    atomic_fetch_or(at(f, guest).entry, flags);
}

static void dirty_leaves_are_found_once(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    uint64_t size;
    OK(MAP(&f, 0, 0, PAGE_2M + PAGE_SIZE, EPT_RAM));
    set_flags(&f, 5, AD);
    set_flags(&f, PAGE_2M, AD);
    uint64_t before = f.ept.generation;
    assert_int_equal(ept_test_and_clear(&f.ept, gpa(0), EPT_DIRTY, &size), EPT_DIRTY);
    assert_int_equal(size, PAGE_2M);
    assert_int_equal(ept_test_and_clear(&f.ept, gpa(PAGE_2M), EPT_DIRTY, &size), EPT_DIRTY);
    assert_int_equal(size, PAGE_SIZE);
    assert_true(f.ept.generation > before);
    before = f.ept.generation;
    assert_int_equal(ept_test_and_clear(&f.ept, gpa(0), EPT_DIRTY, &size), 0);
    assert_int_equal(ept_test_and_clear(&f.ept, gpa(PAGE_1G), AD, &size), 0); // a hole
    assert_int_equal(size, PAGE_1G);
    assert_int_equal(f.ept.generation, before);
    assert_int_equal(at(&f, 5).flags & AD, EPT_ACCESSED); // only what was asked for

    // A split hands the flags down; a change of rights keeps them.
    set_flags(&f, 0, EPT_DIRTY);
    OK(ept_protect(&f.ept, gpa(PAGE_SIZE), PAGE_SIZE, EPT_READ));
    assert_true(at(&f, 0).flags & EPT_DIRTY);
    assert_true(at(&f, PAGE_SIZE).flags & EPT_DIRTY);
    assert_true(at(&f, PAGE_2M - 1).flags & EPT_DIRTY);
    end(&f);
}

// ---- every intermediate state
// --------------------------------------------------------------------------------------

#define WATCHED 6

// The states that each watched page may be in at any moment: before or after the change under way.
struct watch {
    struct fixture *f;
    uint64_t guest[WATCHED];
    struct translation before[WATCHED], after[WATCHED];
    uint64_t eptp;
    atomic_bool stop;
    atomic_uint looks;
    unsigned wrong;
};

static bool same(struct translation a, struct translation b)
{
    return a.host == b.host && (a.flags & ~AD) == (b.flags & ~AD);
}

static void look(void *context)
{
    struct watch *watch = context;
    for (unsigned i = 0; i < WATCHED; i++) {
        struct translation now = memory_walk(watch->f->memory, watch->eptp, watch->guest[i]);
        if (!same(now, watch->before[i]) && !same(now, watch->after[i]))
            watch->wrong++;
    }
    watch->looks++;
}

static void *keep_looking(void *context)
{
    struct watch *watch = context;
    while (!atomic_load(&watch->stop))
        look(watch);
    return NULL;
}

// A page in the middle of 1G changes its rights over and over, with splits and merges, while
// another thread walks.
static void no_walk_ever_sees_a_half_made_table(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    struct watch watch = {.f = &f, .eptp = ept_pointer(&f.ept)};
    const uint64_t page = 3 * PAGE_2M + 9 * PAGE_SIZE;
    const uint64_t guest[WATCHED] = {0, page - 1, page, page + PAGE_SIZE, 5 * PAGE_2M, PAGE_1G - 1};
    for (unsigned i = 0; i < WATCHED; i++) {
        watch.guest[i] = guest[i];
        watch.before[i] = watch.after[i] =
            (struct translation){PAGE_1G + guest[i], EPT_RAM, 0, NULL};
    }
    watch.after[2].flags = EPT_ROM;

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_looking, &watch), 0);
    for (unsigned i = 0; i < 400; i++) {
        OK(ept_protect(&f.ept, gpa(page), PAGE_SIZE, EPT_READ | EPT_EXECUTE));
        OK(ept_protect(&f.ept, gpa(page), PAGE_SIZE, EPT_RIGHTS));
        OK(ept_merge(&f.ept, gpa(3 * PAGE_2M), PAGE_2M));
        OK(ept_merge(&f.ept, gpa(0), PAGE_1G));
        // What a CPU's INVEPT is to the tables: walks that began before are over.
        unsigned seen = watch.looks;
        while (watch.looks < seen + 2)
            sched_yield();
        ept_reclaim(&f.ept);
    }
    atomic_store(&watch.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(watch.wrong, 0);
    end(&f);
}

// The same without chance: looks whenever the code under test asks its frame source for anything.
static void each_step_of_each_operation_is_old_or_new(void **state)
{
    (void)state;
    struct fixture f = begin(true);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    for (unsigned step = 0; step < 6; step++) {
        struct watch watch = {.f = &f, .eptp = ept_pointer(&f.ept)};
        const uint64_t first = PAGE_2M - 2 * PAGE_SIZE, size = PAGE_2M + 4 * PAGE_SIZE;
        const uint64_t guest[WATCHED] = {0,       first - 1,        first,
                                         PAGE_2M, first + size - 1, first + size};
        for (unsigned i = 0; i < WATCHED; i++) {
            bool inside = guest[i] >= first && guest[i] < first + size;
            watch.guest[i] = guest[i];
            watch.before[i] = watch.after[i] = at(&f, guest[i]);
            if (inside && step % 3 == 0)
                watch.after[i].flags = EPT_ROM;
            else if (inside && step % 3 == 1)
                watch.after[i] = (struct translation){0};
            else if (inside)
                watch.after[i] = (struct translation){guest[i], EPT_RAM, 0, NULL};
        }
        f.memory->look = look;
        f.memory->context = &watch;
        if (step % 3 == 0)
            OK(ept_protect(&f.ept, gpa(first), size, EPT_READ | EPT_EXECUTE));
        else if (step % 3 == 1)
            OK(ept_unmap(&f.ept, gpa(first), size));
        else
            OK(MAP(&f, first, first, size, EPT_RAM));
        f.memory->look = NULL;
        assert_true(watch.looks > 4);
        assert_int_equal(watch.wrong, 0);
        for (unsigned i = 0; i < WATCHED; i++)
            assert_true(same(at(&f, guest[i]), watch.after[i]));
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pointer_says_what_the_cpu_can),
        cmocka_unit_test(the_largest_leaf_that_fits),
        cmocka_unit_test(without_1g_pages_or_alignment_smaller_ones),
        cmocka_unit_test(where_only_4k_pages_are_safe_there_are_no_others),
        cmocka_unit_test(what_cannot_be_mapped_is_refused),
        cmocka_unit_test(generation_advances_only_when_something_cached_is_wrong),
        cmocka_unit_test(protecting_a_part_splits_and_merging_joins),
        cmocka_unit_test(merging_knows_its_limits),
        cmocka_unit_test(unmapping_leaves_the_neighbours),
        cmocka_unit_test(without_frames_what_was_mapped_stays_right),
        cmocka_unit_test(dirty_leaves_are_found_once),
        cmocka_unit_test(no_walk_ever_sees_a_half_made_table),
        cmocka_unit_test(each_step_of_each_operation_is_old_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
