// The local APIC's page in the hands of a CPU that virtualizes it.
#include "tests/unit/apic_cpu.h"
#include "tests/unit/apics.h"
#include "vm/event.h"
#include "tests/ram.h"

static struct vcpu *const cpu = &vcpus[0];
static struct lapic *const apic = &vcpus[0].lapic;

static uint32_t status; // the guest interrupt status

static uint32_t hand_over(void)
{
    return lapic_hand_over(cpu, &status);
}

static void what_is_pending_is_the_cpus(void **state)
{
    status = 0xdead;
    lapic_raise(cpu, 0x41);
    lapic_post(cpu, 0x62, false);
    assert_int_equal(hand_over(), 0xff);
    assert_int_equal(status, 0x62);
    lapic_post(cpu, 0x53, false);
    lapic_raise(cpu, 0x71);
    assert_int_equal(hand_over(), BIT32(2) | BIT32(3));
    assert_int_equal(status, 0x71);
    assert_int_equal(hand_over(), 0);
    assert_int_equal(cpu_delivers(apic, &status), 0x71);
    assert_int_equal(cpu_delivers(apic, &status), -1);
    cpu_ends(apic, &status);
    assert_int_equal(cpu_delivers(apic, &status), 0x62);
    // A lower one must not hide what is requested already, nor what is in service.
    lapic_raise(cpu, 0x31);
    assert_int_equal(hand_over(), BIT32(1));
    assert_int_equal(status, 0x6253);
}

static void software_goes_on_where_the_cpu_was(void **state)
{
    lapic_raise(cpu, 0x41);
    lapic_raise(cpu, 0x62);
    hand_over();
    assert_int_equal(cpu_delivers(apic, &status), 0x62);
    take_requests(cpu);
    lapic_settle(cpu);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    assert_int_equal(apic->in_service, 0x62);
    assert_int_equal(lapic_ppr(cpu), 0x60);
    assert_int_equal(lapic_pending(cpu), -1);
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x41);
    // ... and the CPU where software was.
    lapic_raise(cpu, 0x42);
    lapic_raise(cpu, 0x99);
    assert_int_equal(hand_over(), 0xff);
    assert_int_equal(status, 0x4199);
    assert_int_equal(cpu_delivers(apic, &status), 0x99);
    cpu_ends(apic, &status);
    cpu_ends(apic, &status);
    assert_int_equal(cpu_delivers(apic, &status), 0x42);
}

static void registers_read_true_meanwhile(void **state)
{
    lapic_raise(cpu, 0x41);
    hand_over();
    assert_int_equal(cpu_delivers(apic, &status), 0x41);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0x40);
    hand_over();
    mmio_write(cpu, LAPIC_EOI, 0); // by an instruction that the CPU left to the emulator
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x20), 0);
    hand_over();
    assert_int_equal(status, 0);
}

static void a_reset_leaves_nothing_to_the_cpu(void **state)
{
    lapic_raise(cpu, 0x41);
    lapic_raise(cpu, 0x43);
    hand_over();
    assert_int_equal(cpu_delivers(apic, &status), 0x43);
    lapic_reset(cpu, true);
    assert_int_equal(hand_over(), 0xff);
    assert_int_equal(status, 0);
}

static void only_other_events_are_chosen(void **state)
{
    cpu->rflags |= RFLAGS_IF;
    lapic_raise(cpu, 0x41);
    hand_over();
    lapic_post(cpu, 0x52, false); // between the two: the next time
    event_choose_other(cpu);
    struct entry_plan plan = cpu->events.plan;
    assert_int_equal(plan.inject.info, 0);
    assert_false(plan.interrupt_window);
    assert_int_equal(lapic_get(apic, LAPIC_ISR + 0x20), 0);
    cpu->events.nmi_queued = 1;
    event_choose_other(cpu);
    assert_int_equal(cpu->events.plan.inject.info & EVENT_VECTOR, VECTOR_NMI);
    hand_over();
    assert_int_equal(status, 0x52);
}

static void a_halted_one_wakes_by_what_the_cpu_would_deliver(void **state)
{
    cpu->activity = ACTIVITY_HALTED;
    cpu->rflags |= RFLAGS_IF;
    lapic_raise(cpu, 0x41);
    hand_over();
    assert_int_equal(cpu_delivers(apic, &status), 0x41);
    take_requests(cpu);
    assert_false(event_wakes(cpu));
    assert_int_equal(take_requests(cpu), 0); // it sleeps on
    lapic_raise(cpu, 0x45);                  // of the same class
    assert_false(event_wakes(cpu));
    lapic_post(cpu, 0x51, false);
    assert_true(event_wakes(cpu));
    hand_over();
    assert_int_equal(status, 0x4151);
}

