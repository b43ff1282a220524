// The scheduling policy, simulated: shares, wake-ups, caps, pins, yields, and what a choice costs.

#include "tests/unit/support.h"

#include "vm/bus.h"
#include "vm/sched.h"

#define MS UINT64_C(1000000)

struct machine {
    struct sched sched;
    struct sched_entity **slots;
    unsigned cpus;
    uint64_t now;
    uint64_t until[SCHED_CPUS];
};

static void build(struct machine *m, unsigned cpus)
{
    memset(m, 0, sizeof(*m));
    m->cpus = cpus;
    m->slots = calloc(sched_slots(cpus), sizeof(struct sched_entity *));
    sched_init(&m->sched, cpus, m->slots);
}

static struct sched_entity entity(uint32_t weight)
{
    return (struct sched_entity){.weight = weight, .pinned = SCHED_ANY_CPU};
}

// Every CPU whose slice is over stops what ran there (it could go on) and chooses again.
static void step(struct machine *m)
{
    uint64_t next = NEVER;
    for (unsigned i = 0; i < m->cpus; i++) {
        if (m->until[i] <= m->now) {
            if (m->sched.cpu[i].current)
                sched_stop(&m->sched, i, m->now, SCHED_QUEUED, 0);
            (void)sched_pick(&m->sched, i, m->now, &m->until[i]);
        }
        next = MIN(next, m->until[i]);
    }
    m->now = next;
}

static void run_until(struct machine *m, uint64_t end)
{
    while (m->now < end)
        step(m);
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->sched.cpu[i].current) {
            sched_stop(&m->sched, i, end, SCHED_QUEUED, 0);
            m->until[i] = 0;
        }
    m->now = end;
}

static void assert_shares(const struct sched_entity *all, unsigned count, uint64_t total,
                          double tolerance)
{
    double weights = 0;
    for (unsigned i = 0; i < count; i++)
        weights += all[i].weight;
    for (unsigned i = 0; i < count; i++) {
        double share = (double)all[i].received / (double)total, due = all[i].weight / weights;
        if (share - due > tolerance || due - share > tolerance)
            fail_msg("entity %u of weight %u: %.4f instead of %.4f", i, all[i].weight, share, due);
    }
}

static void shares_follow_weights_within_1_percent_over_50_slices(void **state)
{
    (void)state;
    static const uint32_t weights[][6] = {
        {256, 256, 256}, {512, 256, 256}, {100, 200, 300, 400}, {900, 20, 20, 20, 20, 20}};
    for (unsigned w = 0; w < ARRAY_LENGTH(weights); w++) {
        struct machine m;
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
    (void)state;
    struct machine m;
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
    (void)state;
    enum { COUNT = 1024, CPUS = 128 };
    static struct machine m;
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
        double due = (double)all[i].weight;
        double got = (double)all[i].received;
        // Relative to its own share: a slice more or less.
        double sum = 0;
        for (unsigned k = 0; k < COUNT; k++)
            sum += all[k].weight;
        double expected = (double)end * CPUS * due / sum;
        assert_true(got > expected - 1.5 * SCHED_SLICE && got < expected + 1.5 * SCHED_SLICE);
    }
    assert_true(total == end * CPUS);
    free(all);
    free(m.slots);
}

static void a_sleeper_that_wakes_runs_at_once_on_an_idle_cpu(void **state)
{
    (void)state;
    struct machine m;
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
    (void)state;
    struct machine m;
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
    (void)state;
    struct machine m;
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
    (void)state;
    struct machine m;
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
    (void)state;
    struct machine m;
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
    (void)state;
    struct machine m;
    struct sched_entity capped = entity(256);
    capped.cap = 25;
    build(&m, 2);
    (void)sched_add(&m.sched, &capped);
    run_until(&m, 10000 * MS);
    assert_in_range(capped.received, 2450 * MS, 2600 * MS);
    free(m.slots);
}

static void a_pinned_one_stays(void **state)
{
    (void)state;
    struct machine m;
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

static void a_spinner_gives_way_to_its_sibling(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity spinner = entity(256), holder = entity(256), others[8];
    struct sched_entity *const siblings[] = {&spinner, &holder};
    uint64_t until;
    build(&m, 1);
    (void)sched_add(&m.sched, &spinner);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &spinner);
    for (unsigned i = 0; i < 8; i++) {
        others[i] = entity(256);
        (void)sched_add(&m.sched, &others[i]);
    }
    holder.vruntime = 100 * MS;
    (void)sched_add(&m.sched, &holder);
    sched_yield_to(&m.sched, 0, siblings, 2);
    sched_stop(&m.sched, 0, 1 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, 1 * MS, &until), &holder);
    free(m.slots);
}

static void parking_takes_out_of_every_queue(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity all[3] = {entity(256), entity(256), entity(256)};
    uint64_t until;
    build(&m, 1);
    for (unsigned i = 0; i < 3; i++)
        (void)sched_add(&m.sched, &all[i]);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &all[0]);
    assert_false(sched_park(&m.sched, &all[0]));
    sched_stop(&m.sched, 0, 0, SCHED_BLOCKED, NEVER);
    for (unsigned i = 0; i < 3; i++)
        assert_true(sched_park(&m.sched, &all[i]));
    assert_null(sched_pick(&m.sched, 0, 0, &until));
    assert_true(until == NEVER);
    (void)sched_add(&m.sched, &all[1]);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &all[1]);
    free(m.slots);
}

