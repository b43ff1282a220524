#include "support.h"

#include "drivers/virt/legacy/vrtc.h"
#include "vm/vm.h"

#define SECOND UINT64_C(1000000000)

static struct vm vm;
static struct vrtc rtc;
static uint64_t now;
static bool irq;
static unsigned edges;
static unsigned wall_clock_asked;

static uint64_t wall_clock(struct vm *of)
{
    wall_clock_asked++;
    return 1709251195; // Thursday, 2024-02-29 23:59:55
}

static void see_irq(void *controller, unsigned input, bool level)
{
    edges += level && !irq;
    irq = level;
}

static int fresh_rtc(void **state)
{
    static const struct vm_host host = {.wall_clock = wall_clock};
    vm.host = &host;
    vm.deadlines = (struct deadlines){.first = NEVER};
    wall_clock_asked = 0;
    vm_plug(&vm, &rtc.device, &vrtc_class);
    rtc.irq.set = see_irq;
    now = 0;
    irq = false;
    edges = 0;
    return 0;
}

static uint8_t in(unsigned offset)
{
    struct access access = {.offset = offset, .size = 1, .now = now};
    assert_true(vdev_access(&rtc.device, &access));
    return (uint8_t)access.value;
}

static void out(unsigned offset, uint8_t value)
{
    struct access access = {.offset = offset, .size = 1, .now = now, .write = true, .value = value};
    assert_true(vdev_access(&rtc.device, &access));
}

static uint8_t get(uint8_t at)
{
    out(0, at);
    return in(1);
}

static void set(uint8_t at, uint8_t value)
{
    out(0, at);
    out(1, value);
}

static void expect_date(const uint8_t (*expected)[8])
{
    static const uint8_t registers[] = {0x32, 9, 8, 7, 4, 2, 0, 6};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(registers[i]), (*expected)[i]);
}

static void shows_the_wall_clock(void **state)
{
    assert_int_equal(wall_clock_asked, 0); // it may not be known while the board is built
    expect_date(&(uint8_t[8]){0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x55, 5});
    now = 5 * SECOND;
    expect_date(&(uint8_t[8]){0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00, 6});
    assert_int_equal(get(0x0b), 0x02);
    assert_int_equal(get(0x0d), 0x80);
    assert_int_equal(get(0x8d), 0x80); // the NMI mask is not a part of the index
}

static void speaks_binary_and_twelve_hours(void **state)
{
    set(0x0b, 0x04);
    assert_int_equal(get(4), 11 | 0x80);
    assert_int_equal(get(9), 24);
    assert_int_equal(get(2), 59);
    set(0x0b, 0x00);
    assert_int_equal(get(4), 0x91);
    now = 5 * SECOND;
    assert_int_equal(get(4), 0x12); // midnight
    set(4, 0x92);                   // noon
    set(0x0b, 0x02);
    assert_int_equal(get(4), 0x12);
}

// As an operating system sets it: SET, divider held, all parts in any order, SET off.
static void date_is_set(void **state)
{
    now = 300000000;
    set(0x0b, 0x82);
    set(0x0a, 0x76);
    set(9, 0x99);
    set(8, 0x12);
    set(7, 0x31);
    set(4, 0x23);
    set(2, 0x59);
    set(0, 0x58);
    set(0x32, 0x19);
    now = 700000000;
    assert_int_equal(get(0x0a), 0x76); // no update in progress
    set(0x0b, 0x02);
    set(0x0a, 0x26);
    expect_date(&(uint8_t[8]){0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58, 6});
    now = 2699999999;
    assert_int_equal(get(0), 0x59); // the first second began with SET off
    now = 2700000000;
    expect_date(&(uint8_t[8]){0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 7});
}

static void set_day(uint8_t year, uint8_t month, uint8_t day)
{
    set(9, year);
    set(8, month);
    set(7, day);
}

static void expect_day(uint8_t year, uint8_t month, uint8_t day)
{
    assert_int_equal(get(9), year);
    assert_int_equal(get(8), month);
    assert_int_equal(get(7), day);
}

// Year before month before day, as Linux writes: no state between is a date, or need be.
static void registers_count_together(void **state)
{
    static const uint8_t days[][3] = {{0x23, 0x01, 0x31}, {0x23, 0x02, 0x15}, {0x24, 0x10, 0x31},
                                      {0x24, 0x11, 0x05}, {0x24, 0x02, 0x29}, {0x23, 0x12, 0x25}};
    for (unsigned running = 0; running < 2; running++)
        for (unsigned i = 0; i < ARRAY_LENGTH(days); i++) {
            set(0x0b, running ? 0x02 : 0x82);
            set_day(days[i][0], days[i][1], days[i][2]);
            set(0x0b, 0x02);
            expect_day(days[i][0], days[i][1], days[i][2]);
            now += SECOND;
            set(2, 0); // not at midnight
            expect_day(days[i][0], days[i][1], days[i][2]);
        }
}

