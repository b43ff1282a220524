#include "support.h"

#include "drivers/virt/legacy/vpic.h"
#include "vm/apic/lapic_vectors.h"
#include "vm/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static struct vpic pic;
static unsigned kicks;

static void count_kick(struct vcpu *kicked)
{
    assert_ptr_equal(kicked, &vcpu);
    kicks++;
}

static uint8_t in(unsigned port)
{
    struct access access = {.offset = port, .size = 1};
    assert_true(vdev_access(&pic.device, &access));
    return (uint8_t)access.value;
}

static void out(unsigned port, uint8_t value)
{
    struct access access = {.offset = port, .size = 1, .write = true, .value = value};
    assert_true(vdev_access(&pic.device, &access));
}

static void initialise(unsigned port, uint8_t base, uint8_t icw3, uint8_t icw4)
{
    out(port, 0x11);
    out(port + 1, base);
    out(port + 1, icw3);
    out(port + 1, icw4);
}

static int fresh_pic(void **state)
{
    static const struct vm_host host = {.kick = count_kick};
    vcpu.vm = &vm;
    vcpu.requests = 0;
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm_plug(&vm, &pic.device, &vpic_class);
    kicks = 0;
    return 0;
}

static int ready_pic(void **state)
{
    fresh_pic(state);
    initialise(0x20, 0x30, 0x04, 0x01);
    initialise(0xa0, 0x38, 0x02, 0x01);
    return 0;
}

static void pulse(unsigned input)
{
    vpic_set(&pic, input, true);
    vpic_set(&pic, input, false);
}

static void expect_vector(uint8_t vector)
{
    assert_true(vpic_pending(&pic));
    assert_int_equal(vpic_acknowledge(&pic), vector);
}

// A driver looks for a mask register that holds what was written, before it initialises anything.
static void is_probed_before_initialisation(void **state)
{
    out(0xa1, 0xff);
    out(0x21, 0xfb);
    assert_int_equal(in(0x21), 0xfb);
    out(0x21, 0);
    pulse(4);
    assert_false(vpic_pending(&pic));
}

static void edge_is_latched_and_delivered_once(void **state)
{
    pulse(4);
    assert_int_equal(kicks, 1);
    assert_int_equal(vcpu.requests, REQUEST_EVENT);
    assert_int_equal(in(0x20), 0x10);
    expect_vector(0x34);
    assert_false(vpic_pending(&pic));
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x10); // in service
    pulse(4);
    assert_false(vpic_pending(&pic)); // blocked by itself
    out(0x20, 0x20);
    assert_int_equal(in(0x20), 0);
    expect_vector(0x34);
    vpic_set(&pic, 4, true); // it stayed low: a new edge
    vpic_set(&pic, 4, true); // it stayed high: none
    out(0x20, 0x20);
    expect_vector(0x34);
    vpic_set(&pic, 4, true); // nor now
    out(0x20, 0x20);
    assert_false(vpic_pending(&pic));
}

static void slave_comes_through_input_2(void **state)
{
    pulse(8);
    assert_int_equal(in(0x20), 0x04);
    assert_int_equal(in(0xa0), 0x01);
    expect_vector(0x38);
    out(0x20, 0x0b);
    out(0xa0, 0x0b);
    assert_int_equal(in(0x20), 0x04);
    assert_int_equal(in(0xa0), 0x01);
    pulse(12);
    assert_false(vpic_pending(&pic)); // 8 before 12
    pulse(1);
    expect_vector(0x31); // 1 before 2
    out(0x20, 0x61);
    out(0xa0, 0x20);
    assert_false(vpic_pending(&pic)); // master's input 2 is still in service
    out(0x20, 0x62);
    expect_vector(0x3c);
}

static void special_fully_nested_master_lets_the_slave_in(void **state)
{
    initialise(0x20, 0x30, 0x04, 0x11);
    pulse(12);
    expect_vector(0x3c);
    pulse(8);
    expect_vector(0x38);
}

static void mask_and_priorities(void **state)
{
    out(0x21, 0x08);
    pulse(3);
    assert_false(vpic_pending(&pic));
    pulse(7);
    expect_vector(0x37);
    out(0x21, 0);
    expect_vector(0x33); // above 7
    pulse(5);
    assert_false(vpic_pending(&pic));
    out(0x20, 0x20); // ends 3, the highest in service
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x80);
    expect_vector(0x35);
}

