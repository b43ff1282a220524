// Which CPUs are used: the one that runs first, threads of a core, APIC ids beyond one byte, and
// more CPUs than there is room for.

#include "tests/unit/support.h"

#include "boot/info/topology.h"

static struct notes notes;
static uint32_t apic_id[CPUS];

static unsigned choose(struct topology_rules rules, const uint32_t *ids, unsigned count)
{
    notes_init(&notes);
    memset(apic_id, 0xee, sizeof(apic_id));
    return topology_choose(&rules, ids, count, apic_id, &notes);
}

static void the_cpu_that_runs_is_number_0(void **state)
{
    static const uint32_t ids[] = {0, 2, 4, 6};
    assert_int_equal(choose((struct topology_rules){.own = 4}, ids, 4), 4);
    assert_int_equal(apic_id[0], 4);
    assert_int_equal(apic_id[1], 0);
    assert_int_equal(apic_id[2], 2);
    assert_int_equal(apic_id[3], 6);
    assert_int_equal(choose((struct topology_rules){.own = 7}, ids, 0), 1); // a table without CPUs
    assert_int_equal(apic_id[0], 7);
}

static void one_thread_of_a_core_with_nosmt(void **state)
{
    // A hybrid CPU: two cores with two threads, then cores of one.
    static const uint32_t ids[] = {0, 1, 8, 9, 16, 18, 20};
    struct topology_rules rules = {.own = 1, .core_shift = 1, .nosmt = true};
    assert_int_equal(choose(rules, ids, 7), 5);
    static const uint32_t expected[] = {1, 8, 16, 18, 20};
    assert_memory_equal(apic_id, expected, sizeof(expected));
    rules.nosmt = false;
    assert_int_equal(choose(rules, ids, 7), 7);
}

static void ids_beyond_one_byte_need_x2apic(void **state)
{
    static const uint32_t ids[] = {0, 254, 255, 256, 0x10002};
    assert_int_equal(choose((struct topology_rules){.has_x2apic = true}, ids, 5), 5);
    assert_int_equal(apic_id[4], 0x10002);
    assert_int_equal(notes.count, 0);
    assert_int_equal(choose((struct topology_rules){0}, ids, 5), 2);
    assert_int_equal(notes.count, 3);
}

static void too_many_are_left_asleep(void **state)
{
    static uint32_t ids[CPUS + 2];
    for (unsigned i = 0; i < ARRAY_LENGTH(ids); i++)
        ids[i] = 2 * i;
    assert_int_equal(choose((struct topology_rules){.has_x2apic = true}, ids, CPUS + 2), CPUS);
    assert_int_equal(apic_id[CPUS - 1], 2 * (CPUS - 1));
    assert_int_equal(notes.count, 1); // one line for all of them
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cpu_that_runs_is_number_0),
        cmocka_unit_test(one_thread_of_a_core_with_nosmt),
        cmocka_unit_test(ids_beyond_one_byte_need_x2apic),
        cmocka_unit_test(too_many_are_left_asleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
