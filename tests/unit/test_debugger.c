// vm/debugger.c as the exits of a debugged vCPU use it: what is the debugger's, and what the
// guest's own.
#include "tests/unit/exit_support.h"

#include "vm/debugger.h"

#define AT      UINT64_C(0x1000)
#define DR_READ BIT(4)
#define INFO_BP (EVENT_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | VECTOR_BP)
#define INFO_DB (EVENT_VALID | EVENT_EXCEPTION << 8 | VECTOR_DB)

static struct debugger debugger;
static unsigned stopped;

static void note_stop(struct vm *vm)
{
    assert_ptr_equal(vm, &fixture.vm);
    stopped++;
}

static const struct vm_host host = {.debug_stop = note_stop};

static int set_up(void **state)
{
    fixture_protected_mode();
    stopped = 0;
    fixture.vm.host = &host;
    fixture.vm.vcpu[0] = VCPU;
    fixture.vm.vcpu_count = 1;
    VCPU->dr7 = 0x400;
    debugger_attach(&debugger, &fixture.vm);
    VCPU->rip = AT;
    return 0;
}

static void insert(enum debug_kind kind, uint64_t length)
{
    assert_int_equal(debugger_insert(&debugger, VCPU, kind, AT, length), STATUS_OK);
    VCPU->dirty &= STATE_STICKY;
    VCPU->requests = 0;
}

#define STOPS CHANGED(activity), CHANGED(requests), CHANGED(dirty)

static void an_int3_of_the_debuggers_stops_and_another_is_reflected(void **state)
{
    struct exit exit = {
        .reason = EXIT_EXCEPTION_NMI, .interruption_info = INFO_BP, .instruction_length = 1};
    insert(DEBUG_IN_MEMORY, 1);
    assert_verdict(exit_run(&exit, STOPS), again());
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_SOFTWARE);
    assert_int_equal(VCPU->activity, ACTIVITY_STOPPED);
    assert_int_equal(VCPU->events.pending.info, 0);
    assert_int_equal(stopped, 1);
    debugger_go(VCPU, DEBUG_RUN);
    assert_int_equal(VCPU->activity, ACTIVITY_ACTIVE);
    VCPU->rip = AT + 1;
    VCPU->requests = VCPU->dirty = 0;
    assert_verdict(exit_run(&exit, CHANGED(events), CHANGED(requests)), again());
    assert_int_equal(VCPU->events.pending.info, INFO_BP);
    assert_int_equal(stopped, 1);
}

static void a_breakpoint_is_found_where_the_segment_begins(void **state)
{
    struct exit exit = {.reason = EXIT_EXCEPTION_NMI, .interruption_info = INFO_BP};
    fixture_real_mode();
    VCPU->debugged = &debugger.vcpu[0];
    VCPU->segment[CS].base = 0xff0;
    VCPU->rip = 0x10;
    insert(DEBUG_IN_MEMORY, 1);
    assert_verdict(exit_run(&exit, STOPS), again());
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_SOFTWARE);
}

static void a_db_of_the_debuggers_stops_and_leaves_the_guests_registers(void **state)
{
    struct exit exit = {
        .reason = EXIT_EXCEPTION_NMI, .interruption_info = INFO_DB, .qualification = BIT(0)};
    VCPU->dr6 = 0xffff0ff0;
    insert(DEBUG_ON_WRITE, 4);
    assert_verdict(exit_run(&exit, STOPS, CHANGED(pending_debug)), again());
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_WRITE);
    assert_int_equal(debugger.vcpu[0].address, AT);
    assert_int_equal(VCPU->dr6, 0xffff0ff0);
    assert_int_equal(VCPU->pending_debug, 0);
}

static void a_step_of_the_guests_own_is_reflected(void **state)
{
    struct exit exit = {
        .reason = EXIT_EXCEPTION_NMI, .interruption_info = INFO_DB, .qualification = BIT(14)};
    insert(DEBUG_ON_WRITE, 4);
    debugger.vcpu[0].guests.dr7 |= BIT(13);
    exit_run(&exit, CHANGED(events), CHANGED(requests), CHANGED(dirty), CHANGED(dr6),
             CHANGED(debugctl), CHANGED(pending_debug));
    assert_int_equal(VCPU->events.pending.info, INFO_DB);
    assert_int_equal(debugger.vcpu[0].guests.dr7 & BIT(13), 0); // GD
    assert_int_equal(stopped, 0);
}

