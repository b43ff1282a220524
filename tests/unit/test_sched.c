// The scheduling policy, simulated: shares, wake-ups, deadlines, caps and pins.

#include "tests/unit/sched_simulation.h"

static void assert_shares(const struct sched_entity *all, unsigned count, uint64_t total,
                          double tolerance)
{
    double weights = 0;
    for (unsigned i = 0; i < count; i++)
        weights += all[i].group->weight;
    for (unsigned i = 0; i < count; i++) {
        double share = (double)all[i].received / (double)total,
               due = all[i].group->weight / weights;
        if (share - due > tolerance || due - share > tolerance)
            fail_msg("entity %u of weight %u: %.4f instead of %.4f", i, all[i].group->weight, share,
                     due);
    }
}

static void shares_follow_weights_within_1_percent_over_50_slices(void **state)
{
    static const uint32_t weights[][6] = {
        {256, 256, 256}, {512, 256, 256}, {100, 200, 300, 400}, {900, 20, 20, 20, 20, 20}};
    for (unsigned w = 0; w < ARRAY_LENGTH(weights); w++) {
        struct simulation m;
        struct sched_entity all[6];
        unsigned count = 0;
        build(&m, 1);
        for (; count < 6 && weights[w][count]; count++) {
            all[count] = entity(weights[w][count]);
            (void)sched_add(&m.sched, &all[count]);
        }
        uint64_t end = 50 * count * SCHED_SLICE; // 50 slices each on average
        run_until(&m, end);
        assert_shares(all, count, end, 0.01);
        free(m.slots);
    }
}

// Three on two CPUs, each due two thirds of one: only a queue that all CPUs share gets this right.
static void shares_are_of_the_whole_machine(void **state)
{
    struct simulation m;
    struct sched_entity all[3] = {entity(256), entity(256), entity(256)};
    build(&m, 2);
    for (unsigned i = 0; i < 3; i++)
        (void)sched_add(&m.sched, &all[i]);
    run_until(&m, 75 * SCHED_SLICE);
    assert_shares(all, 3, 150 * SCHED_SLICE, 0.01);
    free(m.slots);
}

static void a_thousand_vcpus_on_128_cpus(void **state)
{
    enum { COUNT = 1024, CPUS = 128 };
    static struct simulation m;
    struct sched_entity *all = calloc(COUNT, sizeof(*all));
    build(&m, CPUS);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = entity(64 + (i * 37) % 512);
        (void)sched_add(&m.sched, &all[i]);
    }
    // 50 slices each on average.
    uint64_t end = 50 * SCHED_SLICE * COUNT / CPUS;
    run_until(&m, end);
    assert_shares(all, COUNT, end * CPUS, 0.01);
    uint64_t total = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        total += all[i].received;
        double due = (double)all[i].group->weight;
        double got = (double)all[i].received;
        // Relative to its own share: a slice more or less.
        double sum = 0;
        for (unsigned k = 0; k < COUNT; k++)
            sum += all[k].group->weight;
        double expected = (double)end * CPUS * due / sum;
        assert_true(got > expected - 1.5 * SCHED_SLICE && got < expected + 1.5 * SCHED_SLICE);
    }
    assert_true(total == end * CPUS);
    free(all);
    free(m.slots);
}

static void a_sleeper_that_wakes_runs_at_once_on_an_idle_cpu(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256), sleeper = entity(256);
    uint64_t until;
    build(&m, 2);
    (void)sched_add(&m.sched, &hog);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &hog);
    (void)sched_add(&m.sched, &sleeper);
    assert_ptr_equal(sched_pick(&m.sched, 1, 0, &until), &sleeper);
    sched_stop(&m.sched, 1, 1 * MS, SCHED_BLOCKED, NEVER);
    assert_null(sched_pick(&m.sched, 1, 1 * MS, &until));
    assert_true(until == NEVER);
    assert_int_equal(sched_wake(&m.sched, &sleeper, m.now), 1);
    assert_ptr_equal(sched_pick(&m.sched, 1, 2 * MS, &until), &sleeper);
    assert_int_equal(sched_wake(&m.sched, &sleeper, m.now), -1); // it is awake
    free(m.slots);
}

static void time_that_it_could_run_and_did_not_is_counted(void **state)
{
    struct simulation m;
    struct sched_entity first = entity(256), second = entity(256);
    uint64_t until;
    build(&m, 1);
    (void)sched_add(&m.sched, &first);
    (void)sched_add(&m.sched, &second);
    assert_ptr_equal(sched_pick(&m.sched, 0, 1 * MS, &until), &first);
    sched_stop(&m.sched, 0, 5 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, 5 * MS, &until), &second);
    sched_stop(&m.sched, 0, 8 * MS, SCHED_BLOCKED, 9 * MS);
    assert_ptr_equal(sched_pick(&m.sched, 0, 8 * MS, &until), &first);
    assert_int_equal(first.waited, 3 * MS);
    sched_stop(&m.sched, 0, 12 * MS, SCHED_BLOCKED, NEVER);
    assert_ptr_equal(sched_pick(&m.sched, 0, 12 * MS, &until), &second);
    assert_int_equal(second.waited, 3 * MS); // since its deadline, not since it slept
    (void)sched_wake(&m.sched, &first, 14 * MS);
    sched_stop(&m.sched, 0, 16 * MS, SCHED_BLOCKED, NEVER);
    assert_ptr_equal(sched_pick(&m.sched, 0, 16 * MS, &until), &first);
    assert_int_equal(first.waited, 5 * MS);
    free(m.slots);
}

