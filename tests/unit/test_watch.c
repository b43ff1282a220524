// vm/watch.c and vm/stats.h: what is noted of each exit, and sums that are equal.

#include "tests/unit/exit_support.h"

#include "vm/watch.h"

static struct watch watch;

static void note(uint32_t reason, uint64_t qualification, uint64_t physical, uint32_t cycles)
{
    watch_begin(&watch, VCPU, reason, 77);
    watch_entry_now(&watch)->qualification = qualification;
    watch_entry_now(&watch)->physical = physical;
    watch_end(&watch, VCPU, cycles);
}

static uint64_t counted(const struct access_counts *counts, uint64_t address)
{
    unsigned position = 0;
    uint64_t at, count;
    while (access_counts_next(counts, &position, &at, &count))
        if (at == address)
            return count;
    return 0;
}

static uint64_t sum_of(const struct access_counts *counts)
{
    unsigned position = 0;
    uint64_t at, count, sum = counts->others;
    while (access_counts_next(counts, &position, &at, &count))
        sum += count;
    return sum;
}

static int reset(void **state)
{
    memset(&watch, 0, sizeof(watch));
    fixture_protected_mode();
    return 0;
}

static void cycles_fall_into_powers_of_two(void **state)
{
    static struct exit_stats stats;
    static const uint32_t cycles[] = {0, 1, 2, 3, 4, 1023, 1024, UINT32_MAX};
    static const uint8_t bucket[] = {0, 0, 1, 1, 2, 9, 10, 31};
    uint64_t expected[STATS_BUCKETS] = {0}, sum = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(cycles); i++) {
        stats_count(&stats, STATS_AT(EXIT_CPUID), cycles[i]);
        expected[bucket[i]]++;
        sum += cycles[i];
    }
    assert_memory_equal(&stats.histogram[STATS_AT(EXIT_CPUID)], expected, sizeof(expected));
    struct exit_counter counter = {0};
    stats_add(&counter, &stats, EXIT_CPUID);
    assert_int_equal(counter.count, ARRAY_LENGTH(cycles));
    assert_int_equal(counter.cycles, sum);
    assert_int_equal(counter.longest, UINT32_MAX);
    assert_int_equal(stats_exits(&stats, EXIT_CPUID - 1), 0);
    assert_int_equal(stats_exits(&stats, EXIT_CPUID + 1), 0);
}

static void ports_msrs_and_pages_are_counted(void **state)
{
    note(EXIT_IO, UINT64_C(0x3f8) << 16 | 8, 0x5123, 1);
    note(EXIT_IO, UINT64_C(0x3f8) << 16, 0, 1);
    VCPU->gpr[RCX] = UINT64_C(0xffffffff000006e0);
    note(EXIT_WRMSR, 0, 0, 1);
    note(EXIT_RDMSR, 0, 0, 1);
    note(EXIT_EPT_VIOLATION, 0, 0xfec00010, 1);
    note(EXIT_EPT_VIOLATION, 0, 0xfec00fff, 1);
    assert_int_equal(counted(&watch.ports, 0x3f8), 2);
    assert_int_equal(counted(&watch.msrs, 0x6e0), 2);
    assert_int_equal(counted(&watch.pages, 0xfec00000), 2);
    assert_int_equal(counted(&watch.pages, 0x5000), 0);
}

// More ports, MSRs and pages than there is room for: nothing is lost, so each list adds up to what
// the vCPU's always-on count says of the reason.
static void each_sum_is_the_total(void **state)
{
    static struct exit_stats stats;
    static const uint32_t reasons[] = {EXIT_IO, EXIT_RDMSR, EXIT_WRMSR, EXIT_EPT_VIOLATION,
                                       EXIT_HLT};
    uint64_t total = 0;
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t reason = reasons[i % ARRAY_LENGTH(reasons)];
        VCPU->gpr[RCX] = i * 3;
        note(reason, (uint64_t)(i * 7 & 0xffff) << 16, i * UINT64_C(4096), i);
        stats_count(&stats, STATS_AT(reason), i);
    }
    assert_int_not_equal(watch.ports.others, 0);
    assert_int_equal(sum_of(&watch.ports), stats_exits(&stats, EXIT_IO));
    assert_int_equal(sum_of(&watch.msrs),
                     stats_exits(&stats, EXIT_RDMSR) + stats_exits(&stats, EXIT_WRMSR));
    assert_int_equal(sum_of(&watch.pages), stats_exits(&stats, EXIT_EPT_VIOLATION));
    for (uint32_t reason = 0; reason < STATS_REASONS; reason++)
        total += stats_exits(&stats, reason);
    assert_int_equal(total, 5000);
    assert_int_equal(watch.noted, 5000);
}

