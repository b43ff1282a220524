// Dates of the RTC: see calendar.h.

#include "drivers/host/calendar.h"

#define STATUS_B_24_HOURS BIT32(1)
#define STATUS_B_BINARY   BIT32(2)
#define HOUR_PM           0x80U

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

// False if a BCD digit is above 9.
static bool decode(uint8_t value, bool is_binary, uint32_t *number)
{
    if (is_binary) {
        *number = value;
        return true;
    }
    *number = (value >> 4) * 10U + (value & 0xfU);
    return value >> 4 <= 9 && (value & 0xf) <= 9;
}

static bool decode_hour(const struct rtc_registers *registers, bool is_binary, uint32_t *hour)
{
    if (registers->status_b & STATUS_B_24_HOURS)
        return decode(registers->hour, is_binary, hour);
    // 12 am is midnight, 12 pm noon.
    if (!decode(registers->hour & 0x7f, is_binary, hour) || *hour == 0 || *hour > 12)
        return false;
    *hour = *hour % 12 + (registers->hour & HOUR_PM ? 12 : 0);
    return true;
}

static bool decode_year(const struct rtc_registers *registers, bool is_binary, uint32_t *year)
{
    uint32_t in_century, century;
    if (!decode(registers->year, is_binary, &in_century) || in_century > 99)
        return false;
    // A century that is absent or makes no sense: years are from 2000 on.
    if (!decode(registers->century, is_binary, &century) || century < 19 || century > 21)
        century = 20;
    *year = century * 100 + in_century;
    return *year >= 1970;
}

bool calendar_decode(const struct rtc_registers *registers, uint64_t *seconds)
{
    bool is_binary = registers->status_b & STATUS_B_BINARY;
    uint32_t second, minute, hour, day, month, year;
    if (!decode(registers->second, is_binary, &second) || second > 59 ||
        !decode(registers->minute, is_binary, &minute) || minute > 59 ||
        !decode_hour(registers, is_binary, &hour) || hour > 23 ||
        !decode_year(registers, is_binary, &year) || !decode(registers->month, is_binary, &month) ||
        month < 1 || month > 12 || !decode(registers->day, is_binary, &day) || day < 1 ||
        day > days_in_month(year, month))
        return false;
    uint64_t days = day - 1;
    for (uint32_t y = 1970; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    for (uint32_t m = 1; m < month; m++)
        days += days_in_month(year, m);
    *seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
