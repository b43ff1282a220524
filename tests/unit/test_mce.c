// Machine checks in a guest: vm/cpu/mce.c, by the exit of one that hit its memory and by what is
// posted.

#include "tests/unit/exit_support.h"

#define PAGE UINT64_C(0x3000)
#define SRAR UINT64_C(0xbd80000000000134) // VAL, UC, EN, MISCV, ADDRV, S, AR; a data load
#define SRAO UINT64_C(0xbd000000000000c0) // without AR; scrubbing
#define OVER BIT(62)
#define RIPV BIT(0)
#define EIPV BIT(1)
#define MCIP BIT(2)
#define LMCE BIT(3)

#define MACHINE_CHECK (EVENT_VALID | EVENT_EXCEPTION << 8 | VECTOR_MC)

static int set_up(void **state)
{
    fixture_init();
    VCPU->cr4 |= CR4_MCE;
    return 0;
}

// What the host's bank told: corrected errors were counted there too.
static verdict_t hit(uint64_t global)
{
    const struct exit exit = {.reason = EXIT_EXCEPTION_NMI, .interruption_info = MACHINE_CHECK};
    VCPU->error = (struct mce_error){SRAR | UINT64_C(3) << 38 | BIT(20), global, gpa(PAGE)};
    return exit_run(&exit, CHANGED(error), CHANGED(events), CHANGED(msr));
}

static uint64_t msr(uint32_t index)
{
    const struct exit exit = {.reason = EXIT_RDMSR};
    VCPU->gpr[RCX] = index;
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX]), CHANGED(gpr[RDX])), next());
    return VCPU->gpr[RDX] << 32 | VCPU->gpr[RAX];
}

static void clear(uint32_t index)
{
    const struct exit exit = {.reason = EXIT_WRMSR};
    VCPU->gpr[RCX] = index;
    VCPU->gpr[RAX] = VCPU->gpr[RDX] = 0;
    assert_verdict(exit_run(&exit, CHANGED(msr)), next());
}

static void it_is_told_what_it_used(void **state)
{
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    assert_int_equal(VCPU->events.pending.info, MACHINE_CHECK);
    assert_int_equal(exit_requests, REQUEST_EVENT);
    assert_int_equal(msr(0x17a), RIPV | EIPV | MCIP);
    assert_int_equal(msr(0x405), SRAR);
    assert_int_equal(msr(0x406), PAGE);
    assert_int_equal(msr(0x407), 2 << 6 | 12);
    assert_int_equal(msr(0x401) | msr(0x409) | msr(0x40d), 0);
}

static void it_is_told_when_there_is_no_way_back(void **state)
{
    assert_verdict(hit(EIPV | MCIP | LMCE), again());
    assert_int_equal(msr(0x17a), EIPV | MCIP); // it did not ask for local ones
}

static void it_clears_them_and_may_meet_another(void **state)
{
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    for (uint32_t i = 0x405; i < 0x408; i++)
        clear(i);
    clear(0x17a);
    assert_int_equal(msr(0x405) | msr(0x406) | msr(0x407) | msr(0x17a), 0);
    VCPU->events.pending.info = 0; // delivered
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    assert_int_equal(msr(0x405), SRAR);
}

static void what_it_left_in_the_bank_is_lost(void **state)
{
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    clear(0x17a);
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    assert_int_equal(msr(0x405), SRAR | OVER);
}

static void one_that_cannot_be_told_ends(void **state)
{
    for (unsigned row = 0; row < 6; row++) {
        set_up(state);
        if (row == 0)
            VCPU->cr4 &= ~CR4_MCE;
        else if (row == 1)
            VCPU->msr.mcg_status = MCIP;
        else if (row == 2)
            clear(0x17b);
        else if (row == 3)
            clear(0x404);
        else if (row == 4)
            fixture.vm.vcpu_count = 2;
        struct msr_state before = VCPU->msr;
        struct events nothing = VCPU->events;
        verdict_t verdict = hit(RIPV | EIPV | MCIP);
        if (row == 5) { // none of it
            assert_verdict(verdict, again());
            continue;
        }
        assert_verdict(verdict, stop(STOP_MACHINE_CHECK, 0));
        assert_memory_equal(&VCPU->msr, &before, sizeof(before));
        assert_memory_equal(&VCPU->events, &nothing, sizeof(nothing));
    }
}

