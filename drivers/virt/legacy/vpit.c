// The 8254, after Intel's data sheet "8254 Programmable Interval Timer", and port 61h. Called from
// the port bus and by vm_tick_devices() when channel 0's output rises.
#include "drivers/virt/legacy/vpit.h"

#include "drivers/virt/legacy/frequency.h"
#include "vm/clock.h"
#include "vm/platform.h"

#define CONTROL_CHANNEL   0xc0
#define CONTROL_HALVES    0x30
#define CONTROL_MODE      0x0e
#define CONTROL_BCD       0x01
#define CONTROL_READ_BACK 3    // in the channel field
#define READ_BACK_COUNT   0x20 // active low, as is the next
#define READ_BACK_STATUS  0x10
#define STATUS_OUT        0x80
#define STATUS_NULL_COUNT 0x40

#define SYSTEM_B_GATE    0x01
#define SYSTEM_B_WRITTEN 0x0f
#define SYSTEM_B_REFRESH 0x10
#define SYSTEM_B_OUT     0x20
#define REFRESH_CLOCKS   18 // a refresh each 15 us
#define TICK_CLOCKS      (TICK_LEAST * PIT_HZ / NS_PER_SECOND)

static bool is_periodic(const struct vpit_channel *channel)
{
    return channel->mode == 2 || channel->mode == 3;
}

static bool is_triggered(const struct vpit_channel *channel)
{
    return channel->mode == 1 || channel->mode == 5;
}

static uint64_t elapsed(const struct vpit_channel *channel, uint64_t clocks)
{
    bool paused = !channel->gate && (channel->mode == 0 || channel->mode == 4);
    return (paused ? channel->paused_at : clocks) - channel->start;
}

static bool output(const struct vpit_channel *channel, uint64_t clocks)
{
    if (!channel->counting)
        return channel->mode != 0;
    uint64_t gone = elapsed(channel, clocks);
    switch (channel->mode) {
    case 0:
    case 1:
        return gone >= channel->count;
    case 2:
        return gone % channel->count != channel->count - 1;
    case 3:
        return gone % channel->count < (channel->count + 1) / 2;
    default:
        return gone != channel->count;
    }
}

// When the output rises next, after `clocks`.
static uint64_t next_rise(const struct vpit_channel *channel, uint64_t clocks)
{
    if (!channel->counting || !channel->gate)
        return NEVER;
    uint64_t gone = elapsed(channel, clocks);
    if (is_periodic(channel))
        return clocks - gone % channel->count + channel->count;
    // The strobe of modes 4 and 5 is low for one clock.
    uint64_t rise = channel->mode >= 4 ? channel->count + 1 : channel->count;
    return gone < rise ? channel->start + rise : NEVER;
}

static uint16_t to_bcd(unsigned value)
{
    return (uint16_t)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
                      value % 10);
}

