// drivers/host/time/rtc_date.c against the C library's timegm(), in every form that an RTC knows.

#define _DEFAULT_SOURCE
#include "tests/unit/support.h"

#include <time.h>

#include "drivers/host/time/rtc_date.h"

#define IS_24_HOURS 2
#define IS_BINARY   4

static uint8_t encode(int value, uint8_t status_b)
{
    return (uint8_t)(status_b & IS_BINARY ? value : value / 10 * 16 + value % 10);
}

static struct rtc_registers registers_of(const struct tm *tm, uint8_t status_b)
{
    struct rtc_registers registers = {
        .second = encode(tm->tm_sec, status_b),
        .minute = encode(tm->tm_min, status_b),
        .hour = encode(tm->tm_hour, status_b),
        .day = encode(tm->tm_mday, status_b),
        .month = encode(tm->tm_mon + 1, status_b),
        .year = encode(tm->tm_year % 100, status_b),
        .century = encode((tm->tm_year + 1900) / 100, status_b),
        .status_b = status_b,
    };
    if ((status_b & IS_24_HOURS) == 0) {
        int hour = tm->tm_hour % 12 == 0 ? 12 : tm->tm_hour % 12;
        registers.hour = (uint8_t)(encode(hour, status_b) | (tm->tm_hour >= 12 ? 0x80 : 0));
    }
    return registers;
}

static void every_form_of_many_dates(void **state)
{
    // Steps that are no multiple of a day, through leap years and 2100, which is none.
    for (time_t t = 0; t < 7258118400; t += 4567890) {
        struct tm tm;
        gmtime_r(&t, &tm);
        for (int form = 0; form < 4; form++) {
            struct rtc_registers registers = registers_of(&tm, (uint8_t)(form << 1));
            uint64_t seconds = 1;
            assert_true(rtc_date_decode(&registers, &seconds));
            assert_int_equal(seconds, t);
        }
    }
}

static void without_a_century_it_is_2000(void **state)
{
    static const uint8_t centuries[] = {0, 0x12, 0x22, 0xff};
    for (size_t i = 0; i < ARRAY_LENGTH(centuries); i++) {
        struct rtc_registers registers = {0x20, 0x13, 0x22,         0x14,
                                          0x11, 0x23, centuries[i], IS_24_HOURS};
        uint64_t seconds;
        assert_true(rtc_date_decode(&registers, &seconds));
        assert_int_equal(seconds, 1700000000);
    }
}

static void nonsense_is_refused(void **state)
{
    const struct rtc_registers good = {0x20, 0x13, 0x22, 0x14, 0x11, 0x23, 0x20, IS_24_HOURS};
    struct rtc_registers bad[12];
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        bad[i] = good;
    bad[0].second = 0x60;
    bad[1].second = 0x0a;
    bad[2].minute = 0xff;
    bad[3].hour = 0x24;
    bad[4].day = 0;
    bad[5].day = 0x31; // November
    bad[6].month = 0;
    bad[7].month = 0x13;
    bad[8].year = 0xaa;
    bad[9].century = 0x19; // 1923
    bad[10].status_b = 0;  // 22 of 12 hours
    bad[11].status_b = 0;
    bad[11].hour = 0x80; // 0 pm
    uint64_t seconds = 77;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_false(rtc_date_decode(&bad[i], &seconds));
    struct rtc_registers leap = {0, 0, 0, 0x29, 0x02, 0x00, 0x21, IS_24_HOURS};
    assert_false(rtc_date_decode(&leap, &seconds));
    assert_int_equal(seconds, 77);
    leap.century = 0x20;
    assert_true(rtc_date_decode(&leap, &seconds));
    assert_int_equal(seconds, 951782400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_many_dates),
        cmocka_unit_test(without_a_century_it_is_2000),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
