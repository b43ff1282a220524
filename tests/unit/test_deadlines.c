// vm/deadlines.c: the heap against a plain list.
#include "support.h"

#include "vm/deadlines.h"

#define MEMBERS DEADLINES

static struct deadline member[MEMBERS];

static uint64_t earliest(void)
{
    uint64_t first = NEVER;
    for (unsigned i = 0; i < MEMBERS; i++)
        first = MIN(first, member[i].at);
    return first;
}

static void the_first_is_the_earliest_of_all(void **state)
{
    static struct deadlines all = {.first = NEVER};
    uint32_t random = 1;
    for (unsigned i = 0; i < MEMBERS; i++)
        member[i].at = NEVER;
    for (unsigned step = 0; step < 100000; step++) {
        random = random * 1664525 + 1013904223;
        unsigned which = random >> 28;
        uint64_t at = random >> 20 & 15 ? random >> 8 & 0xff : NEVER, before = all.first;
        assert_int_equal(deadlines_set(&all, &member[which], at), earliest() < before);
        assert_int_equal(all.first, earliest());
        if (random & 0x80)
            continue;
        uint64_t now = random & 0xff;
        struct deadline *due = NULL;
        while ((due = deadlines_take(&all, now))) {
            assert_int_equal(due->at, NEVER);
            assert_in_range(due - member, 0, MEMBERS - 1);
        }
        assert_true(all.first > now);
        assert_int_equal(all.first, earliest());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_is_the_earliest_of_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
