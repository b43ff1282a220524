// The scheduling policy under its own locks: CPUs are threads here, in domains of two. vCPUs sleep,
// wake each other, yield, and are taken out and put back; nobody runs twice, and nobody is lost.

#include <pthread.h>
#include <sched.h>

#include "tests/unit/sched_simulation.h"

enum { THREADS = 4, DOMAIN = 2, VMS = 4, MEMBERS = 4, COUNT = VMS * MEMBERS, ROUNDS = 2000 };

static struct simulation m;
static struct sched_entity vcpu[COUNT];
static struct sched_entity *member[VMS][MEMBERS];
static _Atomic unsigned runs[COUNT]; // on so many CPUs
static _Atomic unsigned faults;
static _Atomic uint64_t now;

static void wake(struct sched_entity *entity)
{
    struct sched_domain *domain = sched_hold(&m.sched, entity);
    (void)sched_wake(&m.sched, entity, now);
    sched_release(domain);
}

static void *run(void *argument)
{
    unsigned cpu = (unsigned)(uintptr_t)argument, seed = cpu + 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t until;
        struct sched_entity *entity;
        struct sched_domain *domain;
        (void)sched_balance(&m.sched, cpu);
        do {
            domain = sched_hold_cpu(&m.sched, cpu);
            entity = sched_pick(&m.sched, cpu, now, &until);
            (void)sched_help(&m.sched, cpu);
            sched_release(domain);
        } while (!entity && sched_balance(&m.sched, cpu));
        seed = seed * 1103515245 + 12345;
        unsigned what = seed >> 16;
        wake(&vcpu[what % COUNT]);
        if (what % 32 == 0)
            (void)sched_yield();
        if (!entity) {
            now += MS / 10;
            continue;
        }
        faults += runs[entity - vcpu]++ != 0;
        sched_begin(&m.sched, cpu, now);
        now += MS / 10;
        runs[entity - vcpu]--;
        domain = sched_hold_cpu(&m.sched, cpu);
        if (what % 4 == 0)
            sched_yield_to(&m.sched, cpu, entity->group->member[what / 4 % MEMBERS]);
        bool leaves = what % 64 == 1;
        sched_stop(&m.sched, cpu, now,
                   leaves          ? SCHED_PARKED
                   : what % 4 == 1 ? SCHED_BLOCKED
                                   : SCHED_QUEUED,
                   now + MS * (what % 8));
        sched_release(domain);
        if (leaves)
            (void)sched_add(&m.sched, entity);
    }
    return NULL;
}

static void nobody_runs_twice_and_nobody_is_lost(void **state)
{
    pthread_t thread[THREADS];
    build_of(&m, THREADS, DOMAIN);
    for (unsigned i = 0; i < COUNT; i++) {
        vcpu[i] = entity(SCHED_WEIGHT_DEFAULT << i / MEMBERS);
        member[i / MEMBERS][i % MEMBERS] = &vcpu[i];
    }
    for (unsigned i = 0; i < VMS; i++)
        join(member[i], MEMBERS)->cap = i == 1 ? 50 : 0;
    for (unsigned i = 0; i < COUNT; i++)
        (void)sched_add(&m.sched, &vcpu[i]);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(faults, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(vcpu[i].received > 0);
        assert_non_null(vcpu[i].heap);
        assert_ptr_equal(vcpu[i].heap->slot[vcpu[i].index], &vcpu[i]);
        assert_true(sched_park(&m.sched, &vcpu[i]));
    }
    for (unsigned i = 0; i < VMS; i++)
        assert_int_equal(member[i][0]->group->runnable, 0);
    for (unsigned i = 0; i < m.sched.domain_count; i++)
        assert_true(m.sched.domain[i].head == NEVER);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_runs_twice_and_nobody_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
