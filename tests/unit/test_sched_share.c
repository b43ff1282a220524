// The scheduling policy, simulated: weight and cap are a VM's, however many vCPUs it has, and what
// it causes is charged to it.

#include "tests/unit/sched_simulation.h"

#define US UINT64_C(1000)

enum { MEMBERS = 64, VMS = 4 };

static struct sched_entity all[VMS][MEMBERS], *member[VMS][MEMBERS];

static struct sched_group *add_vm(struct simulation *m, unsigned vm, unsigned count,
                                  uint32_t weight, uint16_t pins)
{
    for (unsigned i = 0; i < count; i++) {
        all[vm][i] = entity(weight);
        all[vm][i].pinned = pins ? (uint16_t)(i % pins) : SCHED_ANY_CPU;
        member[vm][i] = &all[vm][i];
    }
    struct sched_group *group = join(member[vm], count);
    for (unsigned i = 0; i < count; i++)
        (void)sched_add(&m->sched, member[vm][i]);
    return group;
}

static uint64_t received(const struct sched_group *group)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < group->count; i++)
        sum += group->member[i]->received;
    return sum;
}

static void the_number_of_vcpus_gives_no_share(void **state)
{
    static const struct {
        unsigned cpus, count[2];
        uint32_t weight[2];
        uint64_t due[2]; // milliseconds of 2 s
    } cases[] = {
        {1, {1, 4}, {256, 256}, {1000, 1000}},  {1, {1, 64}, {256, 256}, {1000, 1000}},
        {1, {2, 8}, {512, 256}, {1333, 667}},   {2, {2, 8}, {256, 256}, {2000, 2000}},
        {2, {1, 16}, {256, 256}, {2000, 2000}}, {4, {1, 16}, {256, 256}, {2000, 6000}},
        {4, {4, 64}, {256, 768}, {2000, 6000}},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct simulation m;
        struct sched_group *vm[2];
        build(&m, cases[i].cpus);
        for (unsigned v = 0; v < 2; v++)
            vm[v] = add_vm(&m, v, cases[i].count[v], cases[i].weight[v], 0);
        run_until(&m, 2000 * MS);
        for (unsigned v = 0; v < 2; v++) { // a slice for each vCPU
            uint64_t most = MAX(cases[i].count[0], cases[i].count[1]) * SCHED_SLICE;
            assert_in_range(received(vm[v]), cases[i].due[v] * MS - most,
                            cases[i].due[v] * MS + most);
        }
        free(m.slots);
    }
}

// Four that hand one thing from one to the next, each sleeping meanwhile, are no lighter than one.
static void siblings_that_take_turns_asleep_share_too(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256);
    uint64_t until, now = 0;
    build(&m, 1);
    struct sched_group *vm = add_vm(&m, 0, 4, 256, 0);
    (void)sched_add(&m.sched, &hog);
    while (now < 3000 * MS) {
        struct sched_entity *entity = sched_pick(&m.sched, 0, now, &until);
        bool is_hog = entity == &hog;
        now = is_hog ? until : now + 1 * MS;
        if (!is_hog)
            (void)sched_wake(&m.sched, member[0][(entity - all[0] + 1) % 4], now);
        sched_stop(&m.sched, 0, now, is_hog ? SCHED_QUEUED : SCHED_BLOCKED, NEVER);
    }
    assert_in_range(hog.received, 1480 * MS, 1520 * MS);
    assert_in_range(received(vm), 1480 * MS, 1520 * MS);
    free(m.slots);
}

// Pinned to two CPUs, a VM has half of its weight on each; asleep on one, all of it on the other.
static void pins_divide_the_weight_among_the_runnable(void **state)
{
    struct simulation m;
    struct sched_entity other = entity(256);
    other.pinned = 0;
    build(&m, 2);
    struct sched_group *vm = add_vm(&m, 0, 4, 256, 2);
    (void)sched_add(&m.sched, &other);
    run_until(&m, 3000 * MS);
    assert_in_range(other.received, 1980 * MS, 2020 * MS);
    assert_in_range(received(vm), 3980 * MS, 4020 * MS);
    assert_true(sched_park(&m.sched, member[0][1]));
    assert_true(sched_park(&m.sched, member[0][3]));
    uint64_t before = other.received;
    run_until(&m, 5000 * MS);
    assert_in_range(other.received - before, 980 * MS, 1020 * MS);
    free(m.slots);
}

