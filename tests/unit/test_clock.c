#include "tests/unit/support.h"

#include "vm/clock.h"

static const uint64_t rates[] = {1000000,    50000000,   999999937,        1000000000,
                                 2400000123, 3500000000, UINT64_C(1) << 36};

static void factors_are_exact(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rates); i++) {
        struct clock clock;
        clock_init(&clock, rates[i], 7);
        unsigned __int128 one = 1;
        assert_int_equal(clock.hz, rates[i]);
        assert_int_equal(clock.epoch, 7);
        assert_int_equal(clock.ns_per_tsc, (uint64_t)((one * 1000000000 << 32) / rates[i]));
        assert_int_equal(clock.tsc_per_ns, (uint64_t)((one * rates[i] << 32) / 1000000000));
    }
}

static void one_second_is_a_second(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rates); i++) {
        struct clock clock;
        clock_init(&clock, rates[i], 1000);
        assert_in_range(clock_ns(&clock, 1000 + rates[i]), 999999980, 1000000000);
    }
}

static void before_the_epoch_is_zero(void **state)
{
    struct clock clock;
    clock_init(&clock, 2000000000, 5000);
    assert_int_equal(clock_ns(&clock, 0), 0);
    assert_int_equal(clock_ns(&clock, 4999), 0);
    assert_int_equal(clock_ns(&clock, 5000), 0);
    assert_int_equal(clock_ns(&clock, 5002), 1);
    assert_int_equal(clock_tsc(&clock, 0), 5000);
}

// clock_tsc() is the very first TSC that shows the time.
static void tsc_is_the_first_one(void **state)
{
    static const uint64_t times[] = {1,
                                     2,
                                     3,
                                     19,
                                     20,
                                     21,
                                     999,
                                     1000000007,
                                     123456789,
                                     UINT64_C(1) << 40,
                                     86400 * UINT64_C(1000000000) * 365};
    for (unsigned i = 0; i < ARRAY_LENGTH(rates); i++)
        for (unsigned j = 0; j < ARRAY_LENGTH(times); j++) {
            struct clock clock;
            clock_init(&clock, rates[i], 12345);
            uint64_t tsc = clock_tsc(&clock, times[j]);
            assert_true(clock_ns(&clock, tsc) >= times[j]);
            assert_true(clock_ns(&clock, tsc - 1) < times[j]);
        }
}

static void what_never_comes(void **state)
{
    struct clock clock;
    for (unsigned i = 0; i < ARRAY_LENGTH(rates); i++) {
        clock_init(&clock, rates[i], 12345);
        assert_int_equal(clock_tsc(&clock, UINT64_MAX), UINT64_MAX);
    }
    // The clock of 2^36 Hz: a TSC of 64 bits ends before 2^62 ns.
    assert_int_equal(clock_tsc(&clock, UINT64_C(1) << 62), UINT64_MAX);
    clock_init(&clock, 1000000000, INT64_MAX);
    assert_int_equal(clock_tsc(&clock, 10), BIT(63) + 9);
}

// A VM that goes on in a machine that is younger than itself.
static void it_began_elsewhere(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rates); i++) {
        struct clock here, there;
        clock_init(&there, rates[i], 0);
        clock_init(&here, rates[i], 0 - rates[i] * 100);
        for (uint64_t tsc = 0; tsc < rates[i]; tsc += rates[i] / 7)
            assert_int_equal(clock_ns(&here, tsc), clock_ns(&there, tsc + rates[i] * 100));
        uint64_t later = clock_ns(&here, 77777);
        assert_true(clock_ns(&here, clock_tsc(&here, later)) >= later);
        assert_true(clock_ns(&here, clock_tsc(&here, later) - 1) < later);
        assert_int_equal(clock_tsc(&here, 5), 0); // it was before
        assert_int_equal(clock_tsc(&here, UINT64_MAX), UINT64_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(factors_are_exact),        cmocka_unit_test(one_second_is_a_second),
        cmocka_unit_test(before_the_epoch_is_zero), cmocka_unit_test(it_began_elsewhere),
        cmocka_unit_test(tsc_is_the_first_one),     cmocka_unit_test(what_never_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