static void special_mask_opens_lower_priorities(void **state)
{
    pulse(1);
    expect_vector(0x31);
    pulse(6);
    assert_false(vpic_pending(&pic));
    out(0x20, 0x68);
    assert_false(vpic_pending(&pic));
    out(0x21, 0x02);
    expect_vector(0x36);
    out(0x20, 0x20); // not the masked one
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x02);
    pulse(6);
    out(0x20, 0x48);
    assert_false(vpic_pending(&pic));
}

static void rotation(void **state)
{
    out(0x20, 0xc4); // 4 is the lowest: 5 is the highest
    pulse(0);
    pulse(5);
    expect_vector(0x35);
    out(0x20, 0xa0); // end and rotate: 5 is the lowest now
    pulse(5);
    pulse(6);
    expect_vector(0x36);
    out(0x20, 0xe6); // specific: 6 is the lowest
    expect_vector(0x30);
    out(0x20, 0x20);
    expect_vector(0x35);
    out(0x20, 0x20);
    assert_false(vpic_pending(&pic));
}

static void automatic_end_of_interrupt(void **state)
{
    initialise(0x20, 0x30, 0x04, 0x03);
    pulse(4);
    expect_vector(0x34);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0);
    out(0x20, 0x80); // rotate on it
    pulse(4);
    expect_vector(0x34);
    pulse(4);
    pulse(5);
    expect_vector(0x35);
    expect_vector(0x34);
    out(0x20, 0x00);
    pulse(6);
    expect_vector(0x36);
    pulse(4);
    pulse(7);
    expect_vector(0x37); // 4 stayed the lowest
}

static void level_input_asks_while_high(void **state)
{
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    vpic_set(&pic, 9, true);
    expect_vector(0x39);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect_vector(0x39); // still high
    out(0xa0, 0x20);
    vpic_set(&pic, 9, false);
    out(0x20, 0x20);
    assert_false(vpic_pending(&pic));
    assert_int_equal(in(0xa0), 0);
}

static void request_that_went_away_is_spurious(void **state)
{
    out(0x4d0, 0x20);
    vpic_set(&pic, 5, true);
    vpic_set(&pic, 5, false);
    assert_false(vpic_pending(&pic));
    assert_int_equal(vpic_acknowledge(&pic), 0x37);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0); // nothing in service
}

static void poll_acknowledges(void **state)
{
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0x07);
    pulse(6);
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0x86);
    assert_int_equal(in(0x20), 0); // one read only
    assert_false(vpic_pending(&pic));
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x40);
}

static void icw1_clears(void **state)
{
    out(0x21, 0xff);
    vpic_set(&pic, 3, true);
    out(0x20, 0x13); // single, ICW4 comes
    assert_false(vpic_pending(&pic));
    out(0x21, 0x50);
    out(0x21, 0x01); // no ICW3
    assert_int_equal(in(0x21), 0);
    assert_false(vpic_pending(&pic)); // the old edge is forgotten
    vpic_set(&pic, 3, false);
    vpic_set(&pic, 3, true);
    expect_vector(0x53);
}

static bool takes_nmi(void)
{
    return atomic_exchange(&vcpu.requests, 0) & REQUEST_SIGNAL;
}

// An edge that nobody acknowledges stays latched for the acknowledge cycle, but at LINT0 pins INTR
// falls with the line: the next edge is seen there, too.
static void lint0_sees_each_edge(void **state)
{
    static _Alignas(4096) struct lapic_page page;
    vcpu.lapic.page = &page;
    vcpu.lapic.base = APIC_BASE_ENABLE;
    lapic_set(&vcpu.lapic, LAPIC_LVT_LINT0, 0x400);
    for (unsigned i = 0; i < 3; i++) {
        pulse(0);
        assert_true(takes_nmi());
        assert_true(vpic_pending(&pic));
    }
    pulse(8); // by the slave
    assert_true(takes_nmi());
    vpic_set(&pic, 1, true);
    assert_true(takes_nmi());
    pulse(3); // INTR is high already
    assert_false(takes_nmi());
    vpic_set(&pic, 1, false);
    out(0x21, 0xfe);
    pulse(3);
    assert_false(takes_nmi());
    vcpu.lapic.base = 0;
    pulse(0);
    assert_false(takes_nmi());
    vcpu.lapic = (struct lapic){0};
}

