// The MC146818, after Motorola's data sheet "MC146818 Real-Time Clock plus RAM". Called from the
// port bus, and by board_tick() for the interrupts that the guest has enabled.
#include "drivers/virt/vrtc.h"

#include "lib/calendar.h"
#include "drivers/virt/frequency.h"
#include "vm/vm.h"

enum vrtc_register {
    SECONDS,
    SECONDS_ALARM,
    MINUTES,
    MINUTES_ALARM,
    HOURS,
    HOURS_ALARM,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR,
    REG_A,
    REG_B,
    REG_C,
    REG_D,
};

#define A_UPDATING 0x80
#define A_DIVIDER  0x70
#define A_RATE     0x0f
#define A_RUNNING  0x20 // the divider for a crystal of 32768 Hz

#define B_SET      0x80
#define B_PERIODIC 0x40
#define B_ALARM    0x20
#define B_UPDATE   0x10
#define B_BINARY   0x04
#define B_24_HOURS 0x02

#define C_IRQ      0x80
#define C_PERIODIC B_PERIODIC // the flags stand where their enables do
#define C_ALARM    B_ALARM
#define C_UPDATE   B_UPDATE

#define D_VALID     0x80
#define HOURS_PM    0x80
#define ALARM_ANY   0xc0
#define CRYSTAL_HZ  32768
#define UPDATE_NS   244000 // UIP rises this long before the date changes
#define DAY_SECONDS 86400
#define LAST_SECOND UINT64_C(253402300799) // of the year 9999

// ---- the forms of a number ----

