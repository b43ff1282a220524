// The local APIC's way of an interrupt: priorities, TPR, posting, trigger modes, EOI. Its registers
// are in test_lapic.c.
#include "tests/unit/apics.h"

static struct vcpu *const cpu = &vcpus[0];
static struct lapic *const apic = &vcpus[0].lapic;

// ---- priorities ----

static void the_highest_class_first(void **state)
{
    lapic_post(cpu, 0x31, false);
    lapic_post(cpu, 0xef, false);
    lapic_post(cpu, 0x3a, false);
    assert_int_equal(take_vector(cpu), 0xef);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0xe0);
    assert_int_equal(take_vector(cpu), -1);
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x3a);
    assert_int_equal(take_vector(cpu), -1); // 31 is of the same class
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x31);
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), -1);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0);
}

static void higher_classes_nest(void **state)
{
    lapic_post(cpu, 0x31, false);
    assert_int_equal(take_vector(cpu), 0x31);
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x10), BIT32(0x11));
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x20), BIT32(1));
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_ISR + 0x20), 0);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0x30);
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0);
}

static void every_vector_can_come(void **state)
{
    for (unsigned vector = 16; vector < 256; vector++) {
        lapic_post(cpu, (uint8_t)vector, false);
        assert_int_equal(take_vector(cpu), vector);
        assert_int_equal(mmio_read(cpu, LAPIC_ISR + vector / 32 * 16), BIT32(vector % 32));
        lapic_eoi(cpu);
        assert_int_equal(apic->isr_groups, 0);
        assert_int_equal(apic->irr_groups, 0);
    }
}

static void task_priority(void **state)
{
    for (unsigned tpr = 0; tpr < 256; tpr++) {
        lapic_set_tpr(cpu, (uint8_t)tpr);
        assert_int_equal(lapic_tpr(cpu), tpr);
        assert_int_equal(mmio_read(cpu, LAPIC_PPR), tpr);
        lapic_post(cpu, 0x85, false);
        assert_int_equal(lapic_pending(cpu), tpr < 0x80 ? 0x85 : -1);
        assert_int_equal(lapic_tpr_threshold(cpu), tpr < 0x80 ? 0 : 8);
    }
    lapic_set_tpr(cpu, 0);
    assert_int_equal(take_vector(cpu), 0x85);
    lapic_set_tpr(cpu, 0x23);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0x80); // the class in service is higher
    lapic_set_tpr(cpu, 0x83);
    assert_int_equal(mmio_read(cpu, LAPIC_PPR), 0x83);
}

// With the TPR shadow the guest's TPR changes in the page alone.
static void priority_follows_the_page(void **state)
{
    lapic_post(cpu, 0x55, false);
    pages[0].word[LAPIC_TPR / 4] = 0x60;
    assert_int_equal(lapic_pending(cpu), -1);
    assert_int_equal(lapic_tpr_threshold(cpu), 5);
    pages[0].word[LAPIC_TPR / 4] = 0x40;
    assert_int_equal(take_vector(cpu), 0x55);
    lapic_post(cpu, 0x51, false);
    pages[0].word[LAPIC_TPR / 4] = 0xf0;
    assert_int_equal(lapic_tpr_threshold(cpu), 0); // only an EOI would free it
}

static void changes_that_free_a_vector_are_noted(void **state)
{
    lapic_set_tpr(cpu, 0x70);
    lapic_raise(cpu, 0x65);
    take_requests(cpu);
    lapic_set_tpr(cpu, 0x10);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    assert_int_equal(take_vector(cpu), 0x65);
    lapic_raise(cpu, 0x61);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    lapic_raise(cpu, 0x61); // it waits already
    assert_int_equal(take_requests(cpu), 0);
    lapic_eoi(cpu);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    assert_int_equal(take_vector(cpu), 0x61);
    lapic_eoi(cpu);
    assert_int_equal(take_requests(cpu), 0); // nothing else waits
    assert_int_equal(kicks[0], 0);
}

// ---- posting, trigger modes, EOI ----

static unsigned broadcasts[256];
static void count_eoi(void *ioapic, uint8_t vector)
{
    assert_ptr_equal(ioapic, broadcasts);
    broadcasts[vector]++;
}

static void posting_asks_for_attention(void **state)
{
    lapic_post(&vcpus[2], 0x44, false);
    assert_int_equal(kicks[2], 1);
    assert_int_equal(take_requests(&vcpus[2]), REQUEST_EVENT);
    lapic_post(&vcpus[2], 0x44, false); // the same again: one interrupt
    assert_int_equal(take_vector(&vcpus[2]), 0x44);
    lapic_eoi(&vcpus[2]);
    assert_int_equal(take_vector(&vcpus[2]), -1);
}

static void one_may_wait_while_one_is_in_service(void **state)
{
    lapic_post(cpu, 0x44, false);
    assert_int_equal(take_vector(cpu), 0x44);
    lapic_post(cpu, 0x44, false);
    assert_int_equal(take_vector(cpu), -1);
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), 0x44);
}

static void only_level_interrupts_broadcast_their_eoi(void **state)
{
    memset(broadcasts, 0, sizeof(broadcasts));
    vm.irqchip.ioapic_eoi = count_eoi;
    vm.irqchip.ioapic = broadcasts;
    lapic_post(cpu, 0x44, true);
    lapic_post(cpu, 0x45, false);
    lapic_pending(cpu);
    assert_int_equal(mmio_read(cpu, LAPIC_TMR + 0x20), BIT32(4));
    assert_int_equal(take_vector(cpu), 0x45);
    lapic_eoi(cpu);
    assert_int_equal(broadcasts[0x45], 0);
    assert_int_equal(take_vector(cpu), 0x44);
    assert_int_equal(broadcasts[0x44], 0);
    lapic_eoi(cpu);
    assert_int_equal(broadcasts[0x44], 1);
    lapic_eoi(cpu); // with nothing in service
    assert_int_equal(broadcasts[0x44], 1);
    // The same vector, now by an edge.
    lapic_post(cpu, 0x44, false);
    assert_int_equal(take_vector(cpu), 0x44);
    lapic_eoi(cpu);
    assert_int_equal(broadcasts[0x44], 1);
    assert_int_equal(mmio_read(cpu, LAPIC_TMR + 0x20), 0);
}

int main(void)
{
#define ENABLED(test) cmocka_unit_test_setup(test, enabled_vm)
    const struct CMUnitTest tests[] = {
        ENABLED(the_highest_class_first),
        ENABLED(higher_classes_nest),
        ENABLED(every_vector_can_come),
        ENABLED(task_priority),
        ENABLED(priority_follows_the_page),
        ENABLED(changes_that_free_a_vector_are_noted),
        ENABLED(posting_asks_for_attention),
        ENABLED(one_may_wait_while_one_is_in_service),
        ENABLED(only_level_interrupts_broadcast_their_eoi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
