#include "tests/unit/events.h"

// ---- interrupted deliveries ----

static void nothing_interrupted(void **state)
{
    interrupt_with(EXCEPTION(14) & ~EVENT_VALID, 4, 2);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_false(plan.interrupt_window);
    assert_false(plan.nmi_window);
    assert_int_equal(cpu->dirty, 0);
}

static void every_type_goes_in_again(void **state)
{
    static const struct {
        uint32_t info, error, length;
    } cases[] = {
        {EXTERNAL(0x41), 0, 0},
        {NMI, 0, 0},
        {EXCEPTION(6), 0, 0},
        {EXCEPTION_CODE(14), 7, 0},
        {EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x80, 0, 2},
        {EVENT_VALID | EVENT_PRIVILEGED_EXCEPTION << 8 | 1, 0, 1},
        {EVENT_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | 3, 0, 1},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        running_vm(state);
        // Bit 12 is not part of the entry format; the fields that do not belong are left out.
        interrupt_with(cases[i].info | EVENT_UNBLOCKING, cases[i].error ? cases[i].error : 0x55,
                       cases[i].length ? cases[i].length : 9);
        assert_true(take_requests(cpu) & REQUEST_EVENT); // whatever the handler decides
        struct entry_plan plan = *choose(cpu);
        assert_int_equal(plan.inject.info, cases[i].info);
        assert_int_equal(plan.inject.error, cases[i].error);
        assert_int_equal(plan.inject.length, cases[i].length);
        assert_int_equal(choose(cpu)->inject.info, 0);
    }
}

// No event goes in with the shadow of the instruction before, but what MOV SS holds back still
// comes behind INT n and INT1.
static void an_entry_with_an_event_ends_the_shadow(void **state)
{
    static const struct {
        uint32_t info, kept;
    } cases[] = {
        {NMI, 0},
        {EXCEPTION(1), 0},
        {EXCEPTION_CODE(14), 0},
        {EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x80, BLOCKING_BY_MOV_SS},
        {EVENT_VALID | EVENT_PRIVILEGED_EXCEPTION << 8 | 1, BLOCKING_BY_MOV_SS},
        {EVENT_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | 3, 0},
    };
    static const uint32_t shadows[] = {BLOCKING_BY_STI, BLOCKING_BY_MOV_SS};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases) * 2; i++) {
        uint32_t shadow = shadows[i % 2], kept = cases[i / 2].kept & shadow;
        running_vm(state);
        cpu->interruptibility = shadow;
        interrupt_with(cases[i / 2].info, 0, 1);
        assert_int_equal(choose(cpu)->inject.info, cases[i / 2].info);
        assert_int_equal(cpu->interruptibility, kept);
        assert_true(kept || (cpu->dirty & STATE_FLOW));
    }
    running_vm(state);
    cpu->interruptibility = BLOCKING_BY_STI;
    assert_true(event_raise(cpu, VECTOR_DB, false, 0)); // by emulation
    assert_int_equal(choose(cpu)->inject.info, EXCEPTION(1));
    assert_int_equal(cpu->interruptibility, 0);
}

static void interrupted_nmi_does_not_block_itself(void **state)
{
    cpu->interruptibility = BLOCKING_BY_NMI;
    interrupt_with(NMI, 0, 0);
    assert_int_equal(choose(cpu)->inject.info, NMI);
    assert_int_equal(cpu->interruptibility, 0);
    assert_int_equal(cpu->dirty, STATE_FLOW);
}

static void real_mode_pushes_no_error_code(void **state)
{
    interrupt_with(EXCEPTION_CODE(13), 0x10, 0);
    assert_int_equal(event_needs(&cpu->events), STATE_FLOW | STATE_CONTROL);
    cpu->cr0 &= ~CR0_PE;
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION(13));
    assert_int_equal(plan.inject.error, 0);
    assert_int_equal(event_needs(&cpu->events), STATE_FLOW);
}

// ---- raised exceptions ----

static void a_raised_exception_goes_in(void **state)
{
    assert_true(event_raise(cpu, VECTOR_PF, true, 0x15));
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(14));
    assert_int_equal(plan.inject.error, 0x15);
    assert_true(event_raise(cpu, VECTOR_UD, false, 0x15));
    plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION(6));
    assert_int_equal(plan.inject.error, 0);
}