static unsigned broadcasts[256];

static void count_broadcast(void *ioapic, uint8_t vector)
{
    broadcasts[vector]++;
}

static void the_end_of_a_level_is_told(void **state)
{
    vm.irqchip.ioapic_eoi = count_broadcast;
    lapic_post(cpu, 0x44, true);
    assert_int_equal(atomic_load(&apic->page->posted.request[2]), 0);
    hand_over();
    assert_int_equal(status, 0x44);
    assert_int_equal(lapic_get(apic, LAPIC_TMR + 0x20), BIT32(4));
    assert_int_equal(cpu_delivers(apic, &status), 0x44);
    cpu_ends(apic, &status);
    lapic_ended(cpu, 0x44);
    lapic_ended(cpu, 0x45);
    assert_int_equal(broadcasts[0x44], 1);
    assert_int_equal(broadcasts[0x45], 0);
    lapic_raise(cpu, 0x44); // now by an edge: the group has changed
    assert_int_equal(hand_over(), BIT32(2));
    assert_int_equal(lapic_get(apic, LAPIC_TMR + 0x20), 0);
}

static void no_eoi_in_memory_while_the_isr_can_be_read(void **state)
{
    static uint8_t ram[PAGE_SIZE];
    ram_is(&vm.memory, ram, sizeof(ram));
    assert_true(lapic_set_eoi_flag(cpu, 8 | 1));
    apic->read_by_cpu = true;
    lapic_raise(cpu, 0x41);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(ram[8], 0);
    lapic_eoi(cpu);
    apic->read_by_cpu = false;
    lapic_raise(cpu, 0x41);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(ram[8], 1);
    // Ended in memory: the CPU must not find it in service.
    ram[8] = 0;
    hand_over();
    assert_int_equal(status, 0);
}

// ---- writes that the CPU has done ----

static void written(unsigned offset, uint32_t value, uint64_t now)
{
    lapic_set(apic, offset, value); // all 32 bits, as the guest gave them
    lapic_written(cpu, offset, now);
}

static void a_write_is_completed(void **state)
{
    written(LAPIC_ID, 0xff000000, 0);
    assert_int_equal(lapic_get(apic, LAPIC_ID), 0);
    written(LAPIC_LDR, 0x04ffffff, 0);
    assert_int_equal(lapic_get(apic, LAPIC_LDR), 0x04000000);
    written(LAPIC_DFR, 0, 0);
    assert_int_equal(lapic_get(apic, LAPIC_DFR), 0x0fffffff);
    written(LAPIC_LVT_LINT1, UINT32_MAX, 0);
    assert_int_equal(lapic_get(apic, LAPIC_LVT_LINT1), 0x1a7ff);
    lapic_error(cpu, LAPIC_ERROR_SEND_VECTOR);
    written(LAPIC_ESR, 0x1234, 0);
    assert_int_equal(lapic_get(apic, LAPIC_ESR), LAPIC_ERROR_SEND_VECTOR);
    written(LAPIC_SVR, 0xff, 0);
    assert_true(lapic_get(apic, LAPIC_LVT_LINT1) & LVT_MASKED);
    written(LAPIC_SVR, 0x1ff, 0);
    lapic_set(apic, LAPIC_ICR_HIGH, 1U << 24);
    written(LAPIC_ICR, 0x77, 0);
    assert_int_equal(take_vector(&vcpus[1]), 0x77);
    lapic_written(cpu, 0xff0, 0); // nothing is there
}