static void mov_dr_reaches_the_guests_registers(void **state)
{
    struct exit exit = {.reason = EXIT_MOV_DR, .qualification = 1 | RBX << 8};
    VCPU->dr[1] = 0x55;
    insert(DEBUG_EXECUTE, 1);
    uint64_t ours = VCPU->dr7;
    VCPU->gpr[RBX] = 0x66;
    assert_verdict(exit_run(&exit, CHANGED(dirty)), next());
    assert_int_equal(debugger.vcpu[0].guests.dr[1], 0x66);
    VCPU->gpr[RBX] = 0x403;
    exit.qualification = 7 | RBX << 8;
    assert_verdict(exit_run(&exit, CHANGED(dirty)), next());
    assert_int_equal(debugger.vcpu[0].guests.dr7, 0x403);
    assert_int_equal(VCPU->dr7, ours);
    VCPU->gpr[RBX] = 0;
    exit.qualification |= DR_READ;
    assert_verdict(exit_run(&exit, CHANGED(dirty), CHANGED(gpr)), next());
    assert_int_equal(VCPU->gpr[RBX], 0x403);
    assert_int_equal(debugger_remove(&debugger, DEBUG_EXECUTE, AT, 1), STATUS_OK);
    assert_int_equal(VCPU->dr7, 0x403);
    assert_int_equal(VCPU->dr[1], 0x66);
}

static void a_reset_leaves_the_debuggers_breakpoints(void **state)
{
    VCPU->dr[0] = 0x77;
    insert(DEBUG_EXECUTE, 1);
    vcpu_reset(VCPU, true);
    assert_int_equal(VCPU->dr[0], AT);
    assert_true(VCPU->dr7 & BIT(1));
    assert_true(VCPU->requests & REQUEST_DEBUG);
    debugger_detach(&debugger);
    assert_int_equal(VCPU->dr[0], 0);
    assert_int_equal(VCPU->dr7, 0x400);
    assert_null(VCPU->debugged);
}

static void a_monitor_trap_ends_a_step(void **state)
{
    struct exit exit = {.reason = EXIT_MONITOR_TRAP};
    debugger_go(VCPU, DEBUG_STEP);
    assert_int_equal(VCPU->dirty & STATE_STEP, STATE_STEP);
    VCPU->requests = 0;
    assert_verdict(exit_run(&exit, STOPS), again()); // also where it is at the same RIP: JMP $
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_STEPPED);
    assert_false(VCPU->dirty & STATE_STEP);
    assert_true(exit_requests & REQUEST_DEBUG);
    debugger.vcpu[0].stop = DEBUG_RUNS; // one that comes late
    assert_verdict(exit_run(&exit, CHANGED(requests)), again());
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_RUNS);
}

static void a_watched_access_of_a_step_is_told_once(void **state)
{
    struct exit exit = {.reason = EXIT_MONITOR_TRAP};
    insert(DEBUG_ON_ACCESS, 2);
    debugger_go(VCPU, DEBUG_STEP);
    VCPU->pending_debug = PENDING_DEBUG_BREAKPOINT | BIT(0);
    assert_verdict(exit_run(&exit, STOPS, CHANGED(pending_debug)), again());
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_ACCESS);
    assert_int_equal(VCPU->pending_debug, 0);
}

static void no_interrupt_comes_before_a_step_is_done(void **state)
{
    VCPU->fetched = STATE_ALL;
    debugger_go(VCPU, DEBUG_STEP);
    VCPU->rflags = RFLAGS_FIXED | RFLAGS_IF;
    debugged_step(VCPU, false);
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_STI);
    debugged_step(VCPU, true); // an exit that ended nothing
    assert_int_equal(stopped, 0);
    VCPU->interruptibility = 0;
    VCPU->events.pending.info = INFO_DB; // an exception is on its way
    debugged_step(VCPU, true);
    assert_int_equal(VCPU->interruptibility, 0);
    VCPU->events.pending.info = 0;
    VCPU->rflags = RFLAGS_FIXED;
    debugged_step(VCPU, true);
    assert_int_equal(VCPU->interruptibility, 0); // an entry would refuse it
    VCPU->rflags = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF;
    debugged_step(VCPU, true);
    assert_int_equal(VCPU->interruptibility, 0); // it would want a trap pending
    VCPU->activity = ACTIVITY_HALTED;
    VCPU->rip++;
    debugged_step(VCPU, true);
    assert_int_equal(debugger.vcpu[0].stop, DEBUG_STEPPED);
    debugger_go(VCPU, DEBUG_RUN);
    assert_int_equal(VCPU->activity, ACTIVITY_HALTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_int3_of_the_debuggers_stops_and_another_is_reflected, set_up),
        cmocka_unit_test_setup(a_breakpoint_is_found_where_the_segment_begins, set_up),
        cmocka_unit_test_setup(a_db_of_the_debuggers_stops_and_leaves_the_guests_registers, set_up),
        cmocka_unit_test_setup(a_step_of_the_guests_own_is_reflected, set_up),
        cmocka_unit_test_setup(mov_dr_reaches_the_guests_registers, set_up),
        cmocka_unit_test_setup(a_reset_leaves_the_debuggers_breakpoints, set_up),
        cmocka_unit_test_setup(a_monitor_trap_ends_a_step, set_up),
        cmocka_unit_test_setup(a_watched_access_of_a_step_is_told_once, set_up),
        cmocka_unit_test_setup(no_interrupt_comes_before_a_step_is_done, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