static void registers_stay_as_written_while_set(void **state)
{
    set(0x0b, 0x82);
    for (unsigned value = 0; value < 256; value++)
        for (unsigned at = 0; at < 10; at++) {
            set((uint8_t)at, (uint8_t)(value + at));
            now += SECOND;
            assert_int_equal(get((uint8_t)at), (uint8_t)(value + at));
        }
    set(0x0b, 0x80); // another form is for registers that are yet to be written
    set(4, 0x92);
    set(0x0b, 0x82);
    assert_int_equal(get(4), 0x92);
    set(0x0b, 0x80);
    set(0x0b, 0x00);
    assert_int_equal(get(4), 0x92);
    set(0x0b, 0x02);
    assert_int_equal(get(4), 0x12);
}

static void nonsense_stays_a_date(void **state)
{
    for (unsigned value = 0; value < 256; value++) {
        static const uint8_t registers[] = {0, 2, 4, 6, 7, 8, 9, 0x32};
        set(0x0b, (uint8_t)(value & 6));
        for (unsigned i = 0; i < ARRAY_LENGTH(registers); i++)
            set(registers[i], (uint8_t)(value * 7 + i));
        now += SECOND;
        set(0x0b, 0x06);
        assert_in_range(get(8), 1, 12);
        assert_in_range(get(7), 1, 31);
        assert_in_range(get(4), 0, 23);
        assert_in_range(get(6), 1, 7);
    }
}

static void update_in_progress_comes_before_the_second(void **state)
{
    now = SECOND - 244001;
    assert_int_equal(get(0x0a), 0x26);
    now = SECOND - 244000;
    assert_int_equal(get(0x0a), 0xa6);
    assert_int_equal(get(0), 0x55);
    now = SECOND;
    assert_int_equal(get(0x0a), 0x26);
    assert_int_equal(get(0), 0x56);
}

static void update_interrupt_each_second(void **state)
{
    now = 100;
    assert_int_equal(get(0x0c), 0);
    assert_int_equal(rtc.device.class->deadline(&rtc.device), NEVER);
    set(0x0b, 0x12);
    assert_int_equal(rtc.device.class->deadline(&rtc.device), SECOND);
    assert_int_equal(vdev_tick(&rtc.device, SECOND - 1), SECOND);
    assert_false(irq);
    now = SECOND;
    assert_int_equal(vdev_tick(&rtc.device, now), NEVER); // until it is read
    assert_true(irq);
    assert_int_equal(get(0x0c), 0xd0); // the periodic flag, too, though not enabled
    assert_false(irq);
    assert_int_equal(get(0x0c), 0);
    assert_int_equal(rtc.device.class->deadline(&rtc.device), 2 * SECOND);
    set(0x0b, 0x92);
    assert_int_equal(get(0x0b), 0x82); // SET takes the enable away
    assert_int_equal(rtc.device.class->deadline(&rtc.device), NEVER);
}

static void flag_without_enable_does_not_interrupt(void **state)
{
    assert_int_equal(get(0x0c), 0);
    now = 3 * SECOND;
    vdev_tick(&rtc.device, now);
    assert_false(irq);
    out(0, 0x0b);
    out(1, 0x12); // enabled while the flag is up
    assert_true(irq);
    assert_int_equal(get(0x0c), 0xd0); // the periodic flag was up, too
}

static void periodic_interrupt(void **state)
{
    set(0x0b, 0x42);
    unsigned count = 0;
    while (true) { // one second at 1024 Hz
        uint64_t due = rtc.device.class->deadline(&rtc.device);
        if (due > SECOND)
            break;
        assert_true(due > now);
        now = due;
        vdev_tick(&rtc.device, now);
        assert_int_equal(edges, ++count);
        assert_int_equal(get(0x0c) & 0xc0, 0xc0);
    }
    assert_int_equal(count, 1024);
    set(0x0a, 0x2f); // 2 Hz
    assert_int_equal(rtc.device.class->deadline(&rtc.device), now + SECOND / 2);
    set(0x0a, 0x21); // 256 Hz
    assert_int_equal(rtc.device.class->deadline(&rtc.device), now + SECOND / 256);
    set(0x0a, 0x20);
    assert_int_equal(rtc.device.class->deadline(&rtc.device), NEVER);
}

static uint64_t alarm_at(uint8_t hours, uint8_t minutes, uint8_t seconds)
{
    set(5, hours);
    set(3, minutes);
    set(1, seconds);
    uint64_t due = rtc.device.class->deadline(&rtc.device);
    return due == NEVER ? NEVER : due / SECOND;
}

