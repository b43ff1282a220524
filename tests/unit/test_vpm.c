#include "support.h"

#include "drivers/virt/legacy/vpm.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define HALF_NS UINT64_C(2343484438) // 2^23 clocks of 3579545 Hz, rounded up

static struct vm vm;
static struct vpm pm;
static uint64_t now;
static bool sci;

static void see_sci(void *controller, unsigned input, bool level)
{
    sci = level;
}

static int fresh_pm(void **state)
{
    vm.deadlines = (struct deadlines){.first = NEVER};
    vm.stop_reason = STOP_NONE;
    vm_plug(&vm, &pm.device, &vpm_class);
    pm.sci.set = see_sci;
    sci = false;
    now = 0;
    return 0;
}

static uint64_t in(unsigned port, uint8_t size)
{
    struct access access = {.offset = port - PORT_PM1_EVENT, .size = size, .now = now};
    return vdev_access(&pm.device, &access) ? access.value : UINT64_C(0xbad);
}

static void out(unsigned port, uint8_t size, uint64_t value)
{
    struct access access = {
        .offset = port - PORT_PM1_EVENT, .size = size, .now = now, .write = true, .value = value};
    vdev_access(&pm.device, &access);
}

static void timer_runs_at_its_frequency(void **state)
{
    assert_int_equal(in(0x608, 4), 0);
    now = 1000000000;
    assert_int_equal(in(0x608, 4), 3579545);
    now = 4686968596; // 2^24 - 1 clocks
    assert_int_equal(in(0x608, 4), 0xffffff);
    now += 280;
    assert_int_equal(in(0x608, 4), 0); // 24 bits
    now = 1000000000;
    assert_int_equal(in(0x608, 4), 0); // never back
    now = 3600 * UINT64_C(1000000000);
    assert_int_equal(in(0x608, 4), 3579545ULL * 3600 % (1 << 24));
    assert_int_equal(in(0x60a, 1), 3579545ULL * 3600 % (1 << 24) >> 16);
    out(0x608, 4, 0);
    assert_int_equal(in(0x608, 4), 3579545ULL * 3600 % (1 << 24));
}

static void timer_status_follows_its_highest_bit(void **state)
{
    assert_int_equal(pm.device.class->deadline(&pm.device), NEVER);
    now = HALF_NS - 1;
    assert_int_equal(in(0x600, 2), 0);
    now = HALF_NS;
    assert_int_equal(in(0x600, 2), 1);
    assert_false(sci);
    out(0x602, 2, 1);
    assert_true(sci);
    assert_int_equal(pm.device.class->deadline(&pm.device), NEVER); // it waits for the guest
    out(0x600, 2, 1);
    assert_false(sci);
    uint64_t due = pm.device.class->deadline(&pm.device);
    assert_in_range(due, 2 * HALF_NS - 2, 2 * HALF_NS);
    assert_int_equal(vdev_tick(&pm.device, due - 1), due);
    assert_false(sci);
    vdev_tick(&pm.device, due);
    assert_true(sci);
}

static void power_button_is_an_event(void **state)
{
    assert_false(vpm_power_button(&pm));
    assert_false(sci);
    assert_int_equal(in(0x600, 4), 0x100);
    out(0x603, 1, 0x01);
    assert_true(sci);
    out(0x600, 1, 0xff); // the other byte
    assert_true(sci);
    out(0x601, 1, 0x01);
    assert_false(sci);
    assert_true(vpm_power_button(&pm));
    assert_true(sci);
}

static void enables_hold_what_exists(void **state)
{
    out(0x602, 2, 0xffff);
    assert_int_equal(in(0x602, 2), 0x0721);
    out(0x602, 1, 0);
    assert_int_equal(in(0x602, 2), 0x0700);
    out(0x620, 4, 0xa5a5ffff);
    assert_int_equal(in(0x620, 4), 0xa5a50000);
    out(0x623, 1, 0x12);
    assert_int_equal(in(0x622, 2), 0x12a5);
}

static void sleep_type_decides(void **state)
{
    assert_int_equal(in(0x604, 2), 1); // ACPI is on,
    out(0x604, 2, 0);
    assert_int_equal(in(0x604, 2), 1); // always
    out(0x604, 2, 0x1c03);
    assert_int_equal(in(0x604, 2), 0x1c03);
    out(0x604, 2, 0x3c01);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    assert_int_equal(in(0x604, 2), 0x1c01); // SLP_EN reads as zero
    out(0x605, 1, 0x20);
    assert_int_equal(vm.stop_reason, STOP_POWEROFF);
}

static void gaps_are_empty(void **state)
{
    assert_int_equal(in(0x60c, 4), 0xbad);
    assert_int_equal(in(0x61f, 1), 0xbad);
    assert_int_equal(in(0x61e, 4), 0xffff); // two bytes of nothing, and GPE0's status
    out(0x60c, 4, ~0ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(timer_runs_at_its_frequency, fresh_pm),
        cmocka_unit_test_setup(timer_status_follows_its_highest_bit, fresh_pm),
        cmocka_unit_test_setup(power_button_is_an_event, fresh_pm),
        cmocka_unit_test_setup(enables_hold_what_exists, fresh_pm),
        cmocka_unit_test_setup(sleep_type_decides, fresh_pm),
        cmocka_unit_test_setup(gaps_are_empty, fresh_pm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