// Who had a CPU to itself has saved nothing up for when there are others.
static void a_cpu_of_its_own_is_no_credit(void **state)
{
    struct simulation m;
    build(&m, 2);
    struct sched_group *one = add_vm(&m, 0, 1, 1024, 0);
    (void)add_vm(&m, 1, 4, 256, 0);
    run_until(&m, 5000 * MS);
    uint64_t before = received(one);
    (void)add_vm(&m, 2, 4, 1024, 0);
    (void)add_vm(&m, 3, 4, 1024, 0);
    run_until(&m, 6000 * MS);
    assert_in_range(received(one) - before, 570 * MS, 660 * MS); // 2 * 1024 / 3328
    free(m.slots);
}

// Two light VMs run a ninth of the time, 16 at once each. The heavy one gets all of a CPU but what
// they are due of it.
static void naps_of_many_take_little_of_the_heavy(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(800);
    build(&m, 2);
    (void)add_vm(&m, 0, 16, 100, 0);
    (void)add_vm(&m, 1, 16, 100, 0);
    (void)sched_add(&m.sched, &hog);
    for (; m.now < 2000 * MS; m.now = MIN(m.until[0], m.until[1]))
        for (unsigned i = 0; i < 2; i++) {
            if (m.until[i] > m.now)
                continue;
            struct sched_entity *entity = m.sched.cpu[i].current;
            if (entity)
                sched_stop(&m.sched, i, m.now, entity == &hog ? SCHED_QUEUED : SCHED_BLOCKED,
                           m.now + 16 * MS);
            entity = sched_pick(&m.sched, i, m.now, &m.until[i]);
            if (entity && entity != &hog)
                m.until[i] = m.now + 2 * MS;
            int other = sched_help(&m.sched, i);
            if (other >= 0)
                m.until[other] = m.now;
        }
    assert_in_range(hog.received, 1900 * MS, 2000 * MS);
    free(m.slots);
}

static void a_cap_is_a_vms(void **state)
{
    static const uint32_t caps[] = {10, 50, 150, 250};
    for (unsigned i = 0; i < ARRAY_LENGTH(caps); i++)
        for (unsigned count = 4; count <= 64; count *= 4) {
            struct simulation m;
            build(&m, 4);
            struct sched_group *vm = add_vm(&m, 0, count, 256, 0);
            vm->cap = caps[i];
            run_until(&m, 5000 * MS);
            uint64_t due = 50 * MS * caps[i];
            assert_in_range(received(vm), due - 5 * MS, due + 5 * SCHED_SLICE);
            free(m.slots);
        }
}

// One that sleeps for a moment whenever its time may be up.
static void naps_do_not_evade_a_cap(void **state)
{
    struct simulation m;
    uint64_t until, now = 0;
    build(&m, 1);
    struct sched_group *vm = add_vm(&m, 0, 1, 256, 0);
    vm->cap = 20;
    while (now < 2000 * MS) {
        if (!sched_pick(&m.sched, 0, now, &until)) {
            now = until;
            continue;
        }
        now += 20 * US;
        sched_stop(&m.sched, 0, now, SCHED_BLOCKED, now + US);
    }
    assert_in_range(received(vm), 380 * MS, 420 * MS);
    free(m.slots);
}

// A neighbour that sleeps for a microsecond again and again cuts up nobody's time, and pays for the
// switches.
static void short_sleeps_are_paid_for(void **state)
{
    struct simulation m;
    struct sched_entity hog = entity(256), *last = NULL;
    uint64_t until, now = 0, runs = 0;
    build(&m, 1);
    (void)add_vm(&m, 0, 1, 256, 0);
    (void)sched_add(&m.sched, &hog);
    while (now < 2000 * MS) {
        struct sched_entity *entity = sched_pick(&m.sched, 0, now, &until);
        if (!entity) {
            now = until;
            continue;
        }
        now += entity == last ? 0 : 5 * US;
        last = entity;
        sched_begin(&m.sched, 0, now);
        if (entity == &hog) {
            assert_true(until - now >= SCHED_LEAST - 5 * US);
            runs++;
            now = MAX(now, until);
            sched_stop(&m.sched, 0, now, SCHED_QUEUED, 0);
        } else {
            now += 1 * US;
            sched_stop(&m.sched, 0, now, SCHED_BLOCKED, now + US);
        }
    }
    assert_true(runs > 1000);
    assert_true(hog.received > 960 * MS);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_of_vcpus_gives_no_share),
        cmocka_unit_test(siblings_that_take_turns_asleep_share_too),
        cmocka_unit_test(pins_divide_the_weight_among_the_runnable),
        cmocka_unit_test(a_cpu_of_its_own_is_no_credit),
        cmocka_unit_test(naps_of_many_take_little_of_the_heavy),
        cmocka_unit_test(a_cap_is_a_vms),
        cmocka_unit_test(naps_do_not_evade_a_cap),
        cmocka_unit_test(short_sleeps_are_paid_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