static unsigned takes(uint8_t vector)
{
    unsigned bit = atomic_exchange(&vcpu.lapic.posted_level[vector / 32], 0) >> vector % 32 & 1;
    return bit;
}

// Level-triggered: one interrupt at a time, and another after each EOI while the line is high.
static void a_level_at_lint0_comes_again(void **state)
{
    static _Alignas(4096) struct lapic_page page;
    vcpu.lapic.page = &page;
    vcpu.lapic.base = APIC_BASE_ENABLE;
    vm.irqchip = (struct vm_irqchip){.pic_line = vpic_line, .pic = &pic};
    lapic_set(&vcpu.lapic, LAPIC_SVR, LAPIC_SVR_ENABLE);
    lapic_set(&vcpu.lapic, LAPIC_LVT_LINT0, LVT_LEVEL | 0x41);
    vectors_set(vectors_word(&vcpu.lapic, LAPIC_TMR, 0x41), BIT32(1) | BIT32(2));
    vpic_set(&pic, 1, true);
    assert_int_equal(takes(0x41), 1);
    vpic_set(&pic, 1, false);
    vpic_set(&pic, 1, true); // not ended
    assert_int_equal(takes(0x41), 0);
    lapic_ended(&vcpu, 0x42); // another's
    assert_int_equal(takes(0x41), 0);
    lapic_ended(&vcpu, 0x41);
    assert_int_equal(takes(0x41), 1);
    vpic_set(&pic, 1, false);
    lapic_ended(&vcpu, 0x41);
    assert_int_equal(takes(0x41), 0);
    vpic_set(&pic, 1, true);
    assert_int_equal(takes(0x41), 1);
    lapic_set(&vcpu.lapic, LAPIC_LVT_LINT0, LVT_MASKED | LVT_LEVEL | 0x41);
    lapic_ended(&vcpu, 0x41);
    assert_int_equal(takes(0x41), 0);
    lapic_set(&vcpu.lapic, LAPIC_LVT_LINT0, LVT_LEVEL | 0x42);
    lapic_lint0_look(&vcpu);
    lapic_lint0_look(&vcpu);
    assert_int_equal(takes(0x42), 1);
    lapic_set(&vcpu.lapic, LAPIC_LVT_LINT0, 0x41); // edge
    lapic_ended(&vcpu, 0x42);
    assert_int_equal(takes(0x41), 0);
    vcpu.lapic = (struct lapic){0};
    vm.irqchip = (struct vm_irqchip){0};
}

static void inputs_out_of_range_are_ignored(void **state)
{
    vpic_set(&pic, 2, true);
    vpic_set(&pic, 16, true);
    vpic_set(&pic, ~0U, true);
    assert_false(vpic_pending(&pic));
    assert_int_equal(in(0x20) | in(0xa0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_probed_before_initialisation, fresh_pic),
        cmocka_unit_test_setup(edge_is_latched_and_delivered_once, ready_pic),
        cmocka_unit_test_setup(slave_comes_through_input_2, ready_pic),
        cmocka_unit_test_setup(special_fully_nested_master_lets_the_slave_in, ready_pic),
        cmocka_unit_test_setup(mask_and_priorities, ready_pic),
        cmocka_unit_test_setup(special_mask_opens_lower_priorities, ready_pic),
        cmocka_unit_test_setup(rotation, ready_pic),
        cmocka_unit_test_setup(automatic_end_of_interrupt, ready_pic),
        cmocka_unit_test_setup(level_input_asks_while_high, ready_pic),
        cmocka_unit_test_setup(request_that_went_away_is_spurious, ready_pic),
        cmocka_unit_test_setup(poll_acknowledges, ready_pic),
        cmocka_unit_test_setup(icw1_clears, ready_pic),
        cmocka_unit_test_setup(lint0_sees_each_edge, ready_pic),
        cmocka_unit_test_setup(a_level_at_lint0_comes_again, ready_pic),
        cmocka_unit_test_setup(inputs_out_of_range_are_ignored, ready_pic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