// SDM: "Conditions for Generating a Double Fault". S: the second alone, D: #DF, T: triple fault.
static void double_fault_table(void **state)
{
    static const uint8_t vectors[] = {VECTOR_DB, VECTOR_UD, VECTOR_AC, VECTOR_MC, VECTOR_DE,
                                      VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP, VECTOR_CP,
                                      VECTOR_PF, VECTOR_VE, VECTOR_DF};
    static const char *const expected[] = {
        // second: DB UD AC MC DE TS NP SS GP CP PF VE DF
        "SSSSSSSSSSSSS", // DB
        "SSSSSSSSSSSSS", // UD
        "SSSSSSSSSSSSS", // AC
        "SSSSSSSSSSSSS", // MC
        "SSSSDDDDDDSSS", // DE
        "SSSSDDDDDDSSS", // TS
        "SSSSDDDDDDSSS", // NP
        "SSSSDDDDDDSSS", // SS
        "SSSSDDDDDDSSS", // GP
        "SSSSDDDDDDSSS", // CP
        "SSSSDDDDDDDDS", // PF
        "SSSSDDDDDDDDS", // VE
        "SSSSTTTTTTTTT", // DF
    };
    for (unsigned first = 0; first < ARRAY_LENGTH(vectors); first++)
        for (unsigned second = 0; second < ARRAY_LENGTH(vectors); second++) {
            running_vm(state);
            interrupt_with(EXCEPTION(vectors[first]), 0, 0);
            bool alive = event_raise(cpu, vectors[second], true, 0x33);
            char verdict = expected[first][second];
            assert_int_equal(alive, verdict != 'T');
            if (!alive)
                continue;
            struct entry_plan plan = *choose(cpu);
            assert_int_equal(plan.inject.info,
                             EXCEPTION_CODE(verdict == 'D' ? VECTOR_DF : vectors[second]));
            assert_int_equal(plan.inject.error, verdict == 'D' ? 0 : 0x33);
        }
}

// INT 13 is no #GP: whatever its type, only hardware exceptions are contributory.
static void software_interrupts_are_benign(void **state)
{
    static const enum event_type types[] = {EVENT_SOFTWARE_INTERRUPT, EVENT_PRIVILEGED_EXCEPTION,
                                            EVENT_SOFTWARE_EXCEPTION};
    for (unsigned i = 0; i < ARRAY_LENGTH(types); i++) {
        running_vm(state);
        interrupt_with(EVENT_VALID | (uint32_t)types[i] << 8 | 13, 0, 2);
        assert_true(event_raise(cpu, VECTOR_GP, true, 0x6a));
        assert_int_equal(choose(cpu)->inject.info, EXCEPTION_CODE(13));
        assert_int_equal(choose(cpu)->inject.info, 0); // the instruction will run again
    }
}

static void an_overtaken_interrupt_follows(void **state)
{
    interrupt_with(EXTERNAL(0x41), 0, 0);
    assert_true(event_raise(cpu, VECTOR_NP, true, 0x20b));
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(11));
    assert_true(plan.interrupt_window);
    cpu->rflags &= ~RFLAGS_IF; // in the handler
    plan = *choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_true(plan.interrupt_window);
    cpu->rflags |= RFLAGS_IF;
    plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x41));
    assert_false(plan.interrupt_window);
    assert_int_equal(choose(cpu)->inject.info, 0);
}

static void an_overtaken_nmi_follows(void **state)
{
    cpu->interruptibility = BLOCKING_BY_NMI;
    interrupt_with(NMI, 0, 0);
    assert_true(event_raise(cpu, VECTOR_GP, true, 0));
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(13));
    assert_true(plan.nmi_window);
    assert_int_equal(cpu->interruptibility, 0);
    assert_int_equal(choose(cpu)->inject.info, NMI);
}

static void faults_push_flags_with_rf(void **state)
{
    const uint32_t others = BIT32(VECTOR_DB) | BIT32(VECTOR_NMI) | BIT32(VECTOR_BP) |
                            BIT32(VECTOR_OF) | BIT32(VECTOR_DF) | BIT32(VECTOR_MC) | BIT32(9) |
                            BIT32(15);
    for (unsigned vector = 0; vector <= VECTOR_CP; vector++) {
        running_vm(state);
        assert_true(event_raise(cpu, (uint8_t)vector, false, 0));
        bool is_fault = !(others & BIT32(vector));
        assert_int_equal(cpu->rflags & RFLAGS_RF, is_fault ? RFLAGS_RF : 0);
        assert_int_equal(cpu->dirty, is_fault ? STATE_FLOW : 0);
    }
    running_vm(state);
    interrupt_with(EXCEPTION_CODE(VECTOR_GP), 0, 0);
    assert_true(event_raise(cpu, VECTOR_GP, true, 0)); // #DF is an abort
    assert_int_equal(cpu->rflags & RFLAGS_RF, 0);
}

int main(void)
{
#define RUNNING(test) cmocka_unit_test_setup(test, running_vm)
    const struct CMUnitTest tests[] = {
        RUNNING(nothing_interrupted),
        RUNNING(every_type_goes_in_again),
        RUNNING(an_entry_with_an_event_ends_the_shadow),
        RUNNING(interrupted_nmi_does_not_block_itself),
        RUNNING(real_mode_pushes_no_error_code),
        RUNNING(a_raised_exception_goes_in),
        RUNNING(double_fault_table),
        RUNNING(software_interrupts_are_benign),
        RUNNING(an_overtaken_interrupt_follows),
        RUNNING(an_overtaken_nmi_follows),
        RUNNING(faults_push_flags_with_rf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
