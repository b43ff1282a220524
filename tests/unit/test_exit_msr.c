// exits/msr.c over vm/cpu/msr.c: every row's reads, writes and refusals; and vm/kvmclock.c, which
// MSRs switch on.

#include "tests/unit/exit_support.h"

#include "vm/kvmclock.h"
#include "vm/kvmsteal.h"

#define NOW 5000 // VM time; the host's TSC is then 1000 + 2 * NOW

static int set_up(void **state)
{
    fixture_init();
    return 0;
}

static verdict_t rdmsr(uint32_t index, uint64_t *value)
{
    struct exit exit = {.reason = EXIT_RDMSR, .tsc = 1000 + 2 * NOW};
    VCPU->gpr[RCX] = UINT64_C(0xf00000000) | index;
    verdict_t verdict = exit_run(&exit, CHANGED(gpr[RAX]), CHANGED(gpr[RDX]));
    *value = VCPU->gpr[RAX] | VCPU->gpr[RDX] << 32;
    if (verdict.kind == VERDICT_NEXT)
        assert_int_equal(VCPU->gpr[RAX] >> 32 | VCPU->gpr[RDX] >> 32, 0);
    assert_int_equal(exit_dirty, 0);
    return verdict;
}

static verdict_t wrmsr(uint32_t index, uint64_t value)
{
    struct exit exit = {.reason = EXIT_WRMSR, .tsc = 1000 + 2 * NOW};
    VCPU->gpr[RCX] = UINT64_C(0xf00000000) | index;
    VCPU->gpr[RAX] = UINT64_C(0xf00000000) | (uint32_t)value;
    VCPU->gpr[RDX] = UINT64_C(0xf00000000) | value >> 32;
    return exit_run(&exit, CHANGED(msr), CHANGED(live), CHANGED(efer), CHANGED(segment),
                    CHANGED(pat), CHANGED(sysenter_cs), CHANGED(sysenter_esp),
                    CHANGED(sysenter_eip), CHANGED(debugctl), CHANGED(tsc_offset), CHANGED(lapic));
}

static void refused(uint32_t index, uint64_t value)
{
    struct exit exit = {.reason = EXIT_WRMSR, .tsc = 1000 + 2 * NOW};
    VCPU->gpr[RCX] = index;
    VCPU->gpr[RAX] = (uint32_t)value;
    VCPU->gpr[RDX] = value >> 32;
    assert_verdict(exit_run(&exit), fault_gp(0));
    assert_int_equal(exit_dirty | exit_requests, 0);
}

static uint64_t value_of(uint32_t index)
{
    uint64_t value;
    assert_verdict(rdmsr(index, &value), next());
    return value;
}

