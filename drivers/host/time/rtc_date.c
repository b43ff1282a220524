// Dates of the RTC: see calendar.h.

#include "drivers/host/time/rtc_date.h"
#include "lib/calendar.h"

#define STATUS_B_24_HOURS BIT32(1)
#define STATUS_B_BINARY   BIT32(2)
#define HOUR_PM           0x80U

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

bool rtc_date_decode(const struct rtc_registers *registers, uint64_t *seconds)
{
    bool is_binary = registers->status_b & STATUS_B_BINARY;
    uint32_t second, minute, hour, day, month, year;
    if (!decode(registers->second, is_binary, &second) || second > 59 ||
        !decode(registers->minute, is_binary, &minute) || minute > 59 ||
        !decode_hour(registers, is_binary, &hour) || hour > 23 ||
        !decode_year(registers, is_binary, &year) || !decode(registers->month, is_binary, &month) ||
        month < 1 || month > 12 || !decode(registers->day, is_binary, &day) || day < 1)
        return false;
    int64_t days = days_from_date((struct date){(int32_t)year, month, day});
    if (date_from_days(days).day != day) // beyond its month's end
        return false;
    *seconds = (((uint64_t)days * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
