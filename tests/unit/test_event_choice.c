// Which event an entry injects, which windows it asks for, and what wakes a halted vCPU.
// Interrupted deliveries and exceptions are in test_event.c.
#include "tests/unit/events.h"

// ---- interrupts ----

static void an_interrupt_is_accepted(void **state)
{
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = *choose(cpu);
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
        assert_false(choose(cpu)->interrupt_window);
        lapic_post(cpu, 0x61, false);
        struct entry_plan plan = *choose(cpu);
        assert_int_equal(plan.inject.info, 0);
        assert_true(plan.interrupt_window);
        assert_int_equal(mmio_read(cpu, LAPIC_IRR + 0x30), BIT32(1));
    }
}

// An injection would drop the debug trap that an emulated instruction leaves.
static void a_debug_trap_comes_first(void **state)
{
    cpu->fetched = STATE_FLOW | STATE_DEBUG;
    cpu->pending_debug = PENDING_DEBUG_BS;
    cpu->rflags |= RFLAGS_TF;
    lapic_post(cpu, 0x61, false);
    event_queue_nmi(cpu);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_true(plan.interrupt_window);
    cpu->rflags &= ~RFLAGS_TF; // a step that nobody asked for
    assert_int_equal(choose(cpu)->inject.info, NMI);
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x61));
}

static void masked_priority_asks_for_no_window(void **state)
{
    lapic_set_tpr(cpu, 0x60);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_false(plan.interrupt_window);
    take_requests(cpu);
    lapic_set_tpr(cpu, 0x50);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x61));
}

// Chosen, but a request came before the entry: the choice stands, whatever came with the request.
static void a_withdrawn_choice_comes_first(void **state)
{
    lapic_post(cpu, 0x61, false);
    event_choose(cpu);
    assert_true(event_settle(&cpu->events, true));
    event_queue_nmi(cpu);
    lapic_post(cpu, 0x91, false);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x61));
    assert_true(plan.nmi_window);
    assert_true(plan.interrupt_window);
    assert_false(event_settle(&cpu->events, false));
    assert_int_equal(choose(cpu)->inject.info, NMI);
    assert_true(event_settle(&cpu->events, true));
    assert_int_equal(choose(cpu)->inject.info, NMI);
    assert_true(event_settle(&cpu->events, true));
    cpu->id = 1;
    vcpu_reset(cpu, true); // an INIT takes it away
    assert_int_equal(choose(cpu)->inject.info, 0);
}

// Delivered; then a request that asks for no event, and one that calls the entry off: what was
// delivered before does not come again.
static void a_delivered_choice_is_never_withdrawn(void **state)
{
    lapic_post(cpu, 0x61, false);
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x61));
    assert_false(event_settle(&cpu->events, false));
    assert_false(event_settle(&cpu->events, true));
    assert_int_equal(choose(cpu)->inject.info, 0);
    assert_false(event_settle(&cpu->events, true)); // nothing was planned
    assert_true(event_raise(cpu, VECTOR_GP, true, 0x50));
    assert_int_equal(choose(cpu)->inject.error, 0x50);
    assert_true(event_settle(&cpu->events, true));
    assert_int_equal(choose(cpu)->inject.error, 0x50);
    assert_false(event_settle(&cpu->events, false));
    assert_false(event_settle(&cpu->events, true));
    assert_int_equal(choose(cpu)->inject.info, 0);
}

// ---- NMIs ----

static void nmi_before_interrupt(void **state)
{
    lapic_post(cpu, 0x61, false);
    event_queue_nmi(cpu);
    cpu->interruptibility = BLOCKING_BY_STI;
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    assert_int_equal(cpu->interruptibility, 0); // NMI injection and STI blocking do not go together
    assert_int_equal(cpu->dirty, STATE_FLOW);
}