static void registers_hold_what_is_written(void **state)
{
    static const struct {
        uint32_t index;
        uint64_t value;
        uint32_t dirty;
    } rows[] = {
        {0xc0000081, UINT64_C(0x23001000000000), STATE_MSR},
        {0xc0000082, UINT64_C(0xffffffff81000000), STATE_MSR},
        {0xc0000083, UINT64_C(0x7fffffffffff), STATE_MSR},
        {0xc0000084, 0x47700, STATE_MSR},
        {0xc0000100, UINT64_C(0x7f0000001000), STATE_SEGMENTS},
        {0xc0000101, UINT64_C(0xffff888000000000), STATE_SEGMENTS},
        {0xc0000102, UINT64_C(0xffff888000001000), STATE_MSR},
        {0xc0000103, 0x1003, STATE_MSR},
        {0x174, 0x10, STATE_SYSTEM},
        {0x175, UINT64_C(0xfffffe0000001000), STATE_SYSTEM},
        {0x176, UINT64_C(0xffffffff81001000), STATE_SYSTEM},
        {0x277, UINT64_C(0x0407050600070106), STATE_SYSTEM},
        {0x1d9, 2, STATE_DEBUG},
        {0x48, 7, STATE_MSR},
        {0xe1, 0xfffffffd, 0},
        {0x2ff, 0xc06, 0},
        {0x200, UINT64_C(0xff00000006), 0},
        {0x20f, UINT64_C(0xfffff00800), 0},
        {0x250, UINT64_C(0x0606060606060606), 0},
        {0x26f, UINT64_C(0x0001040506060606), 0},
        {0x17a, 15, 0},
        {0x4d0, 1, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_verdict(wrmsr(rows[i].index, rows[i].value), next());
        assert_int_equal(exit_dirty, rows[i].dirty);
        assert_int_equal(value_of(rows[i].index), rows[i].value);
    }
    assert_int_equal(VCPU->segment[FS].base, UINT64_C(0x7f0000001000));
    assert_int_equal(VCPU->live.lstar, UINT64_C(0xffffffff81000000));
}

// LBR, which has no bit in CPUID, may be written and has no effect.
static void last_branches_are_not_recorded(void **state)
{
    assert_verdict(wrmsr(0x1d9, 3), next());
    assert_int_equal(exit_dirty, STATE_DEBUG);
    assert_int_equal(value_of(0x1d9), 2);
    assert_verdict(wrmsr(0x1d9, 1), next());
    assert_int_equal(value_of(0x1d9), 0);
}

static void bad_values_are_refused(void **state)
{
    static const struct {
        uint32_t index;
        uint64_t value;
    } rows[] = {
        {0xc0000082, BIT(47)},
        {0xc0000083, BIT(63)},
        {0xc0000100, BIT(47)},
        {0xc0000101, BIT(48)},
        {0xc0000102, BIT(62)},
        {0x175, BIT(47)},
        {0x176, BIT(47)},
        {0xc0000084, BIT(32)},
        {0xc0000103, BIT(32)},
        {0x277, 2},
        {0x277, BIT(63)},
        {0x1d9, BIT(2)},
        {0x1d9, BIT(6)},
        {0x1d9, BIT(11)},
        {0x1db, 0},
        {0x1de, 1},
        {0x48, 8},
        {0xda0, BIT(8)},
        {0x2ff, 2},
        {0x2ff, BIT(12)},
        {0x200, 7},
        {0x200, BIT(8)},
        {0x200, BIT(40)},
        {0x201, BIT(10)},
        {0x250, 7},
        {0x17a, 16},
        {0x4d0, 2},
        {0x17b, 1},
        {0x400, 1},
        {0x40d, 1},
        {0x40e, 0x1000},
        {0x40f, 1},
        {0x410, 0},
        {0x1a0, BIT(1)},
        {0xfe, 0},
        {0x3a, 5},
        {0x179, 0},
        {0x10a, 0},
        {0xc0000080, BIT(1)},
        {0xc0000080, BIT(12)},
        {0xc0000080, EFER_NXE}, // clears LME while paging is on
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        refused(rows[i].index, rows[i].value);
}

static void constants_describe_the_machine(void **state)
{
    assert_int_equal(value_of(0x3a), 0x100001);
    assert_int_equal(value_of(0xfe), 0x508);
    assert_int_equal(value_of(0x17), 0);
    for (uint32_t index = 0x1db; index <= 0x1de; index++)
        assert_int_equal(value_of(index), 0);
    assert_int_equal(value_of(0x179), 0x9000104);
    assert_int_equal(value_of(0x400), UINT64_MAX);
    assert_int_equal(value_of(0x40d), 0);
    assert_int_equal(value_of(0x8b) >> 32, 0x7fffffff);
    assert_int_equal(value_of(0xce), 20 << 8);
    assert_int_equal(value_of(0x10a), 0x2b);
    assert_int_equal(value_of(0x1a0), 0x1801);
    assert_int_equal(value_of(0x259), 0);
    assert_int_equal(value_of(0x268), UINT64_C(0x0606060606060606));
    assert_int_equal(value_of(0xda0), 0);
    assert_verdict(wrmsr(0x8b, 0), next());
    assert_verdict(wrmsr(0x79, 0x1234), next());
    uint64_t value;
    assert_verdict(rdmsr(0x79, &value), fault_gp(0));
}

static void linear_addresses_are_as_wide_as_the_cpu_can_do(void **state)
{
    const uint64_t wide = UINT64_C(0xff00000000000000), low = UINT64_C(0x00ffffffffffffff);
    refused(0xc0000082, wide);
    fixture.vm.cpuid.linear_width = 57; // whatever CR4.LA57 says
    assert_verdict(wrmsr(0xc0000082, wide), next());
    assert_verdict(wrmsr(0xc0000102, low), next());
    refused(0xc0000082, low + 1);
    refused(0x175, UINT64_C(0xfe00000000000000));
}

static void misc_enable_keeps_its_fixed_bits(void **state)
{
    assert_verdict(wrmsr(0x1a0, BIT(18) | BIT(16)), next());
    assert_int_equal(value_of(0x1a0), 0x1800 | BIT(18) | BIT(16));
    assert_verdict(wrmsr(0x1a0, BIT(7)), next());
    assert_int_equal(value_of(0x1a0), 0x1800);
}

static void efer_follows_the_rules(void **state)
{
    assert_verdict(wrmsr(0xc0000080, EFER_LME | EFER_NXE), next()); // SCE off; LMA stays
    assert_int_equal(VCPU->efer, EFER_LME | EFER_LMA | EFER_NXE);
    assert_int_equal(exit_requests, 0);
    assert_verdict(wrmsr(0xc0000080, EFER_LME), next());
    assert_int_equal(exit_requests, REQUEST_FLUSH_TLB);
    fixture_protected_mode();
    assert_verdict(wrmsr(0xc0000080, EFER_LME | EFER_LMA), next());
    assert_int_equal(VCPU->efer, EFER_LME);
}

static void tsc_adjust_and_the_tsc_move_together(void **state)
{
    VCPU->tsc_offset = (uint64_t)-1000;
    assert_int_equal(value_of(0x10), 2 * NOW);
    assert_verdict(wrmsr(0x3b, 500), next());
    assert_int_equal(exit_dirty, STATE_TSC);
    assert_int_equal(value_of(0x10), 2 * NOW + 500);
    assert_verdict(wrmsr(0x10, 0x123456789abc), next());
    assert_int_equal(value_of(0x10), 0x123456789abc);
    assert_int_equal(value_of(0x3b), 0x123456789abc - 2 * NOW);
}

static void the_local_apic_answers_for_its_own(void **state)
{
    assert_int_equal(value_of(0x1b), APIC_BASE_DEFAULT | APIC_BASE_ENABLE | APIC_BASE_BSP);
    uint64_t value;
    assert_verdict(rdmsr(0x802, &value), fault_gp(0));
    assert_verdict(
        wrmsr(0x1b, APIC_BASE_DEFAULT | APIC_BASE_ENABLE | APIC_BASE_X2APIC | APIC_BASE_BSP),
        next());
    assert_int_equal(value_of(0x802), 0);
    refused(0x1b, BIT(50));
}

static void commands_are_carried_out_before_the_guest_goes_on(void **state)
{
    uint64_t value;
    static const struct {
        uint32_t index, request;
    } rows[] = {{0x49, REQUEST_PREDICTION_BARRIER}, {0x10b, REQUEST_FLUSH_L1D}};
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_verdict(wrmsr(rows[i].index, 1), next());
        assert_int_equal(exit_requests, rows[i].request);
        assert_verdict(wrmsr(rows[i].index, 0), next());
        assert_int_equal(exit_requests, 0);
        refused(rows[i].index, 2);
        assert_verdict(rdmsr(rows[i].index, &value), fault_gp(0));
    }
}

static void hide(uint32_t feature)
{
    struct cpuid_leaves *leaves = &fixture.vm.cpuid.leaves;
    for (unsigned i = 0; i < leaves->count; i++) {
        struct cpuid_leaf *leaf = &leaves->leaf[i];
        uint32_t *const in[] = {&leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx};
        if (leaf->leaf == CPUID_BIT_LEAF(feature) && leaf->subleaf == CPUID_BIT_SUBLEAF(feature))
            *in[CPUID_BIT_IN(feature)] &= ~BIT32(CPUID_BIT_BIT(feature));
    }
    assert_false(cpuid_has(&fixture.vm.cpuid, feature));
    msr_reset(VCPU);
}

// Whether one of them is done, and the other if it exists.
static bool is_there(uint32_t index)
{
    uint64_t value;
    bool can_read = rdmsr(index, &value).kind == VERDICT_NEXT;
    return wrmsr(index, 0).kind == VERDICT_NEXT || can_read;
}

static void features_that_cpuid_hides_have_no_msr(void **state)
{
    static const struct {
        uint32_t feature, first, last;
    } pairs[] = {
        {CPUID_TSC_DEADLINE, 0x6e0, 0x6e0},
        {CPUID_TSC_ADJUST, 0x3b, 0x3b},
        {CPUID_TSC, 0x10, 0x10},
        {CPUID_SEP, 0x174, 0x176},
        {CPUID_PAT, 0x277, 0x277},
        {CPUID_LM, 0xc0000081, 0xc0000084},
        {CPUID_LM, 0xc0000100, 0xc0000102},
        {CPUID_RDTSCP, 0xc0000103, 0xc0000103},
        {CPUID_IBRS, 0x48, 0x49},
        {CPUID_L1D_FLUSH, 0x10b, 0x10b},
        {CPUID_ARCH_CAP, 0x10a, 0x10a},
        {CPUID_XSAVES, 0xda0, 0xda0},
        {CPUID_WAITPKG, 0xe1, 0xe1},
        {CPUID_MTRR, 0xfe, 0xfe},
        {CPUID_MTRR, 0x200, 0x20f},
        {CPUID_MTRR, 0x250, 0x250},
        {CPUID_MTRR, 0x258, 0x259},
        {CPUID_MTRR, 0x268, 0x26f},
        {CPUID_MTRR, 0x2ff, 0x2ff},
        {CPUID_MCE, 0, 1},
        {CPUID_MCA, 0x3a, 0x3a},
        {CPUID_MCA, 0x179, 0x17b},
        {CPUID_MCA, 0x400, 0x40f},
        {CPUID_MCA, 0x4d0, 0x4d0},
        {CPUID_KVM_STEAL_TIME, MSR_KVM_STEAL_TIME, MSR_KVM_STEAL_TIME},
        {CPUID_KVM_PV_EOI, MSR_KVM_PV_EOI, MSR_KVM_PV_EOI},
    };
    uint64_t value;
    for (unsigned i = 0; i < ARRAY_LENGTH(pairs); i++)
        for (uint32_t index = pairs[i].first; index <= pairs[i].last; index++) {
            fixture_init();
            assert_true(is_there(index));
            hide(pairs[i].feature);
            assert_verdict(rdmsr(index, &value), fault_gp(0));
            refused(index, 0);
            assert_int_equal(access_counts_total(&fixture.vm.unknown_msrs), 0); // it is known
        }
}

// What is done at a glance goes on when another such row is hidden.
static void others_do_not_miss_what_is_hidden(void **state)
{
    hide(CPUID_TSC_DEADLINE);
    assert_verdict(wrmsr(0x3b, 500), next());
    assert_int_equal(value_of(0x3b), 500);
    assert_int_equal(value_of(0x1a0), 0x1801);
    hide(CPUID_TSC_ADJUST);
    assert_verdict(wrmsr(0x10, 5), next());
    assert_int_equal(value_of(0x10), 5);
}

static void unknown_msrs_are_counted_and_listed(void **state)
{
    uint64_t value, key, count;
    assert_verdict(rdmsr(0xc1, &value), fault_gp(0));
    refused(0x186, 1);
    assert_int_equal(access_counts_total(&fixture.vm.unknown_msrs), 2);
    unsigned position = 0, listed = 0;
    while (access_counts_next(&fixture.vm.unknown_msrs, &position, &key, &count)) {
        assert_true(key == 0xc1 || key == 0x186);
        assert_int_equal(count, 1);
        listed++;
    }
    assert_int_equal(listed, 2);

    fixture.vm.traits.msr_unknown = MSR_UNKNOWN_IGNORE;
    assert_verdict(rdmsr(0xc1, &value), next());
    assert_int_equal(value, 0);
    assert_verdict(wrmsr(0xc1, 5), next());
    assert_int_equal(access_counts_total(&fixture.vm.unknown_msrs), 4);
}

// What the guest reaches without an exit is the CPU's: a row that is in memory only must not pass.
static void what_passes_through_is_the_cpus(void **state)
{
    unsigned passing = 0;
    for (const struct msr_row *row = msr_rows; row->width != UINT32_MAX; row++) {
        if (!row->pass)
            continue;
        passing++;
        assert_int_equal(row->width, 0);
        assert_false(row->direct_read || row->direct_write || row->constant);
        assert_ptr_equal(msr_find(row->first), row); // for when it is made to exit
    }
    assert_int_equal(passing, 16);
}

// ---- the paravirtual clock ----

struct clock_page {
    uint32_t version, pad;
    uint64_t tsc, time;
    uint32_t mul;
    int8_t shift;
    uint8_t flags, pad2[2];
};

static struct clock_page page_at(uint64_t at)
{
    struct clock_page page;
    memcpy(&page, &fixture.ram[at], sizeof(page));
    return page;
}

// What a guest computes from the page.
static uint64_t guest_time(const struct clock_page *page, uint64_t tsc)
{
    uint64_t ticks = tsc - page->tsc;
    ticks = page->shift < 0 ? ticks >> -page->shift : ticks << page->shift;
    return page->time + (uint64_t)((unsigned __int128)ticks * page->mul >> 32);
}

static void the_clock_page_tells_vm_time(void **state)
{
    static const uint64_t speeds[] = {50000000, 1000000000, 2000000000, 2893202000, 4800000000};
    for (unsigned i = 0; i < ARRAY_LENGTH(speeds); i++) {
        fixture_init();
        clock_init(&fixture.vm.clock, speeds[i], 123456789);
        VCPU->tsc_offset = (uint64_t)-77777;
        assert_verdict(wrmsr(MSR_KVM_SYSTEM_TIME, 0x3000 | 1), next());
        struct clock_page page = page_at(0x3000);
        assert_int_equal(page.version & 1, 0);
        assert_int_not_equal(page.version, 0);
        assert_int_equal(page.flags, 1);
        assert_true(page.mul & BIT32(31));
        for (uint64_t ticks = 0; ticks < UINT64_C(1000000000000); ticks = ticks * 3 + 12345) {
            uint64_t tsc = fixture.vm.clock.epoch + ticks;
            uint64_t ours = clock_ns(&fixture.vm.clock, tsc);
            uint64_t theirs = guest_time(&page, tsc + VCPU->tsc_offset);
            assert_in_range(ours + 4 + ours / BIT(30) - theirs, 0, 8 + ours / BIT(29));
        }
    }
}

static void the_clock_page_is_written_anew_with_a_new_version(void **state)
{
    fixture.ram[0x3000] = 7; // whatever was there, also odd
    assert_verdict(wrmsr(MSR_KVM_SYSTEM_TIME_OLD, 0x3000 | 1), next());
    struct clock_page first = page_at(0x3000);
    assert_int_equal(first.version & 1, 0);
    assert_verdict(wrmsr(0x3b, 1000), next());
    struct clock_page second = page_at(0x3000);
    assert_int_equal(second.tsc, first.tsc + 1000);
    assert_int_equal(second.version & 1, 0);
    assert_true(second.version > first.version);
    assert_int_equal(value_of(MSR_KVM_SYSTEM_TIME), 0x3001);

    assert_verdict(wrmsr(MSR_KVM_SYSTEM_TIME, 0x3000), next()); // off
    assert_verdict(wrmsr(0x3b, 2000), next());
    assert_int_equal(page_at(0x3000).version, second.version);
}

static void clock_pages_must_be_memory(void **state)
{
    refused(MSR_KVM_SYSTEM_TIME, RAM_SIZE | 1);
    refused(MSR_KVM_SYSTEM_TIME, (RAM_SIZE - 16) | 1);
    refused(MSR_KVM_SYSTEM_TIME, UINT64_MAX);
    refused(MSR_KVM_WALL_CLOCK, UINT64_MAX - 3);
    assert_verdict(wrmsr(MSR_KVM_WALL_CLOCK, 0x4000), next());
    uint32_t wall[3];
    memcpy(wall, &fixture.ram[0x4000], sizeof(wall));
    assert_int_equal(wall[0] & 1, 0);
    assert_int_equal(wall[1], 1700000000);
    assert_int_equal(wall[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_hold_what_is_written, set_up),
        cmocka_unit_test_setup(last_branches_are_not_recorded, set_up),
        cmocka_unit_test_setup(bad_values_are_refused, set_up),
        cmocka_unit_test_setup(constants_describe_the_machine, set_up),
        cmocka_unit_test_setup(linear_addresses_are_as_wide_as_the_cpu_can_do, set_up),
        cmocka_unit_test_setup(misc_enable_keeps_its_fixed_bits, set_up),
        cmocka_unit_test_setup(efer_follows_the_rules, set_up),
        cmocka_unit_test_setup(tsc_adjust_and_the_tsc_move_together, set_up),
        cmocka_unit_test_setup(the_local_apic_answers_for_its_own, set_up),
        cmocka_unit_test_setup(commands_are_carried_out_before_the_guest_goes_on, set_up),
        cmocka_unit_test_setup(features_that_cpuid_hides_have_no_msr, set_up),
        cmocka_unit_test_setup(others_do_not_miss_what_is_hidden, set_up),
        cmocka_unit_test_setup(unknown_msrs_are_counted_and_listed, set_up),
        cmocka_unit_test_setup(what_passes_through_is_the_cpus, set_up),
        cmocka_unit_test_setup(the_clock_page_tells_vm_time, set_up),
        cmocka_unit_test_setup(the_clock_page_is_written_anew_with_a_new_version, set_up),
        cmocka_unit_test_setup(clock_pages_must_be_memory, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