static void one_of_several_vcpus_gets_it_alone(void **state)
{
    fixture.vm.vcpu_count = 2;
    VCPU->msr.mcg_ext_ctl = 1;
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    assert_int_equal(msr(0x17a), RIPV | EIPV | MCIP | LMCE);
}

static void the_hosts_own_ones_are_not_the_guests(void **state)
{
    const struct exit exit = {.reason = EXIT_EXCEPTION_NMI, .interruption_info = MACHINE_CHECK};
    assert_verdict(exit_run(&exit), again());
    assert_int_equal(exit_requests, 0);
}

static void it_goes_before_all_other_events(void **state)
{
    VCPU->events.pending.info = EVENT_VALID | EVENT_EXTERNAL << 8 | 0x41; // its delivery was hit
    event_queue_nmi(VCPU);
    assert_verdict(hit(RIPV | EIPV | MCIP), again());
    VCPU->fetched = STATE_ALL;
    event_choose(VCPU);
    assert_int_equal(VCPU->events.plan.inject.info, MACHINE_CHECK);
    assert_false(event_settle(&VCPU->events, false));
    event_choose(VCPU);
    assert_int_equal(VCPU->events.plan.inject.info, EVENT_VALID | EVENT_NMI << 8 | VECTOR_NMI);
    assert_false(event_settle(&VCPU->events, false));
    VCPU->interruptibility = 0;
    event_choose(VCPU);
    assert_int_equal(VCPU->events.plan.inject.info, EVENT_VALID | EVENT_EXTERNAL << 8 | 0x41);
}

static void memory_that_nobody_used_is_told_too(void **state)
{
    VCPU->activity = ACTIVITY_HALTED;
    VCPU->rflags &= ~RFLAGS_IF;
    mce_post(VCPU, gpa(0x1000));
    mce_post(VCPU, gpa(PAGE));
    assert_int_equal(VCPU->requests, REQUEST_MACHINE_CHECK);
    VCPU->requests = 0;
    vcpu_take_requests(VCPU, REQUEST_MACHINE_CHECK);
    assert_true(event_wakes(VCPU));
    assert_int_equal(VCPU->events.pending.info, MACHINE_CHECK);
    assert_int_equal(msr(0x17a), RIPV | MCIP);
    assert_int_equal(msr(0x405), SRAO);
    assert_int_equal(msr(0x406), PAGE);
    clear(0x17a);
    vcpu_take_requests(VCPU, REQUEST_MACHINE_CHECK); // nothing more
    assert_int_equal(msr(0x17a), 0);
}

static void one_that_cannot_be_told_of_it_goes_on(void **state)
{
    VCPU->cr4 &= ~CR4_MCE;
    mce_post(VCPU, gpa(PAGE));
    vcpu_take_requests(VCPU, REQUEST_MACHINE_CHECK);
    assert_int_equal(VCPU->events.pending.info | msr(0x17a) | msr(0x405), 0);
}

static void banks_survive_init_and_no_reset(void **state)
{
    mce_post(VCPU, gpa(PAGE));
    vcpu_send_init(VCPU);
    vcpu_take_requests(VCPU, VCPU->requests);
    assert_int_equal(VCPU->events.pending.info, 0);
    assert_int_equal(msr(0x405), SRAO);
    assert_int_equal(msr(0x17a), RIPV | MCIP);
    vcpu_reset(VCPU, false);
    assert_int_equal(msr(0x405) | msr(0x406) | msr(0x407) | msr(0x17a), 0);
    assert_int_equal(msr(0x404), UINT64_MAX);
    assert_int_equal(msr(0x17b), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_told_what_it_used, set_up),
        cmocka_unit_test_setup(it_is_told_when_there_is_no_way_back, set_up),
        cmocka_unit_test_setup(it_clears_them_and_may_meet_another, set_up),
        cmocka_unit_test_setup(what_it_left_in_the_bank_is_lost, set_up),
        cmocka_unit_test_setup(one_that_cannot_be_told_ends, set_up),
        cmocka_unit_test_setup(one_of_several_vcpus_gets_it_alone, set_up),
        cmocka_unit_test_setup(the_hosts_own_ones_are_not_the_guests, set_up),
        cmocka_unit_test_setup(it_goes_before_all_other_events, set_up),
        cmocka_unit_test_setup(memory_that_nobody_used_is_told_too, set_up),
        cmocka_unit_test_setup(one_that_cannot_be_told_of_it_goes_on, set_up),
        cmocka_unit_test_setup(banks_survive_init_and_no_reset, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