static void exception_before_nmi_before_interrupt(void **state)
{
    lapic_post(cpu, 0x61, false);
    event_queue_nmi(cpu);
    assert_true(event_raise(cpu, VECTOR_UD, false, 0));
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXCEPTION(6));
    assert_true(plan.interrupt_window);
    assert_true(plan.nmi_window);
    assert_int_equal(choose(cpu)->inject.info, NMI);
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x61));
}

static void blocked_nmis_wait(void **state)
{
    static const uint32_t blocking[] = {BLOCKING_BY_NMI, BLOCKING_BY_MOV_SS};
    for (unsigned i = 0; i < ARRAY_LENGTH(blocking); i++) {
        running_vm(state);
        cpu->interruptibility = blocking[i];
        event_queue_nmi(cpu);
        struct entry_plan plan = *choose(cpu);
        assert_int_equal(plan.inject.info, 0);
        assert_true(plan.nmi_window);
        cpu->interruptibility = 0;
        plan = *choose(cpu);
        assert_int_equal(plan.inject.info, NMI);
        assert_false(plan.nmi_window);
    }
}

static void blocked_nmi_lets_interrupts_pass(void **state)
{
    cpu->interruptibility = BLOCKING_BY_NMI;
    event_queue_nmi(cpu);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x61));
    assert_true(plan.nmi_window);
}

static void one_nmi_waits_behind_another(void **state)
{
    for (unsigned i = 0; i < 5; i++)
        event_queue_nmi(cpu);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.nmi_window);
    plan = *choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_false(plan.nmi_window);
    assert_int_equal(choose(cpu)->inject.info, 0);
}

// While a handler runs there is room for one more, however many it sends.
static void a_handler_leaves_room_for_one_nmi(void **state)
{
    for (unsigned is_virtual = 0; is_virtual < 2; is_virtual++) {
        running_vm(state);
        cpu->events.has_virtual_nmi = is_virtual;
        cpu->rflags &= ~RFLAGS_IF;
        unsigned runs = 0;
        for (unsigned i = 0; i < 2; i++) // two senders
            vcpu_send_nmi(cpu);
        vcpu_take_requests(cpu, take_requests(cpu));
        while (choose(cpu)->inject.info == NMI) {
            cpu->interruptibility |= is_virtual ? BLOCKING_BY_NMI : 0;
            for (unsigned i = 0; i < 10 && runs == 0; i++)
                vcpu_send_nmi(cpu);
            vcpu_take_requests(cpu, take_requests(cpu));
            assert_int_equal(choose(cpu)->inject.info, 0);
            cpu->interruptibility = 0; // its IRET
            cpu->events.nmi_blocked = false;
            runs++;
        }
        assert_int_equal(runs, 2);
    }
}

// Its delivery was interrupted: it is the one that is being taken.
static void a_returned_nmi_leaves_room_for_one(void **state)
{
    for (unsigned i = 0; i < 2; i++) { // by an exit, or by a request before the entry
        event_queue_nmi(cpu);
        assert_int_equal(choose(cpu)->inject.info, NMI);
        assert_int_equal(event_settle(&cpu->events, i == 1), i == 1);
        if (i == 0)
            interrupt_with(NMI, 0, 0);
        for (unsigned j = 0; j < 3; j++)
            event_queue_nmi(cpu);
        assert_int_equal(choose(cpu)->inject.info, NMI);
        assert_int_equal(choose(cpu)->inject.info, NMI);
        assert_int_equal(choose(cpu)->inject.info, 0);
    }
}

