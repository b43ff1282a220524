// Days and dates of the Gregorian calendar, extended to all years. Called by the clock chip.
#pragma once

#include "lib/bits.h"

struct date {
    int32_t year;
    unsigned month; // 1 to 12
    unsigned day;   // 1 to 31
};

// Days since 1970-01-01; a day beyond its month's end counts on into the next.
int64_t days_from_date(struct date date);

struct date date_from_days(int64_t days);

// 1 (Sunday) to 7.
unsigned weekday_from_days(int64_t days);