// The sibling that a spinner made way for runs elsewhere meanwhile, leaves, and its VM is gone.
static void one_that_has_left_is_forgotten(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity spinner = entity(256), *sibling = malloc(sizeof(*sibling));
    struct sched_entity *const siblings[] = {&spinner, sibling};
    uint64_t until;
    *sibling = entity(256);
    build(&m, 2);
    (void)sched_add(&m.sched, &spinner);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &spinner);
    (void)sched_add(&m.sched, sibling);
    sched_yield_to(&m.sched, 0, siblings, 2);
    sched_stop(&m.sched, 0, 1 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 1, 1 * MS, &until), sibling);
    sched_stop(&m.sched, 1, 2 * MS, SCHED_PARKED, 0);
    free(sibling);
    assert_ptr_equal(sched_pick(&m.sched, 0, 2 * MS, &until), &spinner);
    free(m.slots);
}

// ---- no CPU sleeps while there is work ----

// Two that become runnable at once go to two idle CPUs, before either has looked.
static void each_idle_cpu_is_told_once(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity all[4] = {entity(256), entity(256), entity(256), entity(256)};
    uint64_t until;
    build(&m, 3);
    for (unsigned cpu = 0; cpu < 3; cpu++)
        assert_null(sched_pick(&m.sched, cpu, 0, &until));
    assert_int_equal(sched_add(&m.sched, &all[0]), 0);
    assert_int_equal(sched_add(&m.sched, &all[1]), 1);
    assert_int_equal(sched_add(&m.sched, &all[2]), 2);
    assert_int_equal(sched_add(&m.sched, &all[3]), -1);
    for (unsigned cpu = 0; cpu < 3; cpu++)
        assert_non_null(sched_pick(&m.sched, cpu, 0, &until));
    free(m.slots);
}

// Deadlines that pass together on one CPU: it takes one and passes the others on.
static void what_expires_together_is_passed_on(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity all[3] = {entity(256), entity(256), entity(256)};
    uint64_t until;
    build(&m, 3);
    for (unsigned i = 0; i < 3; i++) {
        (void)sched_add(&m.sched, &all[i]);
        assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &all[i]);
        sched_stop(&m.sched, 0, 0, SCHED_BLOCKED, 5 * MS);
    }
    for (unsigned cpu = 0; cpu < 3; cpu++)
        assert_null(sched_pick(&m.sched, cpu, 0, &until));
    assert_int_equal(sched_help(&m.sched), -1); // nothing is queued
    assert_ptr_equal(sched_pick(&m.sched, 0, 5 * MS, &until), &all[0]);
    assert_int_equal(sched_help(&m.sched), 1);
    assert_non_null(sched_pick(&m.sched, 1, 5 * MS, &until));
    assert_int_equal(sched_help(&m.sched), 2);
    assert_non_null(sched_pick(&m.sched, 2, 5 * MS, &until));
    assert_int_equal(sched_help(&m.sched), -1);
    free(m.slots);
}

// CPU 0 has one pinned to it, CPU 1 two: those get half as far, and one of them that sleeps for a
// moment must not wait until the other has caught up with CPU 0.
static void a_pinned_one_that_wakes_competes_on_its_own_cpu(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity alone = entity(256), spins = entity(256), sleeps = entity(256);
    uint64_t until;
    alone.pinned = 0;
    spins.pinned = sleeps.pinned = 1;
    build(&m, 2);
    (void)sched_add(&m.sched, &alone);
    (void)sched_add(&m.sched, &spins);
    (void)sched_add(&m.sched, &sleeps);
    run_until(&m, 10000 * MS);
    assert_in_range(sleeps.received, 4900 * MS, 5100 * MS);
    while (sched_pick(&m.sched, 1, m.now, &until) != &sleeps)
        sched_stop(&m.sched, 1, until, SCHED_QUEUED, 0);
    sched_stop(&m.sched, 1, until, SCHED_BLOCKED, NEVER);
    (void)sched_wake(&m.sched, &sleeps, m.now);
    m.now = m.until[1] = until;
    uint64_t before = sleeps.received;
    run_until(&m, m.now + 1000 * MS);
    assert_in_range(sleeps.received - before, 480 * MS, 520 * MS);
    free(m.slots);
}

// What was done on its account beforehand counts as received.
static void a_debt_is_paid_off_first(void **state)
{
    (void)state;
    struct machine m;
    struct sched_entity owes = entity(512), other = entity(256);
    build(&m, 1);
    owes.debt = 200 * MS;
    (void)sched_add(&m.sched, &owes);
    (void)sched_add(&m.sched, &other);
    run_until(&m, 100 * MS);
    assert_int_equal(owes.received, 0);
    run_until(&m, 1300 * MS); // 200 and 1300, two to one
    assert_in_range(owes.received, 780 * MS, 820 * MS);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(a_spinner_gives_way_to_its_sibling),
        cmocka_unit_test(parking_takes_out_of_every_queue),
        cmocka_unit_test(one_that_has_left_is_forgotten),
        cmocka_unit_test(each_idle_cpu_is_told_once),
        cmocka_unit_test(what_expires_together_is_passed_on),
        cmocka_unit_test(a_pinned_one_that_wakes_competes_on_its_own_cpu),
        cmocka_unit_test(a_debt_is_paid_off_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