static void the_timer_knows_what_was_before(void **state)
{
    written(LAPIC_DIVIDE, 0xb, 0);
    written(LAPIC_LVT_TIMER, 0x20081, 0); // periodic
    written(LAPIC_INITIAL_COUNT, 100000, 0);
    assert_int_equal(cpu->lapic.deadline, 100000);
    // Due while the old entry stood: it comes by the old vector.
    written(LAPIC_LVT_TIMER, 0x20082, 150000);
    assert_int_equal(lapic_get(apic, LAPIC_LVT_TIMER), 0x20082);
    assert_int_equal(take_vector(cpu), 0x81);
    assert_int_equal(cpu->lapic.deadline, 200000);
    written(LAPIC_DIVIDE, 0x0, 160000); // half as fast: 40,000 counts are left
    assert_int_equal(cpu->lapic.deadline, 240000);
    assert_int_equal(lapic_get(apic, LAPIC_DIVIDE), 0);
    written(LAPIC_LVT_TIMER, 0x40082, 170000); // TSC deadline: it stops
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

static void what_may_be_read_in_the_page(void **state)
{
    static const uint8_t never[] = {0x00, 0x09, 0x0b, 0x0e, 0x31, 0x39, 0x3f, 0x40, 0xff};
    static const uint8_t always[] = {0x02, 0x08, 0x0d, 0x0f, 0x18, 0x27, 0x30, 0x35, 0x38, 0x3e};
    static const uint8_t delivering[] = {0x0a, 0x10, 0x17};
    for (unsigned i = 0; i < ARRAY_LENGTH(never); i++)
        assert_false(lapic_may_read_page(never[i], true));
    for (unsigned i = 0; i < ARRAY_LENGTH(always); i++)
        assert_true(lapic_may_read_page(always[i], false));
    for (unsigned i = 0; i < ARRAY_LENGTH(delivering); i++) {
        assert_true(lapic_may_read_page(delivering[i], true));
        assert_false(lapic_may_read_page(delivering[i], false));
    }
}

// ---- posted interrupts ----

static unsigned notified, spared;

static void count_notification(struct vcpu *vcpu, bool outstanding)
{
    assert_true(vcpu->requests & REQUEST_EVENT);
    outstanding ? spared++ : notified++;
}

static int posting_vm(void **state)
{
    static const struct vm_host host = {.kick = count_kick, .notify = count_notification};
    enabled_vm(state);
    vm.host = &host;
    notified = spared = 0;
    atomic_store(&apic->posts_notify, true);
    hand_over();
    return 0;
}

static void a_post_needs_no_exit(void **state)
{
    lapic_post(cpu, 0x41, false);
    lapic_post(cpu, 0xe2, false);
    assert_int_equal(notified, 1);
    assert_int_equal(spared, 1);
    assert_int_equal(kicks[0], 0);
    cpu_takes_posted(apic, &status);
    assert_int_equal(cpu_delivers(apic, &status), 0xe2);
    lapic_post(cpu, 0x42, false);
    assert_int_equal(notified, 2);
    // It left the guest before the notification came: software finds them all.
    assert_int_equal(hand_over(), BIT32(2));
    assert_int_equal(status, 0xe242);
    assert_int_equal(atomic_load(&apic->page->posted.control), 0);
    lapic_post(cpu, 0x43, false);
    assert_int_equal(notified, 3);
}

static void a_level_is_not_for_the_descriptor(void **state)
{
    lapic_post(cpu, 0x44, true);
    assert_int_equal(notified + spared, 0);
    assert_int_equal(kicks[0], 1);
    cpu_takes_posted(apic, &status);
    assert_int_equal(status, 0);
    hand_over();
    assert_int_equal(status, 0x44);
}

static void the_mark_goes_even_if_nothing_is_there(void **state)
{
    lapic_post(cpu, 0x44, false);
    lapic_take_posted(cpu); // taken meanwhile: the mark is set behind it
    assert_true(atomic_load(&apic->page->posted.control) & POSTED_OUTSTANDING);
    hand_over();
    assert_int_equal(atomic_load(&apic->page->posted.control), 0);
    assert_int_equal(status, 0x44);
}

int main(void)
{
#define ENABLED(test) cmocka_unit_test_setup(test, enabled_vm)
#define POSTING(test) cmocka_unit_test_setup(test, posting_vm)
    const struct CMUnitTest tests[] = {
        ENABLED(what_is_pending_is_the_cpus),
        ENABLED(software_goes_on_where_the_cpu_was),
        ENABLED(registers_read_true_meanwhile),
        ENABLED(a_reset_leaves_nothing_to_the_cpu),
        ENABLED(only_other_events_are_chosen),
        ENABLED(a_halted_one_wakes_by_what_the_cpu_would_deliver),
        ENABLED(the_end_of_a_level_is_told),
        ENABLED(no_eoi_in_memory_while_the_isr_can_be_read),
        ENABLED(a_write_is_completed),
        ENABLED(the_timer_knows_what_was_before),
        ENABLED(what_may_be_read_in_the_page),
        POSTING(a_post_needs_no_exit),
        POSTING(a_level_is_not_for_the_descriptor),
        POSTING(the_mark_goes_even_if_nothing_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
