// The calendar, counted in years that begin on the first of March: the leap day is then the last of
// its year, and months follow one rule.
#include "lib/calendar.h"

#define DAYS_IN_400_YEARS 146097
#define DAYS_IN_4_YEARS   1461
#define DAYS_IN_100_YEARS 36524
#define EPOCH_FROM_MARCH  719468 // days from 0000-03-01 to 1970-01-01

// Rounds down, also below zero.
static int64_t divide(int64_t value, int64_t by)
{
    return value >= 0 ? value / by : -((-value + by - 1) / by);
}

// Days of a March year before its month 0 (March) to 11: 31, 30, 31, 30, 31 days, and again.
static int64_t days_before_month(int64_t month)
{
    return (153 * month + 2) / 5;
}

int64_t days_from_date(struct date date)
{
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t year = date.month > 2 ? date.year : date.year - 1;
    return year * 365 + divide(year, 4) - divide(year, 100) + divide(year, 400) +
           days_before_month(month) + date.day - 1 - EPOCH_FROM_MARCH;
}

struct date date_from_days(int64_t days)
{
    days += EPOCH_FROM_MARCH;
    int64_t cycle = divide(days, DAYS_IN_400_YEARS);
    int64_t rest = days - cycle * DAYS_IN_400_YEARS;
    // The last century of four and the last year of four are one day longer: never round up into a
    // fifth.
    int64_t century = MIN(rest / DAYS_IN_100_YEARS, 3);
    rest -= century * DAYS_IN_100_YEARS;
    int64_t four = rest / DAYS_IN_4_YEARS;
    rest -= four * DAYS_IN_4_YEARS;
    int64_t single = MIN(rest / 365, 3);
    rest -= single * 365;
    int64_t month = (5 * rest + 2) / 153;
    int64_t year = cycle * 400 + century * 100 + four * 4 + single;
    return (struct date){
        .year = (int32_t)(year + (month >= 10)),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .day = (unsigned)(rest - days_before_month(month) + 1),
    };
}

unsigned weekday_from_days(int64_t days)
{
    int64_t weekday = days + 4 - divide(days + 4, 7) * 7; // the epoch was a Thursday
    return (unsigned)weekday + 1;
}