static void alarm_is_found(void **state)
{
    set(0x0b, 0x22); // 23:59:55
    assert_int_equal(alarm_at(0x23, 0x59, 0x58), 3);
    assert_int_equal(alarm_at(0x00, 0x00, 0x00), 5);
    assert_int_equal(alarm_at(0x23, 0x59, 0x55), 86400);
    assert_int_equal(alarm_at(0x23, 0x59, 0x54), 86399);
    assert_int_equal(alarm_at(0xff, 0xff, 0xff), 1);
    assert_int_equal(alarm_at(0xff, 0xff, 0x10), 15);
    assert_int_equal(alarm_at(0xff, 0x58, 0x10), 5 + 58 * 60 + 10);
    assert_int_equal(alarm_at(0xc0, 0x59, 0x59), 4);
    assert_int_equal(alarm_at(0x22, 0x00, 0xff), 5 + 22 * 3600);
    assert_int_equal(alarm_at(0x23, 0x59, 0x60), NEVER); // no such second
    set(0x0b, 0x20);                                     // twelve hours
    assert_int_equal(alarm_at(0x12, 0x00, 0x01), 6);
    assert_int_equal(alarm_at(0x92, 0x00, 0x01), 6 + 12 * 3600);
}

static void alarm_rings_once(void **state)
{
    set(0x0b, 0x22);
    assert_int_equal(alarm_at(0x23, 0x59, 0x58), 3);
    now = 3 * SECOND - 1;
    vdev_tick(&rtc.device, now);
    assert_false(irq);
    now = 3 * SECOND;
    vdev_tick(&rtc.device, now);
    assert_true(irq);
    assert_int_equal(get(0x0c) & 0xb0, 0xb0);
    assert_int_equal(rtc.device.class->deadline(&rtc.device), (3 + 86400) * SECOND);
    now = 4 * SECOND;
    assert_int_equal(get(0x0c) & 0x20, 0);
}

static void every_second_alarm_agrees_with_search(void **state)
{
    set(0x0b, 0x26); // binary
    static const uint8_t hours[] = {0, 7, 23, 0xff}, minutes[] = {0, 30, 59, 0xff},
                         seconds[] = {0, 29, 59, 0xff};
    for (unsigned i = 0; i < 64; i++) {
        set(5, hours[i / 16]);
        set(3, minutes[i / 4 % 4]);
        set(1, seconds[i % 4]);
        uint64_t offset = 1;
        for (;; offset++) {
            uint64_t clock = (86395 + now / SECOND + offset) % 86400;
            if ((hours[i / 16] == 0xff || hours[i / 16] == clock / 3600) &&
                (minutes[i / 4 % 4] == 0xff || minutes[i / 4 % 4] == clock / 60 % 60) &&
                (seconds[i % 4] == 0xff || seconds[i % 4] == clock % 60))
                break;
        }
        assert_int_equal(rtc.device.class->deadline(&rtc.device) / SECOND, now / SECOND + offset);
        now += 1237 * SECOND;
        get(0x0c);
    }
}

static void alarm_at_the_first_second_of_a_day(void **state)
{
    set(0x0b, 0x22);
    now = 4 * SECOND; // 23:59:59
    assert_int_equal(alarm_at(0x00, 0x00, 0x00), 5);
    assert_int_equal(alarm_at(0xff, 0xff, 0xff), 5);
}

static void flags_cannot_be_written(void **state)
{
    get(0x0c);
    set(0x0c, 0xff);
    set(0x0d, 0x00);
    assert_int_equal(rtc.memory[0x0c] | rtc.memory[0x0d], 0);
    assert_int_equal(get(0x0c), 0);
    assert_int_equal(get(0x0d), 0x80);
}

static void memory_has_two_banks(void **state)
{
    rtc.memory[CMOS_CPUS] = 3;
    set(0x40, 0x5a);
    out(2, 0xc5); // the upper bank
    out(3, 0xa7);
    assert_int_equal(in(2), 0xc5);
    assert_int_equal(get(0x40), 0x5a);
    assert_int_equal(get(0x5f), 3);
    assert_int_equal(get(0x45), 0);
    assert_int_equal(in(3), 0xa7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(shows_the_wall_clock, fresh_rtc),
        cmocka_unit_test_setup(speaks_binary_and_twelve_hours, fresh_rtc),
        cmocka_unit_test_setup(date_is_set, fresh_rtc),
        cmocka_unit_test_setup(registers_count_together, fresh_rtc),
        cmocka_unit_test_setup(registers_stay_as_written_while_set, fresh_rtc),
        cmocka_unit_test_setup(nonsense_stays_a_date, fresh_rtc),
        cmocka_unit_test_setup(update_in_progress_comes_before_the_second, fresh_rtc),
        cmocka_unit_test_setup(update_interrupt_each_second, fresh_rtc),
        cmocka_unit_test_setup(flag_without_enable_does_not_interrupt, fresh_rtc),
        cmocka_unit_test_setup(periodic_interrupt, fresh_rtc),
        cmocka_unit_test_setup(alarm_is_found, fresh_rtc),
        cmocka_unit_test_setup(alarm_rings_once, fresh_rtc),
        cmocka_unit_test_setup(every_second_alarm_agrees_with_search, fresh_rtc),
        cmocka_unit_test_setup(alarm_at_the_first_second_of_a_day, fresh_rtc),
        cmocka_unit_test_setup(flags_cannot_be_written, fresh_rtc),
        cmocka_unit_test_setup(memory_has_two_banks, fresh_rtc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
