#include "tests/unit/apics.h"

#define EXCEPTION(vector)      (EVENT_VALID | EVENT_EXCEPTION << 8 | (vector))
#define EXCEPTION_CODE(vector) (EXCEPTION(vector) | EVENT_HAS_ERROR)
#define EXTERNAL(vector)       (EVENT_VALID | (vector))
#define NMI                    (EVENT_VALID | EVENT_NMI << 8 | 2)

static struct vcpu *const cpu = &vcpus[0];

// In protected mode with open interrupts; APIC enabled, LINT0 closed.
static int running_vm(void **state)
{
    enabled_vm(state);
    cpu->cr0 |= CR0_PE;
    cpu->rflags |= RFLAGS_IF;
    cpu->dirty = 0;
    return 0;
}

static void interrupt_with(uint32_t info, uint32_t error, uint32_t length)
{
    struct exit exit = {.idt_info = info, .idt_error = error, .instruction_length = length};
    event_take_interrupted(cpu, &exit);
}

// ---- interrupted deliveries ----

static void nothing_interrupted(void **state)
{
    (void)state;
    interrupt_with(EXCEPTION(14) & ~EVENT_VALID, 4, 2);
    struct entry_plan plan = event_choose(cpu);
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
        struct entry_plan plan = event_choose(cpu);
        assert_int_equal(plan.inject.info, cases[i].info);
        assert_int_equal(plan.inject.error, cases[i].error);
        assert_int_equal(plan.inject.length, cases[i].length);
        assert_int_equal(event_choose(cpu).inject.info, 0);
    }
}

static void interrupted_nmi_does_not_block_itself(void **state)
{
    (void)state;
    cpu->interruptibility = BLOCKING_BY_NMI;
    interrupt_with(NMI, 0, 0);
    assert_int_equal(event_choose(cpu).inject.info, NMI);
    assert_int_equal(cpu->interruptibility, 0);
    assert_int_equal(cpu->dirty, STATE_FLOW);
}

static void real_mode_pushes_no_error_code(void **state)
{
    (void)state;
    interrupt_with(EXCEPTION_CODE(13), 0x10, 0);
    assert_int_equal(event_needs(&cpu->events), STATE_FLOW | STATE_CONTROL);
    cpu->cr0 &= ~CR0_PE;
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION(13));
    assert_int_equal(plan.inject.error, 0);
    assert_int_equal(event_needs(&cpu->events), STATE_FLOW);
}

// ---- raised exceptions ----

static void a_raised_exception_goes_in(void **state)
{
    (void)state;
    assert_true(event_raise(cpu, VECTOR_PF, true, 0x15));
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(14));
    assert_int_equal(plan.inject.error, 0x15);
    assert_true(event_raise(cpu, VECTOR_UD, false, 0x15));
    plan = event_choose(cpu);
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
            struct entry_plan plan = event_choose(cpu);
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
        assert_int_equal(event_choose(cpu).inject.info, EXCEPTION_CODE(13));
        assert_int_equal(event_choose(cpu).inject.info, 0); // the instruction will run again
    }
}

static void an_overtaken_interrupt_follows(void **state)
{
    (void)state;
    interrupt_with(EXTERNAL(0x41), 0, 0);
    assert_true(event_raise(cpu, VECTOR_NP, true, 0x20b));
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(11));
    assert_true(plan.interrupt_window);
    cpu->rflags &= ~RFLAGS_IF; // in the handler
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_true(plan.interrupt_window);
    cpu->rflags |= RFLAGS_IF;
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x41));
    assert_false(plan.interrupt_window);
    assert_int_equal(event_choose(cpu).inject.info, 0);
}

static void an_overtaken_nmi_follows(void **state)
{
    (void)state;
    cpu->interruptibility = BLOCKING_BY_NMI;
    interrupt_with(NMI, 0, 0);
    assert_true(event_raise(cpu, VECTOR_GP, true, 0));
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION_CODE(13));
    assert_true(plan.nmi_window);
    assert_int_equal(cpu->interruptibility, 0);
    assert_int_equal(event_choose(cpu).inject.info, NMI);
}

// ---- interrupts ----

static void an_interrupt_is_accepted(void **state)
{
    (void)state;
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x61));
    assert_false(plan.interrupt_window);
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x30), BIT32(1));
    assert_int_equal(mmio_read(cpu, LAPIC_IRR + 0x30), 0);
}