static uint8_t encode(const struct vrtc *rtc, unsigned value)
{
    return (uint8_t)(rtc->memory[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct vrtc *rtc, uint8_t value)
{
    return rtc->memory[REG_B] & B_BINARY ? value : (value >> 4) * 10U + (value & 15);
}

static uint8_t encode_hour(const struct vrtc *rtc, unsigned hour)
{
    if (rtc->memory[REG_B] & B_24_HOURS)
        return encode(rtc, hour);
    uint8_t twelve = encode(rtc, hour % 12 ? hour % 12 : 12);
    return twelve | (hour >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hour(const struct vrtc *rtc, uint8_t value)
{
    if (rtc->memory[REG_B] & B_24_HOURS)
        return decode(rtc, value);
    return decode(rtc, value & (uint8_t)~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

// ---- the date ----

static int64_t present_second(const struct vrtc *rtc)
{
    if (rtc->frozen)
        return rtc->seconds;
    return rtc->seconds + (int64_t)((rtc->now - rtc->second_began) / NS_PER_SECOND);
}

// VM time at which a second of the date begins.
static uint64_t second_begins(const struct vrtc *rtc, int64_t second)
{
    return rtc->second_began + (uint64_t)(second - rtc->seconds) * NS_PER_SECOND;
}

static int64_t floor_days(int64_t seconds)
{
    return (seconds >= 0 ? seconds : seconds - DAY_SECONDS + 1) / DAY_SECONDS;
}

static unsigned second_of_day(int64_t seconds)
{
    return (unsigned)(seconds - floor_days(seconds) * DAY_SECONDS);
}

// The parts of a date: the register of each, and what a calendar has.
enum part { SECOND, MINUTE, HOUR, DAY_OF_WEEK, DAY_OF_MONTH, MONTH_OF_YEAR, SHORT_YEAR, CENTURY };
static const struct {
    uint8_t at, least, most;
} parts[] = {
    [SECOND] = {SECONDS, 0, 59},   [MINUTE] = {MINUTES, 0, 59},
    [HOUR] = {HOURS, 0, 23},       [DAY_OF_WEEK] = {WEEKDAY, 1, 7},
    [DAY_OF_MONTH] = {DAY, 1, 31}, [MONTH_OF_YEAR] = {MONTH, 1, 12},
    [SHORT_YEAR] = {YEAR, 0, 99},  [CENTURY] = {CMOS_CENTURY, 0, 99},
};
#define PARTS ARRAY_LENGTH(parts)

// PARTS: the register is none of the date's.
static unsigned part_at(unsigned at)
{
    unsigned part = 0;
    while (part < PARTS && parts[part].at != at)
        part++;
    return part;
}

static void take_apart(int64_t seconds, unsigned value[PARTS])
{
    int64_t days = floor_days(seconds);
    unsigned clock = second_of_day(seconds);
    struct date date = date_from_days(days);
    value[SECOND] = clock % 60;
    value[MINUTE] = clock / 60 % 60;
    value[HOUR] = clock / 3600;
    value[DAY_OF_WEEK] = weekday_from_days(days);
    value[DAY_OF_MONTH] = date.day;
    value[MONTH_OF_YEAR] = date.month;
    value[SHORT_YEAR] = (unsigned)(date.year % 100);
    value[CENTURY] = (unsigned)(date.year / 100);
}

static uint8_t read_date(const struct vrtc *rtc, unsigned part)
{
    unsigned value[PARTS];
    take_apart(present_second(rtc), value);
    return part == HOUR ? encode_hour(rtc, value[part]) : encode(rtc, value[part]);
}

// Changes one part of the date. What no calendar has (month 0, hour 99) is brought into range; the
// weekday follows from the date.
static void write_date(struct vrtc *rtc, unsigned part, uint8_t form)
{
    int64_t seconds = present_second(rtc);
    unsigned value[PARTS];
    take_apart(seconds, value);
    unsigned number = part == HOUR ? decode_hour(rtc, form) : decode(rtc, form);
    value[part] = MAX(MIN(number, parts[part].most), parts[part].least);
    struct date date = {.year = (int32_t)(value[CENTURY] * 100 + value[SHORT_YEAR]),
                        .month = value[MONTH_OF_YEAR],
                        .day = value[DAY_OF_MONTH]};
    int64_t written = days_from_date(date) * DAY_SECONDS + value[HOUR] * 3600 + value[MINUTE] * 60 +
                      value[SECOND];
    rtc->seconds += written - seconds;
    rtc->seen_second = present_second(rtc);
}

// ---- the alarm ----

// The values below `range` that an alarm register takes, as a bitmap.
static uint64_t alarm_values(const struct vrtc *rtc, enum vrtc_register at, unsigned range)
{
    uint64_t values = 0;
    uint8_t wanted = rtc->memory[at];
    for (unsigned i = 0; i < range; i++) {
        uint8_t form = at == HOURS_ALARM ? encode_hour(rtc, i) : encode(rtc, i);
        if ((wanted & ALARM_ANY) == ALARM_ANY || wanted == form)
            values |= BIT(i);
    }
    return values;
}

// The first second after `after` that matches the alarm.
static int64_t next_alarm(const struct vrtc *rtc, int64_t after)
{
    uint64_t hours = alarm_values(rtc, HOURS_ALARM, 24);
    uint64_t minutes = alarm_values(rtc, MINUTES_ALARM, 60);
    uint64_t seconds = alarm_values(rtc, SECONDS_ALARM, 60);
    if (!hours || !minutes || !seconds)
        return INT64_MAX;
    int64_t midnight = floor_days(after + 1) * DAY_SECONDS;
    unsigned clock = second_of_day(after + 1);
    unsigned hour = clock / 3600, minute = clock / 60 % 60, second = clock % 60;
    // Upwards from the seconds: the first place where a later value exists; all below it begin at
    // their first.
    if (hours & BIT(hour)) {
        if ((minutes & BIT(minute)) && seconds >> second)
            return midnight + hour * 3600 + minute * 60 + second + lowest_bit(seconds >> second);
        if (minutes >> minute >> 1)
            return midnight + hour * 3600 + lowest_bit(minutes >> minute >> 1 << minute << 1) * 60 +
                   lowest_bit(seconds);
    }
    uint64_t later = hours >> hour >> 1 << hour << 1;
    if (!later)
        midnight += DAY_SECONDS;
    return midnight + lowest_bit(later ? later : hours) * 3600 + lowest_bit(minutes) * 60 +
           lowest_bit(seconds);
}

// ---- interrupts ----

// log2 of the periodic interrupt's period in crystal clocks; 0: none. Rates 1 and 2 stand for 8
// and 9.
static unsigned period_shift(const struct vrtc *rtc)
{
    unsigned rate = rtc->memory[REG_A] & A_RATE;
    bool running = (rtc->memory[REG_A] & A_DIVIDER) == A_RUNNING;
    if (rate == 0 || !running)
        return 0;
    return (rate <= 2 ? rate + 7 : rate) - 1;
}

static uint64_t present_period(const struct vrtc *rtc)
{
    return clocks_at(rtc->now, CRYSTAL_HZ) >> period_shift(rtc);
}

static void update_irq(struct vrtc *rtc)
{
    irq_set(&rtc->irq, rtc->flags & rtc->memory[REG_B] & (C_PERIODIC | C_ALARM | C_UPDATE));
}

// Something moved that the alarm or the period depends on: they count from here.
static void restart_alarm_and_period(struct vrtc *rtc)
{
    rtc->seen_second = present_second(rtc);
    rtc->alarm_second = next_alarm(rtc, rtc->seen_second);
    rtc->seen_period = present_period(rtc);
}

// Not at construction: VM time, and the wall clock at its beginning, start with the VM.
static void start(struct vrtc *rtc)
{
    struct vm *vm = rtc->device.vm;
    rtc->started = true;
    rtc->seconds = (int64_t)MIN(vm->host->wall_clock(vm), LAST_SECOND);
    restart_alarm_and_period(rtc);
}

// Sets the flags of everything that happened up to `now`.
static void advance(struct vrtc *rtc, uint64_t now)
{
    rtc->now = MAX(rtc->now, now);
    if (!rtc->started)
        start(rtc);
    int64_t second = present_second(rtc);
    if (!rtc->frozen && second > rtc->seen_second) {
        rtc->flags |= C_UPDATE;
        rtc->seen_second = second;
        if (second >= rtc->alarm_second) {
            rtc->flags |= C_ALARM;
            rtc->alarm_second = next_alarm(rtc, second);
        }
    }
    if (period_shift(rtc) && present_period(rtc) != rtc->seen_period) {
        rtc->flags |= C_PERIODIC;
        rtc->seen_period = present_period(rtc);
    }
}

static uint64_t vrtc_deadline(struct vdev *device)
{
    struct vrtc *rtc = CONTAINER_OF(device, struct vrtc, device);
    // An interrupt whose flag is up already cannot come again before the guest has read register C.
    uint8_t wanted = rtc->memory[REG_B] & (uint8_t)~rtc->flags;
    uint64_t deadline = NEVER;
    if ((wanted & B_UPDATE) && !rtc->frozen)
        deadline = second_begins(rtc, rtc->seen_second + 1);
    if ((wanted & B_ALARM) && !rtc->frozen && rtc->alarm_second != INT64_MAX)
        deadline = MIN(deadline, second_begins(rtc, rtc->alarm_second));
    if ((wanted & B_PERIODIC) && period_shift(rtc))
        deadline = MIN(deadline, ns_at((rtc->seen_period + 1) << period_shift(rtc), CRYSTAL_HZ));
    return deadline;
}

// ---- registers ----

static bool is_updating(const struct vrtc *rtc)
{
    return !rtc->frozen &&
           (rtc->now - rtc->second_began) % NS_PER_SECOND >= NS_PER_SECOND - UPDATE_NS;
}

static uint8_t read_register(struct vrtc *rtc, unsigned at)
{
    unsigned part = part_at(at);
    if (part < PARTS)
        return read_date(rtc, part);
    uint8_t value = rtc->memory[at];
    if (at == REG_A)
        return value | (is_updating(rtc) ? A_UPDATING : 0);
    if (at == REG_C) {
        value = rtc->flags | (rtc->flags & rtc->memory[REG_B] ? C_IRQ : 0);
        rtc->flags = 0;
        return value;
    }
    return at == REG_D ? D_VALID : value;
}

static void write_b(struct vrtc *rtc, uint8_t value)
{
    bool freezes = value & B_SET;
    if (freezes && !rtc->frozen) {
        rtc->seconds = present_second(rtc);
        rtc->frozen = true;
    } else if (!freezes && rtc->frozen) { // a second begins here
        rtc->second_began = rtc->now;
        rtc->frozen = false;
    }
    rtc->memory[REG_B] = freezes ? value & (uint8_t)~B_UPDATE : value;
}

static void write_register(struct vrtc *rtc, unsigned at, uint8_t value)
{
    unsigned part = part_at(at);
    if (part < PARTS)
        write_date(rtc, part, value);
    else if (at == REG_B)
        write_b(rtc, value);
    else if (at == REG_A)
        rtc->memory[REG_A] = value & (uint8_t)~A_UPDATING;
    else if (at != REG_C && at != REG_D)
        rtc->memory[at] = value;
    if (at <= REG_B || at == CMOS_CENTURY)
        restart_alarm_and_period(rtc);
}

static bool vrtc_access(struct vdev *device, struct access *access)
{
    struct vrtc *rtc = CONTAINER_OF(device, struct vrtc, device);
    unsigned bank = (access->offset >> 1) & 1;
    advance(rtc, access->now);
    if (!(access->offset & 1)) {
        if (access->write)
            rtc->index[bank] = (uint8_t)(access->value & (bank ? 0xff : 0x7f));
        else
            access->value = rtc->index[bank];
    } else if (access->write) {
        write_register(rtc, rtc->index[bank], (uint8_t)access->value);
    } else {
        access->value = read_register(rtc, rtc->index[bank]);
    }
    update_irq(rtc);
    return true;
}

static void vrtc_tick(struct vdev *device, uint64_t now)
{
    struct vrtc *rtc = CONTAINER_OF(device, struct vrtc, device);
    advance(rtc, now);
    update_irq(rtc);
}

void vrtc_init(struct vrtc *rtc, struct vm *vm)
{
    *rtc = (struct vrtc){.device = {.name = "RTC",
                                    .vm = vm,
                                    .bytewise = true,
                                    .access = vrtc_access,
                                    .deadline = vrtc_deadline,
                                    .tick = vrtc_tick}};
    rtc->memory[REG_A] = A_RUNNING | 0x06; // 1024 Hz
    rtc->memory[REG_B] = B_24_HOURS;
}
