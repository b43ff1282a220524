// drivers/host/time/calibrate.c with clocks that are made up: good, wrapping, dead, crawling and
// erratic ones.

#include "tests/unit/support.h"

#include "drivers/host/time/calibrate.h"

// Time passes in picoseconds with each reading.
static uint64_t now_ps, step_ps, tsc_mhz, clock_hz, reads;
static uint64_t dead_after_ps; // the clock stands still from then on
static bool is_erratic;

static uint64_t read_tsc(void)
{
    uint64_t tsc = now_ps / 1000 * tsc_mhz / 1000;
    // A TSC that runs twice as fast every other 8 ms.
    if (is_erratic && now_ps / 8000000000 % 2)
        tsc *= 2;
    return tsc;
}

static uint32_t read_clock(void *context)
{
    assert_ptr_equal(context, &now_ps);
    reads++;
    now_ps += step_ps;
    uint64_t ps = dead_after_ps && now_ps > dead_after_ps ? dead_after_ps : now_ps;
    return (uint32_t)(ps / 1000 * (clock_hz / 1000) / 1000000);
}

static status_t run(uint64_t hz, uint32_t mask, uint64_t step_ns, uint64_t mhz, uint64_t *result,
                    struct explanation *why)
{
    struct reference_clock clock = {"a clock", read_clock, &now_ps, hz, mask};
    clock_hz = hz;
    step_ps = step_ns * 1000;
    tsc_mhz = mhz;
    reads = 0;
    *result = 0;
    return calibrate_tsc(&clock, read_tsc, result, why);
}

static void good_clocks(void **state)
{
    static const struct {
        uint64_t hz;
        uint32_t mask;
    } clocks[] = {
        {3579545, 0xffffff}, {3579545, 0xffffffff}, {100000000, 0xffffffff}, {1193182, 0xffff}};
    static const uint64_t mhz[] = {50, 1000, 2995, 5500};
    for (size_t i = 0; i < ARRAY_LENGTH(clocks); i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(mhz); j++) {
            // From several beginnings, so that each mask wraps somewhere inside.
            for (uint64_t begin = 0; begin < 5; begin++) {
                uint64_t hz;
                struct explanation why;
                now_ps = begin * UINT64_C(18734000000) + UINT64_C(4680000000000);
                dead_after_ps = 0;
                assert_int_equal(run(clocks[i].hz, clocks[i].mask, 700, mhz[j], &hz, &why),
                                 STATUS_OK);
                uint64_t expected = mhz[j] * 1000000;
                assert_in_range(hz, expected - expected / 2000, expected + expected / 2000);
            }
        }
    }
}

static void a_dead_clock_ends_soon(void **state)
{
    uint64_t hz;
    struct explanation why;
    now_ps = 0;
    dead_after_ps = 1;
    assert_int_equal(run(3579545, 0xffffff, 700, 2000, &hz, &why), STATUS_NOT_FOUND);
    assert_string_equal(why.text, "a clock stands still: not used");
    assert_int_equal(hz, 0);
    assert_in_range(reads, 1, 300000);
    // One that dies in the middle of the second measurement.
    now_ps = 0;
    dead_after_ps = UINT64_C(15000000000);
    assert_int_equal(run(3579545, 0xffffff, 700, 2000, &hz, &why), STATUS_NOT_FOUND);
    assert_in_range(reads, 1, 400000);
}

static void a_crawling_clock_ends_too(void **state)
{
    uint64_t hz;
    struct explanation why;
    now_ps = 0;
    dead_after_ps = 0;
    // A nanosecond a read: never stale, but the measurement would take 10 million reads.
    assert_int_equal(run(3579545, 0xffffff, 1, 2000, &hz, &why), STATUS_NOT_FOUND);
    assert_in_range(reads, 7000000, 9000000);
}

static void measurements_that_disagree(void **state)
{
    uint64_t hz;
    struct explanation why;
    now_ps = 0;
    dead_after_ps = 0;
    is_erratic = true;
    status_t status = run(3579545, 0xffffff, 700, 2000, &hz, &why);
    is_erratic = false;
    assert_int_equal(status, STATUS_INVALID);
    assert_non_null(strstr(why.text, "disagree"));
    assert_int_equal(hz, 0);
}

static void frequencies_that_cannot_be(void **state)
{
    uint64_t hz;
    struct explanation why;
    now_ps = 0;
    dead_after_ps = 0;
    assert_int_equal(run(3579545, 0xffffff, 700, 5, &hz, &why), STATUS_RANGE);
    assert_int_equal(run(3579545, 0xffffff, 700, 25000, &hz, &why), STATUS_RANGE);
    assert_non_null(strstr(why.text, "a clock gives the TSC 2"));
    assert_int_equal(hz, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_clocks),
        cmocka_unit_test(a_dead_clock_ends_soon),
        cmocka_unit_test(a_crawling_clock_ends_too),
        cmocka_unit_test(measurements_that_disagree),
        cmocka_unit_test(frequencies_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