static void closed_interrupts_ask_for_a_window(void **state)
{
    static const struct {
        uint64_t rflags;
        uint32_t blocking;
    } closed[] = {{0, 0}, {RFLAGS_IF, BLOCKING_BY_STI}, {RFLAGS_IF, BLOCKING_BY_MOV_SS}};
    for (unsigned i = 0; i < ARRAY_LENGTH(closed); i++) {
        running_vm(state);
        cpu->rflags = RFLAGS_FIXED | closed[i].rflags;
        cpu->interruptibility = closed[i].blocking;
        assert_false(event_choose(cpu).interrupt_window);
        lapic_post(cpu, 0x61, false);
        struct entry_plan plan = event_choose(cpu);
        assert_int_equal(plan.inject.info, 0);
        assert_true(plan.interrupt_window);
        assert_int_equal(mmio_read(cpu, LAPIC_IRR + 0x30), BIT32(1));
    }
}

static void masked_priority_asks_for_no_window(void **state)
{
    (void)state;
    lapic_set_tpr(cpu, 0x60);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_false(plan.interrupt_window);
    take_requests(cpu);
    lapic_set_tpr(cpu, 0x50);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    assert_int_equal(event_choose(cpu).inject.info, EXTERNAL(0x61));
}

// Chosen, but a request came before the entry: the choice stands, whatever came with the request.
static void a_withdrawn_choice_comes_first(void **state)
{
    (void)state;
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = event_choose(cpu);
    take_requests(cpu);
    event_withdraw(cpu, plan.inject);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    event_queue_nmi(cpu);
    lapic_post(cpu, 0x91, false);
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x61));
    assert_true(plan.nmi_window);
    assert_true(plan.interrupt_window);
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    event_withdraw(cpu, plan.inject);
    assert_int_equal(event_choose(cpu).inject.info, NMI);
    event_withdraw(cpu, plan.inject);
    cpu->id = 1;
    vcpu_reset(cpu, true); // an INIT takes it away
    assert_int_equal(event_choose(cpu).inject.info, 0);
}

// ---- NMIs ----

static void nmi_before_interrupt(void **state)
{
    (void)state;
    lapic_post(cpu, 0x61, false);
    event_queue_nmi(cpu);
    cpu->interruptibility = BLOCKING_BY_STI;
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    assert_int_equal(cpu->interruptibility, 0); // NMI injection and STI blocking do not go together
    assert_int_equal(cpu->dirty, STATE_FLOW);
}

static void exception_before_nmi_before_interrupt(void **state)
{
    (void)state;
    lapic_post(cpu, 0x61, false);
    event_queue_nmi(cpu);
    assert_true(event_raise(cpu, VECTOR_UD, false, 0));
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION(6));
    assert_true(plan.interrupt_window);
    assert_true(plan.nmi_window);
    assert_int_equal(event_choose(cpu).inject.info, NMI);
    assert_int_equal(event_choose(cpu).inject.info, EXTERNAL(0x61));
}

static void blocked_nmis_wait(void **state)
{
    static const uint32_t blocking[] = {BLOCKING_BY_NMI, BLOCKING_BY_MOV_SS};
    for (unsigned i = 0; i < ARRAY_LENGTH(blocking); i++) {
        running_vm(state);
        cpu->interruptibility = blocking[i];
        event_queue_nmi(cpu);
        struct entry_plan plan = event_choose(cpu);
        assert_int_equal(plan.inject.info, 0);
        assert_true(plan.nmi_window);
        cpu->interruptibility = 0;
        plan = event_choose(cpu);
        assert_int_equal(plan.inject.info, NMI);
        assert_false(plan.nmi_window);
    }
}

static void blocked_nmi_lets_interrupts_pass(void **state)
{
    (void)state;
    cpu->interruptibility = BLOCKING_BY_NMI;
    event_queue_nmi(cpu);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x61));
    assert_true(plan.nmi_window);
}

static void one_nmi_waits_behind_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        event_queue_nmi(cpu);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.nmi_window);
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_false(plan.nmi_window);
    assert_int_equal(event_choose(cpu).inject.info, 0);
}

// Without virtual NMIs: blocked from the injection until interrupts are open again.
static void nmi_blocking_in_software(void **state)
{
    (void)state;
    cpu->events.has_virtual_nmi = false;
    event_queue_nmi(cpu);
    event_queue_nmi(cpu);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    cpu->rflags &= ~RFLAGS_IF; // in the handler
    plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    cpu->rflags |= RFLAGS_IF; // after its IRET
    assert_int_equal(event_choose(cpu).inject.info, NMI);
    cpu->rflags &= ~RFLAGS_IF;
    interrupt_with(NMI, 0, 0); // this one's delivery did not end
    assert_int_equal(event_choose(cpu).inject.info, NMI);
    event_queue_nmi(cpu);
    assert_int_equal(event_choose(cpu).inject.info, 0);
}

// ---- the 8259 ----

static unsigned pic_requests;
static bool pic_pending(void *pic)
{
    (void)pic;
    return pic_requests > 0;
}
static uint8_t pic_acknowledge(void *pic)
{
    (void)pic;
    return (uint8_t)(0x30 + --pic_requests);
}

