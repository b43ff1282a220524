// The MC146818, after Motorola's data sheet "MC146818 Real-Time Clock plus RAM". Called from the
// port bus, and by vm_tick_devices() for the interrupts that the guest has enabled.
#include "drivers/virt/legacy/vrtc.h"

#include "lib/calendar.h"
#include "drivers/virt/legacy/frequency.h"
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

// Reads the date's registers. What no calendar has (month 0, hour 99) is brought into range.
static void read_date(const struct vrtc *rtc, unsigned value[PARTS])
{
    for (unsigned i = 0; i < PARTS; i++) {
        uint8_t form = rtc->memory[parts[i].at];
        unsigned number = i == HOUR ? decode_hour(rtc, form) : decode(rtc, form);
        value[i] = MAX(MIN(number, parts[i].most), parts[i].least);
    }
}

static int64_t days_of(const unsigned value[PARTS])
{
    return days_from_date((struct date){.year = (int32_t)(value[CENTURY] * 100 + value[SHORT_YEAR]),
                                        .month = value[MONTH_OF_YEAR],
                                        .day = value[DAY_OF_MONTH]});
}

static unsigned clock_of(const unsigned value[PARTS])
{
    return value[HOUR] * 3600 + value[MINUTE] * 60 + value[SECOND];
}

// Writes the registers; the weekday follows from the date.
static void write_date(struct vrtc *rtc, unsigned value[PARTS])
{
    value[DAY_OF_WEEK] = weekday_from_days(days_of(value));
    for (unsigned i = 0; i < PARTS; i++)
        rtc->memory[parts[i].at] = i == HOUR ? encode_hour(rtc, value[i]) : encode(rtc, value[i]);
}