static void only_what_is_wanted_is_noted_and_all_is_counted(void **state)
{
    watch.filter = (struct watch_filter){
        3, {{WATCH_REASON, EXIT_CPUID}, {WATCH_PORT, 0x60}, {WATCH_MSR, 0x1b}}};
    note(EXIT_IO, UINT64_C(0x60) << 16, 0, 1);
    note(EXIT_IO, UINT64_C(0x61) << 16, 0, 1);
    note(EXIT_CPUID, UINT64_C(0x61) << 16, 0, 1);
    note(EXIT_HLT, UINT64_C(0x60) << 16, 0, 1);
    VCPU->gpr[RCX] = 0x1b;
    note(EXIT_RDMSR, 0, 0, 1);
    note(EXIT_WRMSR, 0, 0, 1);
    VCPU->gpr[RCX] = 0x1c;
    note(EXIT_RDMSR, 0, 0, 1);
    assert_int_equal(watch.noted, 4);
    assert_int_equal(counted(&watch.ports, 0x61), 1);
    assert_int_equal(counted(&watch.msrs, 0x1c), 1);
}

static void values_are_those_that_went_through(void **state)
{
    struct watch_entry entry;
    VCPU->gpr[RAX] = UINT64_C(0x1111111122222222);
    VCPU->gpr[RDX] = UINT64_C(0x3333333344444444);
    note(EXIT_WRMSR, 0, 0, 1);
    watch_begin(&watch, VCPU, EXIT_RDMSR, 0);
    VCPU->gpr[RAX] = 5; // the answer
    VCPU->gpr[RDX] = 6;
    watch_end(&watch, VCPU, 1);
    watch_begin(&watch, VCPU, EXIT_IO, 0);
    VCPU->gpr[RAX] = 7;
    watch_entry_now(&watch)->qualification = BIT(3); // IN
    watch_end(&watch, VCPU, 1);
    assert_true(watch_read(&watch, 0, &entry));
    assert_int_equal(entry.value, UINT64_C(0x4444444422222222));
    assert_true(watch_read(&watch, 1, &entry));
    assert_int_equal(entry.value, UINT64_C(0x600000005));
    assert_true(watch_read(&watch, 2, &entry));
    assert_int_equal(entry.value, 7);
}

static void the_last_exits_are_kept(void **state)
{
    struct watch_entry entry;
    assert_false(watch_read(&watch, 0, &entry));
    for (unsigned i = 0; i < WATCH_ENTRIES + 10; i++) {
        VCPU->rip = i;
        note(EXIT_EPT_VIOLATION, i, 0xfec00010, i);
    }
    assert_true(watch_read(&watch, WATCH_ENTRIES + 9, &entry));
    assert_int_equal(entry.rip, WATCH_ENTRIES + 9);
    assert_int_equal(entry.qualification, WATCH_ENTRIES + 9);
    assert_int_equal(entry.cycles, WATCH_ENTRIES + 9);
    assert_int_equal(entry.physical, 0xfec00010);
    assert_int_equal(entry.tsc, 77);
    assert_false(watch_read(&watch, WATCH_ENTRIES + 10, &entry));
    // One place is the next entry's.
    assert_true(watch_read(&watch, 11, &entry));
    assert_int_equal(entry.rip, 11);
    assert_false(watch_read(&watch, 10, &entry));
}

static void an_entry_has_the_registers_and_the_code(void **state)
{
    VCPU->rip = RAM_SIZE - 3; // the last bytes of RAM
    memcpy(&fixture.ram[RAM_SIZE - 3], "\x0f\xa2\xc3", 3);
    VCPU->gpr[RAX] = 1;
    note(EXIT_CPUID, 0, 0, 9);
    struct watch_entry entry;
    assert_true(watch_read(&watch, 0, &entry));
    assert_int_equal(entry.length, 3);
    assert_memory_equal(entry.code, "\x0f\xa2\xc3", 3);
    assert_int_equal(entry.bits, 32);
    assert_int_equal(entry.rax, 1);
    assert_verdict(entry.verdict, next()); // what an instruction's is if nobody says otherwise
    VCPU->cr2_dirty = false;
    note(EXIT_EXTERNAL_INTERRUPT, 0, 0, 9);
    assert_true(watch_read(&watch, 1, &entry));
    assert_int_equal(entry.verdict.kind, VERDICT_INVALID);
    // Looking at memory leaves no trace, not even where there is none.
    VCPU->cr0 |= CR0_PG;
    VCPU->cr3 = 0x3000; // all of its entries are clear
    note(EXIT_HLT, 0, 0, 9);
    assert_true(watch_read(&watch, 2, &entry));
    assert_int_equal(entry.length, 0);
    assert_int_equal(VCPU->cr2, 0);
    assert_false(VCPU->cr2_dirty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cycles_fall_into_powers_of_two, reset),
        cmocka_unit_test_setup(ports_msrs_and_pages_are_counted, reset),
        cmocka_unit_test_setup(each_sum_is_the_total, reset),
        cmocka_unit_test_setup(only_what_is_wanted_is_noted_and_all_is_counted, reset),
        cmocka_unit_test_setup(values_are_those_that_went_through, reset),
        cmocka_unit_test_setup(the_last_exits_are_kept, reset),
        cmocka_unit_test_setup(an_entry_has_the_registers_and_the_code, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