static int pic_vm(void **state)
{
    running_vm(state);
    vm.irqchip.pic_pending = pic_pending;
    vm.irqchip.pic_acknowledge = pic_acknowledge;
    pic_requests = 1;
    return 0;
}

static void virtual_wire_delivers_the_8259(void **state)
{
    (void)state;
    assert_int_equal(event_choose(cpu).inject.info, 0); // LINT0 is masked
    lapic_virtual_wire(cpu);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = event_choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x30));
    assert_true(plan.interrupt_window);                    // the other waits behind it
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x10), 0); // the APIC keeps no account of it
    assert_int_equal(event_choose(cpu).inject.info, EXTERNAL(0x61));
}

static void disabled_apic_takes_the_8259(void **state)
{
    (void)state;
    write_ok(cpu, MSR_APIC_BASE, APIC_BASE_DEFAULT | APIC_BASE_BSP);
    assert_int_equal(event_choose(cpu).inject.info, EXTERNAL(0x30));
    vcpus[1].rflags |= RFLAGS_IF;
    write_ok(&vcpus[1], MSR_APIC_BASE, APIC_BASE_DEFAULT);
    pic_requests = 1;
    assert_int_equal(event_choose(&vcpus[1]).inject.info, 0); // the wire ends at vCPU 0
}

static void extint_message_takes_the_8259_once(void **state)
{
    (void)state;
    pic_requests = 2;
    struct lapic_message message = {.destination = 1, .mode = DELIVERY_EXTINT};
    assert_true(lapic_deliver(&vm, NULL, &message));
    vcpus[1].rflags |= RFLAGS_IF;
    assert_int_equal(event_choose(&vcpus[1]).inject.info, EXTERNAL(0x31));
    assert_int_equal(event_choose(&vcpus[1]).inject.info, 0);
}

// ---- waking ----

static void what_wakes_a_halted_vcpu(void **state)
{
    (void)state;
    cpu->activity = ACTIVITY_HALTED;
    assert_false(event_wakes(cpu));
    cpu->interruptibility = BLOCKING_BY_STI; // STI; HLT
    lapic_post(cpu, 0x61, false);
    assert_true(event_wakes(cpu));
    cpu->rflags &= ~RFLAGS_IF;
    assert_false(event_wakes(cpu));
    event_queue_nmi(cpu);
    assert_true(event_wakes(cpu));
    cpu->interruptibility = BLOCKING_BY_NMI;
    assert_false(event_wakes(cpu));
    vcpu_note(cpu, REQUEST_NMI);
    assert_true(event_wakes(cpu));
    atomic_store(&cpu->requests, REQUEST_INIT);
    assert_true(event_wakes(cpu));
}

static void what_wakes_one_that_waits_for_a_sipi(void **state)
{
    (void)state;
    struct vcpu *waiting = &vcpus[1];
    waiting->rflags |= RFLAGS_IF;
    lapic_post(waiting, 0x61, false);
    vcpu_request(waiting, REQUEST_NMI);
    assert_false(event_wakes(waiting));
    vcpu_request(waiting, REQUEST_SIPI);
    assert_true(event_wakes(waiting));
}

int main(void)
{
#define RUNNING(test) cmocka_unit_test_setup(test, running_vm)
#define PIC(test)     cmocka_unit_test_setup(test, pic_vm)
    const struct CMUnitTest tests[] = {
        RUNNING(nothing_interrupted),
        RUNNING(every_type_goes_in_again),
        RUNNING(interrupted_nmi_does_not_block_itself),
        RUNNING(real_mode_pushes_no_error_code),
        RUNNING(a_raised_exception_goes_in),
        RUNNING(double_fault_table),
        RUNNING(software_interrupts_are_benign),
        RUNNING(an_overtaken_interrupt_follows),
        RUNNING(an_overtaken_nmi_follows),
        RUNNING(an_interrupt_is_accepted),
        RUNNING(closed_interrupts_ask_for_a_window),
        RUNNING(masked_priority_asks_for_no_window),
        RUNNING(a_withdrawn_choice_comes_first),
        RUNNING(nmi_before_interrupt),
        RUNNING(exception_before_nmi_before_interrupt),
        RUNNING(blocked_nmis_wait),
        RUNNING(blocked_nmi_lets_interrupts_pass),
        RUNNING(one_nmi_waits_behind_another),
        RUNNING(nmi_blocking_in_software),
        PIC(virtual_wire_delivers_the_8259),
        PIC(disabled_apic_takes_the_8259),
        PIC(extint_message_takes_the_8259_once),
        RUNNING(what_wakes_a_halted_vcpu),
        RUNNING(what_wakes_one_that_waits_for_a_sipi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
