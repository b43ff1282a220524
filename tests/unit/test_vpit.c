#include "support.h"

#include "drivers/virt/legacy/frequency.h"
#include "drivers/virt/legacy/vpit.h"
#include "vm/vm.h"

static struct vm vm;
static struct vpit pit;
static uint64_t now;
static unsigned edges;
static bool irq;

static void see_irq(void *controller, unsigned input, bool level)
{
    edges += level && !irq;
    irq = level;
}

static int fresh_pit(void **state)
{
    vm.deadlines = (struct deadlines){.first = NEVER};
    vm_plug(&vm, &pit.device, &vpit_class);
    pit.irq.set = see_irq;
    irq = true;
    edges = 0;
    now = 5000000000;
    return 0;
}

static uint8_t in(unsigned port)
{
    struct access access = {.offset = port, .size = 1, .now = now};
    assert_true(vdev_access(&pit.device, &access));
    return (uint8_t)access.value;
}

static void out(unsigned port, uint8_t value)
{
    struct access access = {.offset = port, .size = 1, .now = now, .write = true, .value = value};
    assert_true(vdev_access(&pit.device, &access));
}

static unsigned in_count(unsigned channel)
{
    unsigned low = in(0x40 + channel);
    return low | (unsigned)in(0x40 + channel) << 8;
}

static void out_count(unsigned channel, unsigned count)
{
    out(0x40 + channel, (uint8_t)count);
    out(0x40 + channel, (uint8_t)(count >> 8));
}

// Moves time on by clocks of the chip. It begins on a whole second, so that nothing is rounded
// twice.
static void pass(uint64_t clocks)
{
    now = ns_at(clocks_at(now, PIT_HZ) + clocks, PIT_HZ);
}

static bool out2(void)
{
    return in(0x61) & 0x20;
}

static void conversion_is_exact(void **state)
{
    for (uint64_t clocks = 0; clocks < 3000000; clocks += 37) {
        uint64_t ns = ns_at(clocks, PIT_HZ);
        assert_int_equal(clocks_at(ns, PIT_HZ), clocks);
        if (ns)
            assert_int_equal(clocks_at(ns - 1, PIT_HZ), clocks - 1);
    }
    assert_int_equal(clocks_at(NS_PER_SECOND * 86400 * 365 * 100, PIT_HZ),
                     (uint64_t)PIT_HZ * 86400 * 365 * 100);
}

static void mode_0_counts_once_and_interrupts(void **state)
{
    out(0x43, 0x30);
    assert_false(irq);
    out(0x40, 0xe8);
    assert_int_equal(pit.device.class->deadline(&pit.device), NEVER); // half a count
    out(0x40, 0x03);
    assert_int_equal(in_count(0), 1000);
    uint64_t due = pit.device.class->deadline(&pit.device);
    assert_int_equal(clocks_at(due, PIT_HZ), 5 * PIT_HZ + 1000);
    assert_int_equal(clocks_at(due - 1, PIT_HZ), 5 * PIT_HZ + 999);
    assert_int_equal(vm.deadlines.first, due);
    pass(400);
    assert_int_equal(in_count(0), 600);
    assert_int_equal(vdev_tick(&pit.device, due - 1), due);
    assert_int_equal(edges, 0);
    assert_int_equal(vdev_tick(&pit.device, due), NEVER);
    assert_int_equal(edges, 1);
    pass(700);
    assert_int_equal(in_count(0), 65536 - 100); // goes on below zero
    out(0x40, 1);
    assert_false(irq); // the first byte of a new count takes the output down
}

static void mode_2_is_periodic_and_never_in_a_burst(void **state)
{
    out(0x43, 0x34);
    out_count(0, 4773); // 250 Hz
    assert_int_equal(edges, 0);
    for (unsigned i = 1; i <= 250; i++) {
        now = pit.device.class->deadline(&pit.device);
        assert_int_equal(clocks_at(now, PIT_HZ), 5ULL * PIT_HZ + 4773ULL * i);
        vdev_tick(&pit.device, now);
        assert_int_equal(edges, i);
    }
    now += 10 * NS_PER_SECOND; // asleep for 2,500 periods
    uint64_t due = vdev_tick(&pit.device, now);
    assert_int_equal(edges, 251);
    assert_true(due > now && due < now + 4100000);
    assert_int_equal((clocks_at(due, PIT_HZ) - 5ULL * PIT_HZ) % 4773, 0); // still in phase
    unsigned count = in_count(0);
    assert_true(count >= 1 && count <= 4773);
}

