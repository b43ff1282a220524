#include "support.h"

#include "lib/calendar.h"

static unsigned month_length(int year, unsigned month)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (leap && month == 2);
}

// Every day of the years 0 to 2500, against a calendar that counts on its fingers.
static void agrees_with_counting(void **state)
{
    struct date date = {0, 1, 1};
    unsigned weekday = 7; // 0000-01-01 was a Saturday
    for (int64_t days = days_from_date(date); date.year < 2500; days++) {
        struct date computed = date_from_days(days);
        assert_int_equal(computed.year, date.year);
        assert_int_equal(computed.month, date.month);
        assert_int_equal(computed.day, date.day);
        assert_int_equal(days_from_date(date), days);
        assert_int_equal(weekday_from_days(days), weekday);
        weekday = weekday % 7 + 1;
        if (++date.day > month_length(date.year, date.month)) {
            date.day = 1;
            if (++date.month > 12) {
                date.month = 1;
                date.year++;
            }
        }
    }
}

static void known_days(void **state)
{
    assert_int_equal(days_from_date((struct date){1970, 1, 1}), 0);
    assert_int_equal(days_from_date((struct date){2000, 2, 29}), 11016);
    assert_int_equal(days_from_date((struct date){2023, 2, 31}),
                     days_from_date((struct date){2023, 3, 3}));
    assert_int_equal(weekday_from_days(0), 5);
    assert_int_equal(weekday_from_days(-5), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_counting),
        cmocka_unit_test(known_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
