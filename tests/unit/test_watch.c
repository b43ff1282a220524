// vm/watch.c: what is noted of each exit.

#include "tests/unit/support.h"

#include "vm/vcpu.h"
#include "vm/watch.h"

static struct watch watch;
static struct vcpu vcpu;

static void note(uint32_t reason, uint64_t qualification, uint64_t physical, uint32_t cycles)
{
    struct exit exit = {
        .reason = reason, .qualification = qualification, .physical = gpa(physical), .tsc = 77};
    watch_note(&watch, &vcpu, reason, &exit, cycles);
}

static uint64_t counted(const struct tally *tally, uint64_t address)
{
    unsigned position = 0;
    uint64_t at, count;
    while (tally_next(tally, &position, &at, &count))
        if (at == address)
            return count;
    return 0;
}

static int reset(void **state)
{
    (void)state;
    memset(&watch, 0, sizeof(watch));
    memset(&vcpu, 0, sizeof(vcpu));
    return 0;
}

static void cycles_fall_into_powers_of_two(void **state)
{
    (void)state;
    static const uint32_t cycles[] = {0, 1, 2, 3, 4, 1023, 1024, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_LENGTH(cycles); i++)
        note(EXIT_CPUID, 0, 0, cycles[i]);
    const uint64_t *histogram = watch.histogram[EXIT_CPUID];
    assert_int_equal(histogram[0], 2);
    assert_int_equal(histogram[1], 2);
    assert_int_equal(histogram[2], 1);
    assert_int_equal(histogram[9], 1);
    assert_int_equal(histogram[10], 1);
    assert_int_equal(histogram[31], 1);
}

static void ports_msrs_and_pages_are_counted(void **state)
{
    (void)state;
    note(EXIT_IO, UINT64_C(0x3f8) << 16 | 8, 0x5123, 1);
    note(EXIT_IO, UINT64_C(0x3f8) << 16, 0, 1);
    vcpu.gpr[RCX] = UINT64_C(0xffffffff000006e0);
    note(EXIT_WRMSR, 0, 0, 1);
    note(EXIT_RDMSR, 0, 0, 1);
    note(EXIT_EPT_VIOLATION, 0, 0xfec00010, 1);
    note(EXIT_EPT_VIOLATION, 0, 0xfec00fff, 1);
    assert_int_equal(counted(&watch.ports, 0x3f8), 2);
    assert_int_equal(counted(&watch.msrs, 0x6e0), 2);
    assert_int_equal(counted(&watch.pages, 0xfec00000), 2);
    assert_int_equal(counted(&watch.pages, 0x5000), 0);
}

static void the_last_exits_are_kept(void **state)
{
    (void)state;
    assert_null(watch_entry_at(&watch, 1));
    for (unsigned i = 0; i < WATCH_ENTRIES + 10; i++) {
        vcpu.rip = i;
        note(EXIT_EPT_VIOLATION, 0, 0xfec00010, i);
    }
    const struct watch_entry *entry = watch_entry_at(&watch, 1);
    assert_int_equal(entry->rip, WATCH_ENTRIES + 9);
    assert_int_equal(entry->cycles, WATCH_ENTRIES + 9);
    assert_int_equal(entry->reason, EXIT_EPT_VIOLATION);
    assert_int_equal(entry->detail, 0xfec00010);
    assert_int_equal(entry->tsc, 77);
    assert_int_equal(watch_entry_at(&watch, WATCH_ENTRIES)->rip, 10);
    assert_null(watch_entry_at(&watch, WATCH_ENTRIES + 1));
    assert_null(watch_entry_at(&watch, 0));
}

static void work_that_no_exit_asked_for_is_only_timed(void **state)
{
    (void)state;
    note(STATS_OTHER, 0, 0, 5);
    assert_int_equal(watch.histogram[STATS_OTHER][2], 1);
    assert_null(watch_entry_at(&watch, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cycles_fall_into_powers_of_two, reset),
        cmocka_unit_test_setup(ports_msrs_and_pages_are_counted, reset),
        cmocka_unit_test_setup(the_last_exits_are_kept, reset),
        cmocka_unit_test_setup(work_that_no_exit_asked_for_is_only_timed, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