static void new_count_waits_for_the_end_of_the_period(void **state)
{
    out(0x43, 0x34);
    out_count(0, 1000);
    pass(300);
    out_count(0, 5000);
    assert_int_equal(in_count(0), 700);
    out(0x43, 0xe2);                  // status of channel 0
    assert_int_equal(in(0x40), 0xf4); // output high, null count
    pass(700);
    assert_int_equal(in_count(0), 5000);
    vdev_tick(&pit.device, now);
    assert_int_equal(edges, 1);
    assert_int_equal(clocks_at(pit.device.class->deadline(&pit.device), PIT_HZ),
                     5ULL * PIT_HZ + 6000);
    out(0x43, 0xe2);
    assert_int_equal(in(0x40), 0xb4);
}

static void mode_3_counts_by_two(void **state)
{
    in(0x61);
    out(0x61, 1);
    out(0x43, 0xb6);
    out_count(2, 1000);
    assert_int_equal(in_count(2), 1000);
    assert_true(out2());
    pass(499);
    assert_int_equal(in_count(2), 2);
    assert_true(out2());
    pass(1);
    assert_int_equal(in_count(2), 1000);
    assert_false(out2());
    pass(500);
    assert_true(out2());
    out(0x43, 0xb6);
    out_count(2, 5); // high for 3, low for 2
    static const uint8_t counts[] = {4, 2, 0, 4, 2, 4};
    for (unsigned i = 0; i < ARRAY_LENGTH(counts); i++, pass(1))
        assert_int_equal(in_count(2), counts[i]);
    pass(4);
    unsigned high = 0;
    for (unsigned i = 0; i < 50; i++, pass(1))
        high += out2();
    assert_int_equal(high, 30);
}

static void mode_3_interrupts_each_period(void **state)
{
    out(0x43, 0x36);
    out_count(0, 0); // 65536
    for (unsigned i = 1; i <= 5; i++) {
        now = pit.device.class->deadline(&pit.device);
        assert_int_equal(clocks_at(now, PIT_HZ), 5ULL * PIT_HZ + 65536ULL * i);
        vdev_tick(&pit.device, now);
    }
    assert_int_equal(edges, 5);
}

static void mode_4_strobes_for_one_clock(void **state)
{
    out(0x61, 1);
    out(0x43, 0xb8);
    out_count(2, 10);
    pass(9);
    assert_true(out2());
    pass(1);
    assert_false(out2());
    pass(1);
    assert_true(out2());
    out(0x43, 0x38);
    out_count(0, 100);
    uint64_t began = clocks_at(now, PIT_HZ);
    now = pit.device.class->deadline(&pit.device);
    assert_int_equal(clocks_at(now, PIT_HZ), began + 101); // the end of the strobe
    assert_int_equal(vdev_tick(&pit.device, now), NEVER);
    assert_int_equal(edges, 1);
}

static void gate_of_channel_2(void **state)
{
    out(0x43, 0xb0);
    out_count(2, 1000);
    pass(5000); // the gate is low: nothing counts
    assert_int_equal(in_count(2), 1000);
    assert_false(out2());
    out(0x61, 0x01);
    pass(600);
    assert_int_equal(in_count(2), 400);
    out(0x61, 0x00);
    pass(600);
    assert_int_equal(in_count(2), 400);
    out(0x61, 0x01);
    pass(399);
    assert_false(out2());
    pass(1);
    assert_true(out2());
}

static void gate_triggers_modes_1_and_5(void **state)
{
    out(0x43, 0xb2);
    assert_true(out2());
    out_count(2, 100);
    pass(1000);
    assert_true(out2()); // no trigger yet
    out(0x61, 1);
    assert_false(out2());
    out(0x61, 0); // the level does not matter
    pass(99);
    assert_false(out2());
    out(0x61, 1); // again
    pass(99);
    assert_false(out2());
    pass(1);
    assert_true(out2());
    out(0x61, 0);
    out(0x43, 0xba);
    out_count(2, 7);
    pass(7);
    assert_true(out2()); // no trigger yet
    out(0x61, 1);
    pass(7);
    assert_false(out2());
    pass(1);
    assert_true(out2());
}

