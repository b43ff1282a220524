// mm/tables/page_table.c while others walk: every intermediate state is the old one or the new one.

#include "tests/unit/ept_fixture.h"

#include <pthread.h>
#include <sched.h>

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
    struct fixture f = begin(3);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    struct watch watch = {.f = &f, .eptp = ept_pointer(&f.ept, true)};
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
        OK(PROTECT(&f, page, PAGE_SIZE, EPT_READ | EPT_EXECUTE));
        OK(PROTECT(&f, page, PAGE_SIZE, EPT_RIGHTS));
        OK(MERGE(&f, 3 * PAGE_2M, 2));
        OK(MERGE(&f, 0, 3));
        // What a CPU's INVEPT is to the tables: walks that began before are over.
        unsigned seen = watch.looks;
        while (watch.looks < seen + 2)
            sched_yield();
        page_table_reclaim(&f.ept);
    }
    atomic_store(&watch.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(watch.wrong, 0);
    end(&f);
}

// The same without chance: looks whenever the code under test asks its frame source for anything.
static void each_step_of_each_operation_is_old_or_new(void **state)
{
    struct fixture f = begin(3);
    OK(MAP(&f, 0, PAGE_1G, PAGE_1G, EPT_RAM));
    for (unsigned step = 0; step < 6; step++) {
        struct watch watch = {.f = &f, .eptp = ept_pointer(&f.ept, true)};
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
            OK(PROTECT(&f, first, size, EPT_READ | EPT_EXECUTE));
        else if (step % 3 == 1)
            OK(UNMAP(&f, first, size));
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
        cmocka_unit_test(no_walk_ever_sees_a_half_made_table),
        cmocka_unit_test(each_step_of_each_operation_is_old_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
