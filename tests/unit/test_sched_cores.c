// The scheduling policy, simulated with threads that share cores: one VM at a time has a core. Each
// CPU that is told to look around does so a moment later, as on a machine.

#include "tests/unit/sched_simulation.h"

#define US   UINT64_C(1000)
#define KICK (5 * US)

enum { VCPUS_MAX = 64, GROUPS_MAX = 8 };

// Runs for `busy` nanoseconds, sleeps for `asleep`, and so on; 0: never sleeps.
struct load {
    struct sched_entity entity;
    uint64_t busy, asleep;
    uint64_t left;   // of `busy`
    uint64_t wakes;  // BLOCKED: when
    uint64_t woken;  // when it last woke and did not run yet, or 0
    uint64_t latest; // the longest from there to its run
    uint64_t began;  // QUEUED: since when
    uint64_t waited; // the longest
};

struct world {
    struct simulation m;
    struct load load[VCPUS_MAX];
    unsigned loads, groups;
    struct sched_entity *member[GROUPS_MAX][VCPUS_MAX];
    struct sched_group group[GROUPS_MAX];
    uint64_t idle; // CPU time
};

static struct world w;

static void begin(unsigned cpus, unsigned threads)
{
    memset(&w, 0, sizeof(w));
    build(&w.m, cpus);
    for (unsigned i = 0; i < cpus; i++)
        sched_set_core(&w.m.sched, i, i / threads);
}

static void end(void)
{
    free(w.m.slots);
}

static void kick_cpu(int cpu)
{
    if (cpu >= 0)
        w.m.until[cpu] = MIN(w.m.until[cpu], w.m.now + KICK);
}

static struct load *add(unsigned group, uint32_t weight, uint64_t busy, uint64_t asleep)
{
    struct load *load = &w.load[w.loads++];
    struct sched_group *vm = &w.group[group];
    *load = (struct load){.busy = busy, .asleep = asleep, .left = busy};
    load->entity = (struct sched_entity){.pinned = SCHED_ANY_CPU, .group = vm};
    vm->weight = weight;
    vm->member = w.member[group];
    w.member[group][vm->count++] = &load->entity;
    w.groups = MAX(w.groups, group + 1);
    return load;
}

static struct load *add_hog(unsigned group, uint32_t weight)
{
    return add(group, weight, 0, 0);
}

static void start(void)
{
    for (unsigned i = 0; i < w.loads; i++)
        kick_cpu(sched_add(&w.m.sched, &w.load[i].entity));
}

static const struct sched_group *runs_beside(unsigned cpu)
{
    for (unsigned i = 0; i < w.m.cpus; i++)
        if (i != cpu && w.m.sched.cpu[i].core == w.m.sched.cpu[cpu].core &&
            w.m.sched.cpu[i].current)
            return w.m.sched.cpu[i].current->group;
    return NULL;
}

static void assert_one_vm_a_core(void)
{
    for (unsigned i = 0; i < w.m.cpus; i++) {
        const struct sched_entity *current = w.m.sched.cpu[i].current;
        const struct sched_group *beside = runs_beside(i);
        if (current && beside && beside != current->group)
            fail_msg("CPU %u runs another VM than its sibling", i);
    }
}

// Once everybody who was told has looked: no CPU idles beside what it may run.
static void assert_none_is_left_behind(void)
{
    for (unsigned i = 0; i < w.m.cpus; i++)
        if (w.m.until[i] <= w.m.now + KICK)
            return;
    for (unsigned i = 0; i < w.m.cpus; i++) {
        const struct sched_group *beside = runs_beside(i);
        for (unsigned k = 0; k < w.loads && !w.m.sched.cpu[i].current; k++) {
            const struct sched_entity *waits = &w.load[k].entity;
            if (waits->state == SCHED_QUEUED &&
                (waits->pinned == SCHED_ANY_CPU || waits->pinned == i) &&
                (!beside || beside == waits->group))
                fail_msg("CPU %u idles beside vCPU %u at %llu us", i, k,
                         (unsigned long long)(w.m.now / US));
        }
    }
}

static void look(unsigned cpu)
{
    struct sched *sched = &w.m.sched;
    struct load *load = (struct load *)(void *)sched->cpu[cpu].current;
    uint64_t now = w.m.now;
    if (load) {
        uint64_t ran = now - load->entity.since;
        bool sleeps = load->busy && ran >= load->left;
        load->left = sleeps ? load->busy : load->left - MIN(ran, load->left);
        load->wakes = now + load->asleep;
        load->began = now;
        sched_stop(sched, cpu, now, sleeps ? SCHED_BLOCKED : SCHED_QUEUED, NEVER);
    }
    load = (struct load *)(void *)sched_pick(sched, cpu, now, &w.m.until[cpu]);
    kick_cpu(sched_help(sched, cpu));
    if (!load)
        return;
    if (load->busy)
        w.m.until[cpu] = MIN(w.m.until[cpu], now + load->left);
    load->waited = MAX(load->waited, now - load->began);
    if (load->woken)
        load->latest = MAX(load->latest, now - load->woken);
    load->woken = 0;
}

