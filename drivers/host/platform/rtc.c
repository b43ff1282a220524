// The CMOS real-time clock: see rtc.h.

#include "drivers/host/platform/rtc.h"
#include "arch/x86_64/io.h"
#include "drivers/host/time/rtc_date.h"
#include "drivers/host/platform/tsc.h"
#include "lib/string.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

enum cmos_register {
    CMOS_SECONDS = 0,
    CMOS_MINUTES = 2,
    CMOS_HOURS = 4,
    CMOS_DAY = 7,
    CMOS_MONTH = 8,
    CMOS_YEAR = 9,
    CMOS_STATUS_A = 10,
    CMOS_STATUS_B = 11,
};

#define STATUS_A_UPDATING 0x80
#define INDEX_MAX         0x7f
#define ATTEMPTS          100

// Bit 7 of the index masks NMIs on old boards: always clear.
static uint8_t cmos_read(uint8_t index)
{
    out8(CMOS_INDEX, index & INDEX_MAX);
    return in8(CMOS_DATA);
}

static struct rtc_registers read_registers(uint8_t century_index)
{
    return (struct rtc_registers){
        .second = cmos_read(CMOS_SECONDS),
        .minute = cmos_read(CMOS_MINUTES),
        .hour = cmos_read(CMOS_HOURS),
        .day = cmos_read(CMOS_DAY),
        .month = cmos_read(CMOS_MONTH),
        .year = cmos_read(CMOS_YEAR),
        .century = century_index > CMOS_STATUS_B ? cmos_read(century_index) : 0,
        .status_b = cmos_read(CMOS_STATUS_B),
    };
}

uint64_t rtc_read(uint8_t century_index)
{
    struct rtc_registers before = {0}, now;
    bool has_before = false;
    for (int i = 0; i < ATTEMPTS; i++) {
        // An update takes 2 ms; an absent RTC is updating for ever.
        if (cmos_read(CMOS_STATUS_A) & STATUS_A_UPDATING) {
            tsc_wait(100);
            continue;
        }
        // The update may begin between two registers: two equal readings are a date.
        now = read_registers(century_index);
        uint64_t seconds;
        if (has_before && memcmp(&now, &before, sizeof(now)) == 0)
            return rtc_date_decode(&now, &seconds) ? seconds : 0;
        before = now;
        has_before = true;
    }
    return 0;
}