// Without virtual NMIs: blocked from the injection until interrupts are open again.
static void nmi_blocking_in_software(void **state)
{
    cpu->events.has_virtual_nmi = false;
    event_queue_nmi(cpu);
    event_queue_nmi(cpu);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, NMI);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    cpu->rflags &= ~RFLAGS_IF; // in the handler
    plan = *choose(cpu);
    assert_int_equal(plan.inject.info, 0);
    assert_true(plan.interrupt_window);
    assert_false(plan.nmi_window);
    cpu->rflags |= RFLAGS_IF; // after its IRET
    assert_int_equal(choose(cpu)->inject.info, NMI);
    cpu->rflags &= ~RFLAGS_IF;
    interrupt_with(NMI, 0, 0); // this one's delivery did not end
    assert_int_equal(choose(cpu)->inject.info, NMI);
    event_queue_nmi(cpu);
    assert_int_equal(choose(cpu)->inject.info, 0);
    cpu->activity = ACTIVITY_HALTED; // no handler halts: it has ended
    assert_true(event_wakes(cpu));
    assert_int_equal(choose(cpu)->inject.info, NMI);
}

// ---- the 8259 ----

static unsigned pic_requests;
static bool pic_pending(void *pic)
{
    return pic_requests > 0;
}
static uint8_t pic_acknowledge(void *pic)
{
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
    assert_int_equal(choose(cpu)->inject.info, 0); // LINT0 is masked
    lapic_virtual_wire(cpu);
    lapic_post(cpu, 0x61, false);
    struct entry_plan plan = *choose(cpu);
    assert_int_equal(plan.inject.info, EXTERNAL(0x30));
    assert_true(plan.interrupt_window);                    // the other waits behind it
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x10), 0); // the APIC keeps no account of it
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x61));
}

static void disabled_apic_takes_the_8259(void **state)
{
    write_ok(cpu, MSR_APIC_BASE, APIC_BASE_DEFAULT | APIC_BASE_BSP);
    assert_int_equal(choose(cpu)->inject.info, EXTERNAL(0x30));
    vcpus[1].rflags |= RFLAGS_IF;
    write_ok(&vcpus[1], MSR_APIC_BASE, APIC_BASE_DEFAULT);
    pic_requests = 1;
    assert_int_equal(choose(&vcpus[1])->inject.info, 0); // the wire ends at vCPU 0
}

static void extint_message_takes_the_8259_once(void **state)
{
    pic_requests = 2;
    struct lapic_message message = {.destination = 1, .mode = DELIVERY_EXTINT};
    assert_true(lapic_deliver(&vm, NULL, &message));
    vcpus[1].rflags |= RFLAGS_IF;
    assert_int_equal(choose(&vcpus[1])->inject.info, EXTERNAL(0x31));
    assert_int_equal(choose(&vcpus[1])->inject.info, 0);
}

// ---- waking ----

static void what_wakes_a_halted_vcpu(void **state)
{
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
    cpu->interruptibility = 0;
    cpu->activity = ACTIVITY_WAIT_FOR_SIPI;
    assert_false(event_wakes(cpu));
}

int main(void)
{
#define RUNNING(test) cmocka_unit_test_setup(test, running_vm)
#define PIC(test)     cmocka_unit_test_setup(test, pic_vm)
    const struct CMUnitTest tests[] = {
        RUNNING(an_interrupt_is_accepted),
        RUNNING(closed_interrupts_ask_for_a_window),
        RUNNING(a_debug_trap_comes_first),
        RUNNING(masked_priority_asks_for_no_window),
        RUNNING(a_withdrawn_choice_comes_first),
        RUNNING(a_delivered_choice_is_never_withdrawn),
        RUNNING(nmi_before_interrupt),
        RUNNING(exception_before_nmi_before_interrupt),
        RUNNING(blocked_nmis_wait),
        RUNNING(blocked_nmi_lets_interrupts_pass),
        RUNNING(one_nmi_waits_behind_another),
        RUNNING(a_handler_leaves_room_for_one_nmi),
        RUNNING(a_returned_nmi_leaves_room_for_one),
        RUNNING(nmi_blocking_in_software),
        PIC(virtual_wire_delivers_the_8259),
        PIC(disabled_apic_takes_the_8259),
        PIC(extint_message_takes_the_8259_once),
        RUNNING(what_wakes_a_halted_vcpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
