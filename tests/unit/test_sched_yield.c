// The scheduling policy, simulated: yields, parking, what idle CPUs are told, debts.

#include "tests/unit/sched_simulation.h"

// Of a VM's four, at its turn the one that is asked for runs, and another VM has its turn before.
static void a_spinner_gives_way_to_its_sibling_at_its_vms_turn(void **state)
{
    struct simulation m;
    struct sched_entity all[4], *turn[4], other = entity(256);
    struct sched_entity *const siblings[] = {&all[0], &all[1], &all[2], &all[3]};
    uint64_t until, now = 0;
    for (unsigned i = 0; i < 4; i++)
        all[i] = entity(256);
    join(siblings, 4);
    build(&m, 1);
    for (unsigned i = 0; i < 4; i++)
        (void)sched_add(&m.sched, &all[i]);
    for (unsigned i = 0; i < 4; i++, now += SCHED_SLICE) {
        turn[i] = sched_pick(&m.sched, 0, now, &until);
        sched_stop(&m.sched, 0, now + SCHED_SLICE, SCHED_QUEUED, 0);
    }
    assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), turn[0]);
    (void)sched_add(&m.sched, &other);
    sched_yield_to(&m.sched, 0, turn[3]);
    sched_stop(&m.sched, 0, now += 1 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), &other); // not the yielder's
    sched_stop(&m.sched, 0, now += SCHED_SLICE, SCHED_BLOCKED, NEVER);
    assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), turn[1]);
    sched_yield_to(&m.sched, 0, turn[3]);
    sched_stop(&m.sched, 0, now += 1 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), turn[3]);
    sched_yield_to(&m.sched, 0, NULL);
    sched_stop(&m.sched, 0, now += 1 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(&m.sched, 0, now, &until), turn[2]);
    free(m.slots);
}

// Two that yield to each other each 10 us, with a third whose turn they might take for ever.
static void yields_take_nothing_from_others(void **state)
{
    struct simulation m;
    struct sched_entity all[3] = {entity(256), entity(256), entity(256)}, victim = entity(256);
    struct sched_entity *const siblings[] = {&all[0], &all[1], &all[2]};
    uint64_t until, now = 0, left = 0, longest = 0;
    join(siblings, 3);
    build(&m, 1);
    for (unsigned i = 0; i < 3; i++)
        (void)sched_add(&m.sched, &all[i]);
    (void)sched_add(&m.sched, &victim);
    while (now < 3000 * MS) {
        struct sched_entity *entity = sched_pick(&m.sched, 0, now, &until);
        if (entity == &victim) {
            longest = MAX(longest, now - left);
            now = left = until;
        } else {
            now += 10000;
            sched_yield_to(&m.sched, 0, &all[entity == &all[0]]);
        }
        sched_stop(&m.sched, 0, now, SCHED_QUEUED, 0);
    }
    assert_in_range(victim.received, 1490 * MS, 1510 * MS);
    assert_true(longest <= 2 * SCHED_SLICE);
    free(m.slots);
}

static void parking_takes_out_of_every_queue(void **state)
{
    struct simulation m;
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
    struct simulation m;
    struct sched_entity spinner = entity(256), *sibling = malloc(sizeof(*sibling));
    struct sched_entity *const siblings[] = {&spinner, sibling};
    uint64_t until;
    *sibling = entity(256);
    join(siblings, 2);
    build(&m, 2);
    (void)sched_add(&m.sched, &spinner);
    assert_ptr_equal(sched_pick(&m.sched, 0, 0, &until), &spinner);
    (void)sched_add(&m.sched, sibling);
    sched_yield_to(&m.sched, 0, NULL);
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
    struct simulation m;
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
    struct simulation m;
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
    assert_int_equal(sched_help(&m.sched, 0), -1); // nothing is queued
    assert_ptr_equal(sched_pick(&m.sched, 0, 5 * MS, &until), &all[0]);
    assert_int_equal(sched_help(&m.sched, 0), 1);
    assert_non_null(sched_pick(&m.sched, 1, 5 * MS, &until));
    assert_int_equal(sched_help(&m.sched, 0), 2);
    assert_non_null(sched_pick(&m.sched, 2, 5 * MS, &until));
    assert_int_equal(sched_help(&m.sched, 0), -1);
    free(m.slots);
}

// CPU 0 has one pinned to it, CPU 1 two: those get half as far, and one of them that sleeps for a
// moment must not wait until the other has caught up with CPU 0.
static void a_pinned_one_that_wakes_competes_on_its_own_cpu(void **state)
{
    struct simulation m;
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
    struct simulation m;
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

// What a run cost others is charged with it: 1 ms for each 1 ms halves the share.
static void a_debt_made_while_it_runs_is_charged(void **state)
{
    struct simulation m;
    struct sched_entity locks = entity(256), other = entity(256);
    uint64_t until, now = 0;
    build(&m, 1);
    (void)sched_add(&m.sched, &locks);
    (void)sched_add(&m.sched, &other);
    while (now < 3000 * MS) {
        struct sched_entity *runs = sched_pick(&m.sched, 0, now, &until);
        now = runs == &locks ? now + 1 * MS : until;
        if (runs == &locks)
            locks.debt += 1 * MS;
        sched_stop(&m.sched, 0, now, SCHED_QUEUED, 0);
    }
    assert_in_range(locks.received, 980 * MS, 1020 * MS);
    assert_int_equal(locks.debt, 0);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spinner_gives_way_to_its_sibling_at_its_vms_turn),
        cmocka_unit_test(yields_take_nothing_from_others),
        cmocka_unit_test(parking_takes_out_of_every_queue),
        cmocka_unit_test(one_that_has_left_is_forgotten),
        cmocka_unit_test(each_idle_cpu_is_told_once),
        cmocka_unit_test(what_expires_together_is_passed_on),
        cmocka_unit_test(a_pinned_one_that_wakes_competes_on_its_own_cpu),
        cmocka_unit_test(a_debt_is_paid_off_first),
        cmocka_unit_test(a_debt_made_while_it_runs_is_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