static unsigned from_bcd(unsigned value)
{
    unsigned number =
        (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
    return MIN(number, 9999U);
}

// The counting element, as a read shows it.
static uint16_t present_count(const struct vpit_channel *channel, uint64_t clocks)
{
    uint32_t count = channel->count;
    uint32_t wrap = channel->bcd ? 10000 : 65536;
    uint64_t value = count;
    if (channel->counting) {
        uint64_t gone = elapsed(channel, clocks);
        if (channel->mode == 2) {
            value = count - gone % count;
        } else if (channel->mode == 3) { // down by two, twice a period
            uint64_t phase = gone % count;
            uint32_t high = (count + 1) / 2;
            value = (count & ~1U) - 2 * (phase < high ? phase : phase - high);
        } else { // it goes on below zero
            value = count + wrap - gone % wrap;
        }
    }
    value %= wrap;
    return channel->bcd ? to_bcd((unsigned)value) : (uint16_t)value;
}

static void begin(struct vpit_channel *channel, uint32_t count, uint64_t from)
{
    channel->count = count;
    channel->start = from;
    channel->paused_at = from;
    channel->counting = true;
    channel->next_count = 0;
}

// A waiting count whose time has come takes over.
static void settle(struct vpit_channel *channel, uint64_t clocks)
{
    if (channel->next_count && channel->next_from <= clocks)
        begin(channel, channel->next_count, channel->next_from);
}

static void load_count(struct vpit_channel *channel, unsigned written, uint64_t clocks)
{
    uint32_t count = channel->bcd ? from_bcd(written) : written;
    if (count == 0)
        count = channel->bcd ? 10000 : 65536;
    if (is_periodic(channel) && count == 1)
        count = 2; // 1 is illegal in these modes
    channel->loaded = true;
    if (is_triggered(channel)) {
        channel->next_count = count;
        channel->next_from = NEVER;
    } else if (is_periodic(channel) && channel->counting) {
        uint64_t gone = elapsed(channel, clocks);
        channel->next_count = count;
        channel->next_from = clocks - gone % channel->count + channel->count;
    } else if (is_periodic(channel) && !channel->gate) {
        channel->next_count = count;
        channel->next_from = NEVER;
    } else {
        begin(channel, count, clocks);
    }
}

static void set_gate(struct vpit_channel *channel, bool gate, uint64_t clocks)
{
    if (channel->gate == gate)
        return;
    if (channel->mode == 0 || channel->mode == 4) {
        if (gate)
            channel->start += clocks - channel->paused_at;
        channel->paused_at = clocks;
    } else if (gate && channel->loaded) {
        begin(channel, channel->next_count ? channel->next_count : channel->count, clocks);
    } else if (is_periodic(channel)) {
        channel->counting = false;
        channel->next_from = NEVER;
    }
    channel->gate = gate;
}

static void latch_count(struct vpit_channel *channel, uint64_t clocks)
{
    if (channel->count_latched)
        return;
    channel->count_latched = true;
    channel->latched_count = present_count(channel, clocks);
}

static void latch_status(struct vpit_channel *channel, uint64_t clocks)
{
    if (channel->status_latched)
        return;
    channel->status_latched = true;
    bool null_count = !channel->loaded || channel->next_count;
    channel->latched_status =
        (uint8_t)((output(channel, clocks) ? STATUS_OUT : 0) |
                  (null_count ? STATUS_NULL_COUNT : 0) |
                  FIELD_MAKE(CONTROL_HALVES, channel->halves) |
                  FIELD_MAKE(CONTROL_MODE, channel->mode) | (channel->bcd ? CONTROL_BCD : 0));
}

static void write_control(struct vpit *pit, uint8_t value)
{
    unsigned selected = FIELD_GET(CONTROL_CHANNEL, value);
    if (selected == CONTROL_READ_BACK) {
        for (unsigned i = 0; i < 3; i++) {
            if (!(value & 2U << i))
                continue;
            if (!(value & READ_BACK_COUNT))
                latch_count(&pit->channel[i], pit->clocks);
            if (!(value & READ_BACK_STATUS))
                latch_status(&pit->channel[i], pit->clocks);
        }
        return;
    }
    struct vpit_channel *channel = &pit->channel[selected];
    uint8_t halves = FIELD_GET(CONTROL_HALVES, value);
    if (halves == HALVES_LATCH) {
        latch_count(channel, pit->clocks);
        return;
    }
    unsigned mode = FIELD_GET(CONTROL_MODE, value);
    *channel =
        (struct vpit_channel){.mode = (uint8_t)(mode > 5 ? mode & 3 : mode), // 6 is 2, 7 is 3
                              .halves = halves,
                              .bcd = value & CONTROL_BCD,
                              .gate = channel->gate,
                              .count = channel->count};
}

static void write_count(struct vpit_channel *channel, uint8_t value, uint64_t clocks)
{
    switch (channel->halves) {
    case HALVES_LOW:
        load_count(channel, value, clocks);
        break;
    case HALVES_HIGH:
        load_count(channel, (unsigned)value << 8, clocks);
        break;
    default:
        if (channel->write_high) {
            load_count(channel, (unsigned)value << 8 | channel->low_byte, clocks);
        } else {
            channel->low_byte = value;
            if (channel->mode == 0)
                channel->counting = false; // stops until the other byte is here
        }
        channel->write_high = !channel->write_high;
        break;
    }
}

static uint8_t read_count(struct vpit_channel *channel, uint64_t clocks)
{
    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->latched_status;
    }
    uint16_t count =
        channel->count_latched ? channel->latched_count : present_count(channel, clocks);
    bool both = channel->halves == HALVES_BOTH;
    bool high = both ? channel->read_high : channel->halves == HALVES_HIGH;
    if (both)
        channel->read_high = !high;
    if (!both || high)
        channel->count_latched = false;
    return (uint8_t)(high ? count >> 8 : count);
}

static uint8_t read_system_b(const struct vpit *pit)
{
    return (uint8_t)(pit->system_b | (pit->clocks / REFRESH_CLOCKS & 1 ? SYSTEM_B_REFRESH : 0) |
                     (output(&pit->channel[2], pit->clocks) ? SYSTEM_B_OUT : 0));
}

static void advance(struct vpit *pit, uint64_t now)
{
    pit->clocks = MAX(pit->clocks, clocks_at(now, PIT_HZ));
    for (unsigned i = 0; i < 3; i++)
        settle(&pit->channel[i], pit->clocks);
}