static void a_sleeper_that_wakes_preempts_who_had_more(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256), sleeper = entity(256);
    uint64_t until;
    build(&m, 1);
    (void)sched_add(&m.sched, &sleeper);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &sleeper);
    sched_stop(&m.sched, 0, 1 * MS, SCHED_BLOCKED, NEVER);
    (void)sched_add(&m.sched, &hog);
    for (uint64_t now = 1 * MS; now < 500 * MS; now = until) {
        assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), &hog);
        assert_true(until <= now + SCHED_SLICE);
        sched_stop(&m.sched, 0, until, SCHED_QUEUED, 0);
    }
    assert_ptr_equal(sched_pick(&m.sched, 0, until, &until), &hog);
    assert_int_equal(sched_wake(&m.sched, &sleeper, m.now), 0);
    sched_stop(&m.sched, 0, until, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, until, &until), &sleeper);
    free(m.slots);
}

static void sleep_saves_up_no_more_than_a_slice(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256), sleeper = entity(256);
    uint64_t until;
    build(&m, 1);
    (void)sched_add(&m.sched, &sleeper);
    (void)sched_pick(&m.sched, 0, 0, &until);
    sched_stop(&m.sched, 0, 0, SCHED_BLOCKED, NEVER);
    (void)sched_add(&m.sched, &hog);
    run_until(&m, 10000 * MS);
    (void)sched_wake(&m.sched, &sleeper, m.now);
    uint64_t before = hog.received;
    run_until(&m, 11000 * MS);
    assert_true(hog.received - before >= 480 * MS);
    free(m.slots);
}

static void a_deadline_wakes_and_bounds_the_slice_of_others(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256), sleeper = entity(256);
    uint64_t until;
    build(&m, 1);
    (void)sched_add(&m.sched, &sleeper);
    (void)sched_pick(&m.sched, 0, 0, &until);
    sched_stop(&m.sched, 0, 0, SCHED_BLOCKED, 3 * MS);
    (void)sched_add(&m.sched, &hog);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &hog);
    assert_true(until == 3 * MS);
    sched_stop(&m.sched, 0, until, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, until, &until), &sleeper);
    free(m.slots);
}

static void a_cap_holds_even_on_an_idle_machine(void **state)
{
    struct simulation m;
    struct sched_entity capped = entity(256);
    capped.group->cap = 25;
    build(&m, 2);
    (void)sched_add(&m.sched, &capped);
    run_until(&m, 10000 * MS);
    assert_in_range(capped.received, 2450 * MS, 2600 * MS);
    free(m.slots);
}

static void a_pinned_one_stays(void **state)
{
    struct simulation m;
    struct sched_entity pinned = entity(256), other = entity(256);
    pinned.pinned = 1;
    build(&m, 2);
    assert_int_equal(sched_add(&m.sched, &pinned), -1);
    (void)sched_add(&m.sched, &other);
    for (unsigned i = 0; i < 100; i++) {
        step(&m);
        assert_true(pinned.state != SCHED_RUNNING || pinned.cpu == 1);
    }
    assert_true(pinned.received > 0);
    free(m.slots);
}

// A prompt one is next wherever it stands, and whoever runs is told; it delays nobody's floor.
static void a_prompt_one_takes_its_turn_first(void **state)
{
    struct simulation m;
    struct sched_entity all[3] = {entity(256), entity(1), entity(256)}, prompt = entity(256);
    uint64_t until;
    build(&m, 1);
    prompt.is_prompt = true;
    for (unsigned i = 0; i < 3; i++)
        (void)sched_add(&m.sched, &all[i]);
    run_until(&m, 1000 * MS);
    (void)sched_add(&m.sched, &prompt);
    for (unsigned turn = 0; turn < 1000; turn++) {
        assert_ptr_equal(sched_pick(&m.sched, 0, m.now, &until), &prompt);
        sched_stop(&m.sched, 0, m.now += MS / 10, SCHED_BLOCKED, m.now + 10 * MS);
        assert_non_null(sched_pick(&m.sched, 0, m.now, &until));
        assert_int_equal(sched_wake(&m.sched, &prompt, m.now += MS), 0);
        sched_stop(&m.sched, 0, m.now, SCHED_QUEUED, 0);
    }
    // Its time is nobody's: the others had what is left by their weights.
    assert_in_range(all[0].received, 990 * MS, 1010 * MS);
    assert_in_range(all[2].received, 990 * MS, 1010 * MS);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_one_takes_its_turn_first),
        cmocka_unit_test(shares_follow_weights_within_1_percent_over_50_slices),
        cmocka_unit_test(shares_are_of_the_whole_machine),
        cmocka_unit_test(a_thousand_vcpus_on_128_cpus),
        cmocka_unit_test(a_sleeper_that_wakes_runs_at_once_on_an_idle_cpu),
        cmocka_unit_test(time_that_it_could_run_and_did_not_is_counted),
        cmocka_unit_test(a_sleeper_that_wakes_preempts_who_had_more),
        cmocka_unit_test(sleep_saves_up_no_more_than_a_slice),
        cmocka_unit_test(a_deadline_wakes_and_bounds_the_slice_of_others),
        cmocka_unit_test(a_cap_holds_even_on_an_idle_machine),
        cmocka_unit_test(a_pinned_one_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
