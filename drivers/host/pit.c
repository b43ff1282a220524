// The 8254's channel 2: see pit.h.

#include "drivers/host/pit.h"
#include "arch/x86_64/io.h"

#define PIT_CHANNEL_2 0x42
#define PIT_COMMAND   0x43
#define PORT_B        0x61

#define COMMAND_RATE_GENERATOR 0xb4 // channel 2, low then high byte, mode 2
#define COMMAND_LATCH          0x80 // channel 2
#define PORT_B_GATE            0x01U
#define PORT_B_SPEAKER         0x02U
#define PORT_B_WRITABLE        0x0fU

static uint32_t read_channel(void *context)
{
    out8(PIT_COMMAND, COMMAND_LATCH);
    uint32_t low = in8(PIT_CHANNEL_2);
    uint32_t high = in8(PIT_CHANNEL_2);
    // It counts down.
    return ~(high << 8 | low) & 0xffff;
}

static void set_gate(bool open)
{
    uint8_t value = in8(PORT_B) & PORT_B_WRITABLE & (uint8_t) ~(PORT_B_GATE | PORT_B_SPEAKER);
    out8(PORT_B, open ? value | PORT_B_GATE : value);
}

void pit_clock(struct reference_clock *clock)
{
    set_gate(true);
    out8(PIT_COMMAND, COMMAND_RATE_GENERATOR);
    // 0 means 65536: the counter runs through all its values.
    out8(PIT_CHANNEL_2, 0);
    out8(PIT_CHANNEL_2, 0);
    *clock = (struct reference_clock){
        .name = "the PIT",
        .read = read_channel,
        .hz = PIT_HZ,
        .mask = 0xffff,
    };
}

void pit_stop(void)
{
    set_gate(false);
}