static void write_port(struct vpit *pit, uint64_t port, uint8_t value)
{
    if (port == PORT_SYSTEM_B) {
        pit->system_b = value & SYSTEM_B_WRITTEN;
        set_gate(&pit->channel[2], value & SYSTEM_B_GATE, pit->clocks);
    } else if (port == PORT_PIT + 3) {
        write_control(pit, value);
    } else {
        write_count(&pit->channel[port - PORT_PIT], value, pit->clocks);
    }
    irq_set(&pit->irq, output(&pit->channel[0], pit->clocks));
    pit->rise_at = next_rise(&pit->channel[0], pit->clocks);
}

static bool vpit_access(struct vdev *device, struct access *access)
{
    struct vpit *pit = CONTAINER_OF(device, struct vpit, device);
    advance(pit, access->now);
    if (access->write)
        write_port(pit, access->offset, (uint8_t)access->value);
    else if (access->offset == PORT_SYSTEM_B)
        access->value = read_system_b(pit);
    else if (access->offset == PORT_PIT + 3)
        return false; // the control word cannot be read
    else
        access->value = read_count(&pit->channel[access->offset - PORT_PIT], pit->clocks);
    return true;
}

static uint64_t vpit_deadline(struct vdev *device)
{
    struct vpit *pit = CONTAINER_OF(device, struct vpit, device);
    return pit->rise_at == NEVER ? NEVER : ns_at(pit->rise_at, PIT_HZ);
}

static void vpit_tick(struct vdev *device, uint64_t now)
{
    struct vpit *pit = CONTAINER_OF(device, struct vpit, device);
    advance(pit, now);
    if (pit->clocks < pit->rise_at)
        return;
    // One edge, however late we are: what a board with a busy CPU would have seen, too.
    irq_set(&pit->irq, false);
    irq_set(&pit->irq, true);
    uint64_t least = pit->channel[0].count < TICK_CLOCKS ? TICK_CLOCKS : 0;
    pit->rise_at = next_rise(&pit->channel[0], pit->clocks + least);
}

static void vpit_reset(struct vdev *device)
{
    struct vpit *pit = CONTAINER_OF(device, struct vpit, device);
    pit->irq.level = true; // mode 2's output rests high; only the next rise is news
    pit->rise_at = NEVER;
    for (unsigned i = 0; i < 3; i++)
        pit->channel[i] =
            (struct vpit_channel){.mode = 2, .halves = HALVES_BOTH, .gate = i != 2, .count = 65536};
}

// The next rise is never farther than a period and the least distance of two ticks.
static void vpit_loaded(struct vdev *device)
{
    struct vpit *pit = CONTAINER_OF(device, struct vpit, device);
    uint64_t rise = next_rise(&pit->channel[0], pit->clocks + TICK_CLOCKS);
    if (pit->rise_at != NEVER)
        pit->rise_at = MIN(pit->rise_at, rise);
}

static const struct field channel_fields[] = {
    FIELD_WITHIN(struct vpit_channel, mode, 0, 5),
    FIELD_WITHIN(struct vpit_channel, halves, HALVES_LOW, HALVES_BOTH),
    FIELD(struct vpit_channel, bcd),
    FIELD(struct vpit_channel, gate),
    FIELD(struct vpit_channel, counting),
    FIELD(struct vpit_channel, loaded),
    FIELD(struct vpit_channel, write_high),
    FIELD(struct vpit_channel, read_high),
    FIELD(struct vpit_channel, count_latched),
    FIELD(struct vpit_channel, status_latched),
    FIELD(struct vpit_channel, low_byte),
    FIELD(struct vpit_channel, latched_status),
    FIELD(struct vpit_channel, latched_count),
    FIELD_WITHIN(struct vpit_channel, count, 1, 65536),
    FIELD(struct vpit_channel, start),
    FIELD(struct vpit_channel, paused_at),
    FIELD_WITHIN(struct vpit_channel, next_count, 0, 65536),
    FIELD(struct vpit_channel, next_from),
    {0},
};

static const struct field fields[] = {
    WIRING(struct vpit, device),
    FIELD_ONE(struct vpit, irq, irq_line_fields),
    FIELD_EACH(struct vpit, channel, channel_fields),
    FIELD_WITHIN(struct vpit, system_b, 0, SYSTEM_B_WRITTEN),
    FIELD_WITHIN(struct vpit, clocks, 0, CLOCKS_MOST),
    FIELD(struct vpit, rise_at),
    {0},
};

const struct vdev_class vpit_class = {.name = "8254",
                                      .size = sizeof(struct vpit),
                                      .bytewise = true,
                                      .access = vpit_access,
                                      .deadline = vpit_deadline,
                                      .tick = vpit_tick,
                                      .reset = vpit_reset,
                                      .loaded = vpit_loaded,
                                      .fields = fields};