static void run(uint64_t duration)
{
    for (uint64_t stop = w.m.now + duration; w.m.now < stop;) {
        uint64_t next = stop;
        for (unsigned i = 0; i < w.loads; i++) {
            struct load *load = &w.load[i];
            if (load->entity.state == SCHED_BLOCKED && load->wakes <= w.m.now) {
                load->woken = load->began = w.m.now;
                kick_cpu(sched_wake(&w.m.sched, &load->entity, w.m.now));
            }
            if (load->entity.state == SCHED_BLOCKED)
                next = MIN(next, load->wakes);
        }
        for (unsigned i = 0; i < w.m.cpus; i++)
            if (w.m.until[i] <= w.m.now) {
                look(i);
                assert_one_vm_a_core();
            }
        assert_none_is_left_behind();
        for (unsigned i = 0; i < w.m.cpus; i++)
            next = MIN(next, MAX(w.m.until[i], w.m.now + 1));
        for (unsigned i = 0; i < w.m.cpus; i++)
            w.idle += w.m.sched.cpu[i].current ? 0 : next - w.m.now;
        w.m.now = next;
    }
}

static void assert_received(const struct load *load, uint64_t due, uint64_t tolerance)
{
    if (load->entity.received + tolerance < due || load->entity.received > due + tolerance)
        fail_msg("vCPU %u: %llu ms instead of %llu", (unsigned)(load - w.load),
                 (unsigned long long)(load->entity.received / MS), (unsigned long long)(due / MS));
}

static void a_core_is_shared_by_weight(void **state)
{
    begin(2, 2);
    for (unsigned i = 0; i < 4; i++)
        (void)add_hog(i / 2, i < 2 ? 512 : 256);
    start();
    run(6000 * MS);
    for (unsigned i = 0; i < 4; i++)
        assert_received(&w.load[i], (i < 2 ? 4000 : 2000) * MS, 60 * MS);
    assert_true(w.idle < 12 * MS); // of two threads: the VMs take turns as one
    end();
}

// The second thread has nothing that it may run.
static void vms_of_one_vcpu_take_turns(void **state)
{
    begin(2, 2);
    for (unsigned i = 0; i < 3; i++)
        (void)add_hog(i, 256);
    start();
    run(3000 * MS);
    for (unsigned i = 0; i < 3; i++)
        assert_received(&w.load[i], 1000 * MS, 20 * MS);
    assert_in_range(w.idle, 2990 * MS, 3010 * MS);
    end();
}

// Three of one VM are enough to keep a core's two threads for ever, if nobody saw to it. The VMs
// have the same time, the small one with a thread idle beside it.
static void a_large_vm_does_not_starve_a_small_one(void **state)
{
    begin(2, 2);
    for (unsigned i = 0; i < 5; i++)
        (void)add_hog(0, 256);
    struct load *small = add_hog(1, 256);
    start();
    run(100 * MS); // in step
    for (unsigned i = 0; i < w.loads; i++)
        w.load[i].waited = 0;
    run(7000 * MS);
    assert_received(small, 7100 * MS * 2 / 3, 60 * MS);
    uint64_t large = 0;
    for (unsigned i = 0; i < 5; i++)
        large += w.load[i].entity.received;
    assert_in_range(large, 4700 * MS, 4770 * MS);
    assert_true(small->waited < 40 * MS);
    end();
}

static void one_that_wakes_gets_the_core_after_two_kicks(void **state)
{
    for (unsigned hogs = 1; hogs <= 4; hogs++) { // one: the sleeper's thread is idle
        begin(2, 2);
        for (unsigned i = 0; i < hogs; i++)
            (void)add_hog(0, 256);
        struct load *sleeper = add(1, 256, 1 * MS, 30 * MS);
        start();
        run(500 * MS);
        sleeper->latest = 0;
        run(2000 * MS);
        assert_true(sleeper->entity.received > 60 * MS);
        assert_true(sleeper->latest <= 3 * KICK);
        end();
    }
}

// It ran last on CPU 1, whose sibling has another VM now.
static void one_that_wakes_goes_to_a_core_that_is_free(void **state)
{
    uint64_t until;
    begin(4, 2);
    struct sched_entity *one = &add_hog(0, 256)->entity, *two = &add_hog(1, 256)->entity;
    struct sched *sched = &w.m.sched;
    for (unsigned i = 0; i < 4; i++)
        assert_null(sched_pick(sched, i, 0, &until));
    two->cpu = 1;
    assert_int_equal(sched_add(sched, two), 1);
    assert_ptr_equal(sched_pick(sched, 1, 0, &until), two);
    sched_stop(sched, 1, 1 * MS, SCHED_BLOCKED, NEVER);
    assert_null(sched_pick(sched, 1, 1 * MS, &until));
    assert_int_equal(sched_add(sched, one), 0);
    assert_ptr_equal(sched_pick(sched, 0, 1 * MS, &until), one);
    assert_int_equal(sched_wake(sched, two, 2 * MS), 2);
    sched_stop(sched, 0, 2 * MS, SCHED_BLOCKED, NEVER);
    assert_ptr_equal(sched_pick(sched, 0, 2 * MS, &until), two);
    sched_stop(sched, 0, 3 * MS, SCHED_BLOCKED, NEVER);
    assert_null(sched_pick(sched, 0, 3 * MS, &until));
    assert_int_equal(sched_wake(sched, two, 4 * MS), 0); // home, now that the core is free
    end();
}

