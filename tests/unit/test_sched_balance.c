// The scheduling policy on a machine of many domains, simulated: 1,024 vCPUs and 256 tasks on 128
// CPUs. Who has what share, how long a task waits, which locks are taken, and for how long: counted
// in the branches of vm/sched/ that are run with it (-fsanitize-coverage=trace-pc).

#include "tests/unit/sched_simulation.h"

#define US UINT64_C(1000)

enum { VCPUS = 1024, TASKS = 256, MACHINE = 128, DOMAIN = 8, DOMAINS = MACHINE / DOMAIN };

#define WORK  (50 * US) // of a task, each time
#define SLEEP (10 * MS)

// What a vCPU does, by its VM: it computes, runs for WORK and wakes its neighbour, or yields to it.
enum habit { COMPUTES, WAKES, YIELDS };

static struct simulation m;
static struct sched_entity vcpu[VCPUS], task[TASKS];
static struct sched_entity *member[VCPUS];
static enum habit habit[VCPUS];
static uint64_t longest; // wait of a task, and of one that was woken

static uint64_t branches, begun, held[DOMAINS], most; // of one hold
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    branches++;
}

static struct sched_domain *hold(unsigned cpu)
{
    begun = branches;
    return sched_hold_cpu(&m.sched, cpu);
}

static void release(struct sched_domain *domain)
{
    uint64_t took = branches - begun;
    most = MAX(most, took);
    held[domain - m.sched.domain] += took;
    sched_release(domain);
}

static void kick_cpu(int cpu)
{
    if (cpu >= 0)
        m.until[cpu] = MIN(m.until[cpu], m.now + 2 * US);
}

static bool is_vcpu(const struct sched_entity *entity)
{
    return entity && !entity->is_task;
}

static struct sched_entity *neighbour_of(const struct sched_entity *entity)
{
    return &vcpu[(entity - vcpu) ^ 1];
}

static void wake(struct sched_entity *entity)
{
    struct sched_domain *domain = hold(entity->cpu);
    int cpu = sched_wake(&m.sched, entity, m.now);
    release(domain);
    kick_cpu(cpu);
}

static void leave(unsigned cpu, struct sched_entity *entity)
{
    bool is_done = entity->is_task || m.now - entity->since >= WORK;
    enum habit what = is_vcpu(entity) && is_done ? habit[entity - vcpu] : COMPUTES;
    if (what == WAKES)
        wake(neighbour_of(entity));
    bool waits = what == WAKES || entity->is_task;
    struct sched_domain *domain = hold(cpu);
    if (what == YIELDS)
        sched_yield_to(&m.sched, cpu, neighbour_of(entity));
    sched_stop(&m.sched, cpu, m.now, waits ? SCHED_BLOCKED : SCHED_QUEUED,
               entity->is_task ? m.now + SLEEP : NEVER);
    release(domain);
}

// As vmx/loop.c does.
static void look(unsigned cpu)
{
    struct sched *sched = &m.sched;
    struct sched_entity *entity = sched->cpu[cpu].current;
    if (entity)
        leave(cpu, entity);
    (void)sched_balance(sched, cpu);
    do {
        struct sched_domain *domain = hold(cpu);
        entity = sched_pick(sched, cpu, m.now, &m.until[cpu]);
        int other = sched_help(sched, cpu);
        release(domain);
        kick_cpu(other);
    } while (!entity && sched_balance(sched, cpu));
    if (!entity || (is_vcpu(entity) && habit[entity - vcpu] == COMPUTES))
        return;
    m.until[cpu] = MIN(m.until[cpu], m.now + WORK);
    if (entity->ready != NEVER && (entity->is_task || habit[entity - vcpu] == WAKES))
        longest = MAX(longest, m.now - entity->ready);
}

static void run_to(uint64_t end)
{
    while (m.now < end) {
        uint64_t next = NEVER;
        for (unsigned i = 0; i < MACHINE; i++) {
            if (m.until[i] <= m.now)
                look(i);
            next = MIN(next, m.until[i]);
        }
        m.now = MAX(next, m.now);
    }
}

static void begin(void)
{
    build_of(&m, MACHINE, DOMAIN);
    longest = most = 0;
    memset(held, 0, sizeof(held));
    memset(habit, 0, sizeof(habit));
}

// VMs of so many vCPUs each.
static void start(unsigned vcpus, unsigned tasks)
{
    begin();
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpu[i] = entity(64 + (i * 37) % 512);
        member[i] = &vcpu[i];
    }
    for (unsigned i = 0; vcpus > 1 && i < VCPUS; i += vcpus)
        join(&member[i], vcpus);
    for (unsigned i = 0; i < VCPUS; i++)
        (void)sched_add(&m.sched, &vcpu[i]);
    for (unsigned i = 0; i < tasks; i++) {
        task[i] = entity(SCHED_WEIGHT_DEFAULT);
        task[i].is_task = true;
        (void)sched_add(&m.sched, &task[i]);
    }
}

