// The date that a PC's real-time clock shows, as seconds. Pure: the registers come from the caller
// (rtc.c).
#pragma once

#include "lib/status.h"

struct rtc_registers {
    uint8_t second, minute, hour, day, month, year;
    uint8_t century;  // 0 if the RTC has none
    uint8_t status_b; // how to read the others
};

// Decodes BCD or binary, 12 or 24 hours. Returns false if the registers show no date from 1970 to
// 2199. `*seconds` counts from the beginning of 1970, in the time zone that the RTC is set to.
bool rtc_date_decode(const struct rtc_registers *registers, uint64_t *seconds);