// Its own thread is idle; it is the sibling that has to make room.
static void one_that_wakes_is_told_of_at_the_sibling(void **state)
{
    uint64_t until;
    begin(2, 2);
    struct sched_entity *one = &add_hog(0, 256)->entity, *two = &add_hog(1, 256)->entity;
    struct sched *sched = &w.m.sched;
    (void)sched_add(sched, two);
    assert_ptr_equal(sched_pick(sched, 1, 0, &until), two);
    sched_stop(sched, 1, 1 * MS, SCHED_BLOCKED, NEVER);
    assert_null(sched_pick(sched, 1, 1 * MS, &until));
    (void)sched_add(sched, one);
    assert_ptr_equal(sched_pick(sched, 0, 1 * MS, &until), one);
    sched_stop(sched, 0, 9 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(sched, 0, 9 * MS, &until), one);
    assert_int_equal(sched_help(sched, 0), -1);
    assert_int_equal(sched_wake(sched, two, 10 * MS), 0);
    assert_null(sched_pick(sched, 1, 10 * MS, &until));
    assert_int_equal(sched_help(sched, 0), 0); // again, should it look first
    sched_stop(sched, 0, 10 * MS, SCHED_QUEUED, 0);
    assert_ptr_equal(sched_pick(sched, 0, 10 * MS, &until), two);
    end();
}

// Two cores, two VMs of two: each ends up with one, and nothing idles.
static void vms_that_fit_get_a_core_each(void **state)
{
    begin(4, 2);
    for (unsigned i = 0; i < 4; i++)
        (void)add_hog(i / 2, 256);
    start();
    run(1000 * MS);
    for (unsigned i = 0; i < 4; i++)
        assert_received(&w.load[i], 1000 * MS, 10 * MS);
    end();
}

// What is pinned to a thread waits for its sibling's VM, and that VM for it.
static void pinned_ones_share_the_core_too(void **state)
{
    begin(2, 2);
    add_hog(0, 256)->entity.pinned = 0;
    add_hog(1, 256)->entity.pinned = 1;
    start();
    run(2000 * MS);
    assert_received(&w.load[0], 1000 * MS, 20 * MS);
    assert_received(&w.load[1], 1000 * MS, 20 * MS);
    // When one sleeps, the other is not left waiting.
    w.load[0].busy = w.load[0].left = 1 * US;
    w.load[0].asleep = 9 * MS;
    uint64_t before = w.load[1].entity.received;
    run(1000 * MS);
    assert_true(w.load[1].entity.received - before > 980 * MS);
    end();
}

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static void any_mix_keeps_the_rule_and_starves_nobody(void **state)
{
    for (seed = 1; seed < 60 * 7919; seed += 7919) {
        uint32_t kept = seed;
        unsigned threads = draw(3) ? 2 : 4, cpus = threads * (1 + draw(4));
        begin(cpus, threads);
        unsigned count = 2 + draw(24);
        for (unsigned i = 0; i < count; i++) {
            bool sleeps = draw(2);
            struct load *load =
                add(draw(GROUPS_MAX), 64 + draw(512), sleeps ? 1 + draw(20000) * US : 0,
                    sleeps ? draw(50000) * US : 0);
            if (!draw(5))
                load->entity.pinned = (uint16_t)draw(cpus);
            if (!draw(8))
                load->entity.group->cap = 10 + draw(80);
        }
        start();
        run(1000 * MS);
        for (unsigned i = 0; i < w.loads; i++)
            w.load[i].waited = 0;
        run(2000 * MS);
        // Everybody's share is at least an eighth of what the weights alone would give.
        for (unsigned i = 0; i < w.loads; i++) {
            const struct load *load = &w.load[i];
            const struct sched_group *vm = load->entity.group;
            if (load->busy || vm->cap)
                continue;
            uint64_t due = 3000 * MS * vm->weight / 576 / w.groups / vm->count / 8;
            if (load->entity.received < due)
                fail_msg("vCPU %u got %llu ms", i,
                         (unsigned long long)(load->entity.received / MS));
        }
        end();
        seed = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_core_is_shared_by_weight),
        cmocka_unit_test(vms_of_one_vcpu_take_turns),
        cmocka_unit_test(a_large_vm_does_not_starve_a_small_one),
        cmocka_unit_test(one_that_wakes_gets_the_core_after_two_kicks),
        cmocka_unit_test(one_that_wakes_goes_to_a_core_that_is_free),
        cmocka_unit_test(one_that_wakes_is_told_of_at_the_sibling),
        cmocka_unit_test(vms_that_fit_get_a_core_each),
        cmocka_unit_test(pinned_ones_share_the_core_too),
        cmocka_unit_test(any_mix_keeps_the_rule_and_starves_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