static void gate_restarts_the_periodic_modes(void **state)
{
    out(0x61, 1);
    out(0x43, 0xb4);
    out_count(2, 100);
    pass(99);
    assert_false(out2());
    out(0x61, 0);
    assert_true(out2());
    out_count(2, 50);
    pass(1000);
    out(0x61, 1);
    assert_int_equal(in_count(2), 50);
    pass(49);
    assert_false(out2());
}

static void latches_hold(void **state)
{
    out(0x43, 0x34);
    out_count(0, 1000);
    pass(100);
    out(0x43, 0x00);
    pass(100);
    out(0x43, 0x00); // ignored: one is held already
    assert_int_equal(in_count(0), 900);
    assert_int_equal(in_count(0), 800);
    out(0x43, 0xc2); // count and status together: status comes first
    pass(100);
    assert_int_equal(in(0x40), 0xb4);
    assert_int_equal(in_count(0), 800);
    out(0x43, 0xd2); // count alone
    assert_int_equal(in_count(0), 700);
    out(0x43, 0xf2); // neither
    pass(1);
    assert_int_equal(in_count(0), 699);
}

static void halves_and_bcd(void **state)
{
    out(0x43, 0x15); // channel 0, low byte, mode 2, BCD
    out(0x40, 0x42);
    assert_int_equal(in(0x40), 0x42);
    pass(3);
    assert_int_equal(in(0x40), 0x39);
    out(0x43, 0x24); // high byte
    out(0x40, 0x02);
    assert_int_equal(in(0x40), 2);
    pass(1);
    assert_int_equal(in(0x40), 1);
    out(0x43, 0x31); // mode 0, BCD
    out_count(0, 0);
    pass(1);
    assert_int_equal(in_count(0), 0x9999);
    out(0x43, 0x31);
    out_count(0, 0x4321);
    assert_int_equal(in_count(0), 0x4321);
    pass(22);
    assert_int_equal(in_count(0), 0x4299);
    out(0x43, 0x31);
    out_count(0, 0xffff); // no digits
    assert_int_equal(in_count(0), 0x9999);
}

static void count_of_one_does_not_storm(void **state)
{
    for (unsigned mode = 0; mode < 8; mode++) {
        out(0x43, (uint8_t)(0x30 | mode << 1));
        out_count(0, 1);
        bool is_periodic = mode % 4 == 2 || mode % 4 == 3;
        for (unsigned i = 0; i < 5; i++) {
            uint64_t due = vdev_tick(&pit.device, now);
            assert_true(due > now);
            if (is_periodic && i > 0) // no ticks that nobody could follow
                assert_true(due - now > TICK_LEAST - 1000);
            now = due == NEVER ? now : due;
        }
    }
}

static void refresh_toggles(void **state)
{
    bool first = in(0x61) & 0x10;
    pass(18);
    assert_int_equal((in(0x61) & 0x10) != 0, !first);
    pass(18);
    assert_int_equal((in(0x61) & 0x10) != 0, first);
    out(0x61, 0xff);
    assert_int_equal(in(0x61) & 0xcf, 0x0f);
}

static void time_does_not_go_back(void **state)
{
    out(0x43, 0x34);
    out_count(0, 1000);
    pass(10);
    assert_int_equal(in_count(0), 990);
    now = 0;
    assert_int_equal(in_count(0), 990);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(conversion_is_exact, fresh_pit),
        cmocka_unit_test_setup(mode_0_counts_once_and_interrupts, fresh_pit),
        cmocka_unit_test_setup(mode_2_is_periodic_and_never_in_a_burst, fresh_pit),
        cmocka_unit_test_setup(new_count_waits_for_the_end_of_the_period, fresh_pit),
        cmocka_unit_test_setup(mode_3_counts_by_two, fresh_pit),
        cmocka_unit_test_setup(mode_3_interrupts_each_period, fresh_pit),
        cmocka_unit_test_setup(mode_4_strobes_for_one_clock, fresh_pit),
        cmocka_unit_test_setup(gate_of_channel_2, fresh_pit),
        cmocka_unit_test_setup(gate_triggers_modes_1_and_5, fresh_pit),
        cmocka_unit_test_setup(gate_restarts_the_periodic_modes, fresh_pit),
        cmocka_unit_test_setup(latches_hold, fresh_pit),
        cmocka_unit_test_setup(halves_and_bcd, fresh_pit),
        cmocka_unit_test_setup(count_of_one_does_not_storm, fresh_pit),
        cmocka_unit_test_setup(refresh_toggles, fresh_pit),
        cmocka_unit_test_setup(time_does_not_go_back, fresh_pit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
