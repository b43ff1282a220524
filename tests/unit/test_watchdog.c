// vm/watchdog.c: what counts as life, when there is news, and the line that tells it.
#include "tests/unit/apics.h"

#include "vm/watchdog.h"

static struct watchdog dog;

static int set_up(void **state)
{
    fresh_vm(state);
    memset(&dog, 0, sizeof(dog));
    vm.vcpu_count = 2;
    for (unsigned i = 0; i < 2; i++)
        vcpus[i].rip = dog.rip[i] = 0x100000;
    return 0;
}

static void what_it_asks_for_is_life(void **state)
{
    static const uint32_t none[] = {
        EXIT_EXCEPTION_NMI, EXIT_EXTERNAL_INTERRUPT, EXIT_INTERRUPT_WINDOW,
        EXIT_NMI_WINDOW,    EXIT_PREEMPTION_TIMER,   EXIT_PAUSE,
        STATS_OTHER};
    for (unsigned i = 0; i < ARRAY_LENGTH(none); i++) {
        stats_count(&vcpus[1].stats, STATS_AT(none[i]), 5);
        assert_false(watchdog_sees_exits(&dog, &vm));
    }
    static const uint32_t life[] = {EXIT_CPUID, EXIT_HLT, EXIT_IO, EXIT_WRMSR, EXIT_TDCALL};
    for (unsigned i = 0; i < ARRAY_LENGTH(life); i++) {
        stats_count(&vcpus[1].stats, STATS_AT(life[i]), 0);
        assert_true(watchdog_sees_exits(&dog, &vm));
        assert_false(watchdog_sees_exits(&dog, &vm));
    }
}

static void a_rip_that_gets_somewhere_is_life(void **state)
{
    vcpus[1].activity = ACTIVITY_HALTED;
    assert_false(watchdog_sees_progress(&dog, &vm));
    vcpus[0].rip += 128;
    assert_false(watchdog_sees_progress(&dog, &vm)); // a loop
    vcpus[0].rip -= 128;
    assert_false(watchdog_sees_progress(&dog, &vm));
    vcpus[0].rip += 129;
    assert_true(watchdog_sees_progress(&dog, &vm));
    vcpus[0].rip -= 129;
    assert_true(watchdog_sees_progress(&dog, &vm));
    vcpus[1].rip += 4096; // halted: whatever moved it, an exit has shown
    assert_false(watchdog_sees_progress(&dog, &vm));
}

static void news_come_once(void **state)
{
    assert_int_equal(watchdog_note(&dog, true, 3), WATCHDOG_NOTHING);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(watchdog_note(&dog, false, 3), WATCHDOG_NOTHING);
        assert_int_equal(watchdog_note(&dog, false, 3), WATCHDOG_NOTHING);
        assert_int_equal(watchdog_note(&dog, false, 3), WATCHDOG_SILENT);
        assert_int_equal(watchdog_note(&dog, false, 3), WATCHDOG_NOTHING);
        assert_int_equal(watchdog_note(&dog, true, 3), WATCHDOG_BACK);
        assert_int_equal(watchdog_note(&dog, true, 3), WATCHDOG_NOTHING);
    }
    assert_int_equal(watchdog_note(&dog, false, 3), WATCHDOG_NOTHING);
    assert_int_equal(watchdog_note(&dog, true, 3), WATCHDOG_NOTHING); // nobody had worried yet
}

static void the_line_says_where_everybody_is(void **state)
{
    char text[200];
    dog.silent = 10;
    vcpus[0].rflags = RFLAGS_FIXED;
    vcpus[0].activity = ACTIVITY_HALTED;
    watchdog_describe(&dog, &vm, text, sizeof(text));
    assert_string_equal(text,
                        "no sign of life for 10 seconds: vCPU 0 halted with interrupts off at "
                        "0x100000, vCPU 1 waits for a SIPI, at 0x100000");
    vcpus[0].rflags |= RFLAGS_IF;
    vcpus[1].activity = ACTIVITY_ACTIVE;
    watchdog_describe(&dog, &vm, text, sizeof(text));
    assert_string_equal(text, "no sign of life for 10 seconds: vCPU 0 halted at 0x100000, "
                              "vCPU 1 at 0x100000");
    char small[40];
    watchdog_describe(&dog, &vm, small, sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_it_asks_for_is_life, set_up),
        cmocka_unit_test_setup(a_rip_that_gets_somewhere_is_life, set_up),
        cmocka_unit_test_setup(news_come_once, set_up),
        cmocka_unit_test_setup(the_line_says_where_everybody_is, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
