// The real-time clock in the PC's CMOS memory: the date at boot.
#pragma once

#include "lib/bits.h"

// Reads the date, in seconds since 1970 of the RTC's time zone. `century_index` is the FADT's (0:
// none). Returns 0 if there is no RTC or it shows nonsense. Takes up to 10 ms.
uint64_t rtc_read(uint8_t century_index);