static void count_seconds(struct vrtc *rtc, uint64_t seconds)
{
    unsigned value[PARTS];
    read_date(rtc, value);
    seconds += clock_of(value);
    if (seconds >= DAY_SECONDS) {
        struct date date = date_from_days(days_of(value) + (int64_t)(seconds / DAY_SECONDS));
        value[DAY_OF_MONTH] = date.day;
        value[MONTH_OF_YEAR] = date.month;
        value[SHORT_YEAR] = (unsigned)(date.year % 100);
        value[CENTURY] = (unsigned)(date.year / 100 % 100);
    }
    value[SECOND] = (unsigned)(seconds % 60);
    value[MINUTE] = (unsigned)(seconds / 60 % 60);
    value[HOUR] = (unsigned)(seconds / 3600 % 24);
    write_date(rtc, value);
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

// Seconds until the date matches the alarm, at least 1; 0: it never does.
static unsigned until_alarm(const struct vrtc *rtc)
{
    uint64_t hours = alarm_values(rtc, HOURS_ALARM, 24);
    uint64_t minutes = alarm_values(rtc, MINUTES_ALARM, 60);
    uint64_t seconds = alarm_values(rtc, SECONDS_ALARM, 60);
    if (!hours || !minutes || !seconds)
        return 0;
    unsigned value[PARTS];
    read_date(rtc, value);
    unsigned from = clock_of(value) + 1; // may be midnight
    unsigned hour = from / 3600 % 24, minute = from / 60 % 60, second = from % 60;
    unsigned midnight = from - hour * 3600 - minute * 60 - second;
    unsigned at = 0;
    // Upwards from the seconds: the first place where a later value exists; all below it begin at
    // their first.
    uint64_t later_minutes = minutes & ~UINT64_C(1) << minute;
    uint64_t later_hours = hours & ~UINT64_C(1) << hour;
    if ((hours & BIT(hour)) && (minutes & BIT(minute)) && seconds >> second)
        at = hour * 3600 + minute * 60 + second + lowest_bit(seconds >> second);
    else if ((hours & BIT(hour)) && later_minutes)
        at = hour * 3600 + lowest_bit(later_minutes) * 60 + lowest_bit(seconds);
    else
        at = (later_hours ? 0 : DAY_SECONDS) +
             lowest_bit(later_hours ? later_hours : hours) * 3600 + lowest_bit(minutes) * 60 +
             lowest_bit(seconds);
    return midnight + at + 1 - from;
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
    rtc->until_alarm = until_alarm(rtc);
    rtc->seen_period = present_period(rtc);
}

// Not at construction: VM time, and the wall clock at its beginning, start with the VM.
static void start(struct vrtc *rtc)
{
    struct vm *vm = rtc->device.vm;
    uint64_t seconds = rtc->now / NS_PER_SECOND;
    rtc->started = true;
    rtc->second_began = seconds * NS_PER_SECOND;
    count_seconds(rtc, MIN(vm->host->wall_clock(vm), LAST_SECOND) + seconds);
    restart_alarm_and_period(rtc);
}

// Lets the registers follow up to `now`, and sets the flags of everything that happened.
static void advance(struct vrtc *rtc, uint64_t now)
{
    rtc->now = MAX(rtc->now, now);
    if (!rtc->started)
        start(rtc);
    uint64_t seconds = rtc->frozen ? 0 : (rtc->now - rtc->second_began) / NS_PER_SECOND;
    if (seconds) {
        rtc->second_began += seconds * NS_PER_SECOND;
        rtc->flags |= C_UPDATE;
        count_seconds(rtc, seconds);
        if (!rtc->until_alarm || seconds < rtc->until_alarm) {
            rtc->until_alarm -= rtc->until_alarm ? (unsigned)seconds : 0;
        } else {
            rtc->flags |= C_ALARM;
            rtc->until_alarm = until_alarm(rtc);
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
        deadline = rtc->second_began + NS_PER_SECOND;
    if ((wanted & B_ALARM) && !rtc->frozen && rtc->until_alarm)
        deadline = MIN(deadline, rtc->second_began + rtc->until_alarm * NS_PER_SECOND);
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

// With SET the date stands still and its registers stay as they are written; what they say together
// counts from when SET goes off. Their form changes with the date while it runs only.
static void write_b(struct vrtc *rtc, uint8_t value)
{
    unsigned date[PARTS];
    bool ran = !rtc->frozen;
    rtc->frozen = value & B_SET;
    if (ran)
        read_date(rtc, date);
    rtc->memory[REG_B] = rtc->frozen ? value & (uint8_t)~B_UPDATE : value;
    if (rtc->frozen)
        return;
    if (!ran) {
        rtc->second_began = rtc->now;
        read_date(rtc, date);
    }
    write_date(rtc, date);
}

static void write_date_register(struct vrtc *rtc, unsigned at, uint8_t form)
{
    unsigned date[PARTS];
    rtc->memory[at] = form;
    if (rtc->frozen)
        return;
    read_date(rtc, date);
    write_date(rtc, date);
}

static void write_register(struct vrtc *rtc, unsigned at, uint8_t value)
{
    if (at < REG_A || at == CMOS_CENTURY)
        write_date_register(rtc, at, value);
    else if (at == REG_A)
        rtc->memory[REG_A] = value & (uint8_t)~A_UPDATING;
    else if (at == REG_B)
        write_b(rtc, value);
    else if (at > REG_D)
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

static void vrtc_reset(struct vdev *device)
{
    struct vrtc *rtc = CONTAINER_OF(device, struct vrtc, device);
    rtc->memory[REG_A] = A_RUNNING | 0x06; // 1024 Hz
    rtc->memory[REG_B] = B_24_HOURS;
    rtc->memory[CMOS_CENTURY] = 0x19; // 1970, where the wall clock counts from
    rtc->memory[YEAR] = 0x70;
}

static void vrtc_loaded(struct vdev *device)
{
    struct vrtc *rtc = CONTAINER_OF(device, struct vrtc, device);
    rtc->second_began = MIN(rtc->second_began, rtc->now);
}

static const struct field fields[] = {
    WIRING(struct vrtc, device),
    FIELD_ONE(struct vrtc, irq, irq_line_fields),
    FIELD_ARRAY(struct vrtc, index),
    FIELD_ARRAY(struct vrtc, memory),
    FIELD(struct vrtc, flags),
    FIELD(struct vrtc, started),
    FIELD(struct vrtc, frozen),
    FIELD(struct vrtc, second_began),
    FIELD_WITHIN(struct vrtc, until_alarm, 0, DAY_SECONDS),
    FIELD_WITHIN(struct vrtc, seen_period, 0, CLOCKS_MOST),
    FIELD_WITHIN(struct vrtc, now, 0, CLOCKS_MOST),
    {0},
};

const struct vdev_class vrtc_class = {.name = "RTC",
                                      .size = sizeof(struct vrtc),
                                      .bytewise = true,
                                      .access = vrtc_access,
                                      .deadline = vrtc_deadline,
                                      .tick = vrtc_tick,
                                      .reset = vrtc_reset,
                                      .loaded = vrtc_loaded,
                                      .fields = fields};