// Of what the tasks leave, each vCPU has its share but for 3 slices.
static void check_shares(void)
{
    double weights = 0, total = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        weights += vcpu[i].group->weight;
        total += (double)vcpu[i].received;
    }
    for (unsigned i = 0; i < VCPUS; i++) {
        double due = total * vcpu[i].group->weight / weights, had = (double)vcpu[i].received;
        if (had < due - 3.0 * SCHED_SLICE || had > due + 3.0 * SCHED_SLICE)
            fail_msg("vCPU %u of weight %u had %.2f ms of %.2f", i, vcpu[i].group->weight, had / MS,
                     due / MS);
    }
}

static void shares_are_right_within_3_slices(void **state)
{
    start(1, TASKS);
    for (unsigned i = 1; i <= 4; i++) {
        run_to(i * 1000 * MS);
        check_shares();
    }
    free(m.slots);
}

static void tasks_that_sleep_wait_for_2_slices_at_most(void **state)
{
    start(1, TASKS);
    run_to(200 * MS);
    longest = 0;
    run_to(2000 * MS);
    for (unsigned i = 0; i < TASKS; i++)
        assert_true(task[i].received > 2000 * MS / (SLEEP + WORK + 2 * SCHED_SLICE) * WORK);
    assert_in_range(longest, 0, 2 * SCHED_SLICE);
    free(m.slots);
}

// Each lock has its own part of the choices (stop, choose, and what goes from one domain to
// another), and is held for a few heaps' work each time.
static void no_lock_is_shared_by_all(void **state)
{
    uint64_t choices = 0, all = 0, time = 0;
    start(1, TASKS);
    for (unsigned i = 0; i < DOMAINS; i++)
        all -= m.sched.domain[i].lock.next;
    run_to(2000 * MS);
    for (unsigned i = 0; i < DOMAINS; i++) {
        all += m.sched.domain[i].lock.next;
        time += held[i];
    }
    for (unsigned i = 0; i < DOMAINS; i++) {
        assert_in_range(m.sched.domain[i].lock.next, 0, 2 * all / DOMAINS);
        assert_in_range(held[i], 0, 2 * time / DOMAINS);
    }
    for (unsigned i = 0; i < VCPUS; i++)
        choices += vcpu[i].received / SCHED_SLICE;
    for (unsigned i = 0; i < TASKS; i++)
        choices += task[i].received / WORK;
    assert_true(all < 4 * choices);
    assert_in_range(time / all, 1, 50);
    assert_in_range(most, 1, 200);
    free(m.slots);
}

static double received(unsigned first, unsigned count)
{
    double sum = 0;
    for (unsigned i = first; i < first + count; i++)
        sum += (double)vcpu[i].received;
    return sum;
}

// 64 VMs of 16: a quarter's vCPUs wake each other, a quarter's yield. A VM is ahead of its share or
// behind it by a slice for each vCPU, and one that is woken waits for two at most.
static void shares_are_vms_whatever_they_do(void **state)
{
    enum { MEMBERS = 16 };
    double weights = 0;
    start(MEMBERS, 0);
    for (unsigned i = 0; i < VCPUS; i++)
        habit[i] = i / MEMBERS % 4 == 1 ? WAKES : i / MEMBERS % 4 == 2 ? YIELDS : COMPUTES;
    run_to(200 * MS);
    longest = 0;
    run_to(2000 * MS);
    for (unsigned i = 0; i < VCPUS; i += MEMBERS)
        weights += vcpu[i].group->weight;
    for (unsigned i = 0; i < VCPUS; i += MEMBERS) {
        double had = received(i, MEMBERS),
               due = received(0, VCPUS) * vcpu[i].group->weight / weights;
        if (had < due - MEMBERS * (double)SCHED_SLICE || had > due + MEMBERS * (double)SCHED_SLICE)
            fail_msg("a VM of weight %u had %.2f ms of %.2f", vcpu[i].group->weight, had / MS,
                     due / MS);
    }
    assert_in_range(longest, 1, 2 * SCHED_SLICE);
    free(m.slots);
}

// All that can run wakes at once on one CPU.
static void no_cpu_idles_beside_another_domains_work(void **state)
{
    uint64_t until;
    begin();
    for (unsigned i = 0; i < MACHINE; i++) {
        vcpu[i] = entity(SCHED_WEIGHT_DEFAULT);
        (void)sched_add(&m.sched, &vcpu[i]);
        while (!sched_pick(&m.sched, 0, 0, &until))
            assert_true(sched_balance(&m.sched, 0));
        sched_stop(&m.sched, 0, 0, SCHED_BLOCKED, MS);
    }
    run_to(2 * MS);
    for (unsigned i = 0; i < MACHINE; i++)
        assert_non_null(m.sched.cpu[i].current);
    free(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_right_within_3_slices),
        cmocka_unit_test(tasks_that_sleep_wait_for_2_slices_at_most),
        cmocka_unit_test(no_lock_is_shared_by_all),
        cmocka_unit_test(shares_are_vms_whatever_they_do),
        cmocka_unit_test(no_cpu_idles_beside_another_domains_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
