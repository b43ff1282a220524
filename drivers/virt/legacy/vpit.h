// The 8254 timer of a PC, and port 61h, which holds the gate of channel 2, the speaker and the
// refresh toggle. Nothing counts: each channel knows when its counting began, and computes what a
// guest could see from the time.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"

#define PIT_HZ 1193182

enum vpit_halves { HALVES_LATCH, HALVES_LOW, HALVES_HIGH, HALVES_BOTH }; // the RW field

struct vpit_channel {
    uint8_t mode; // 0 to 5
    uint8_t halves;
    bool bcd;
    bool gate;
    bool counting;   // `start` is valid; modes 1 and 5: since a trigger
    bool loaded;     // a count was written since the control word
    bool write_high; // the next written byte is the high one
    bool read_high;
    bool count_latched;
    bool status_latched;
    uint8_t low_byte; // of a count that comes in two writes
    uint8_t latched_status;
    uint16_t latched_count;
    uint32_t count;     // in clocks, 1 to 65536 (10000 in BCD)
    uint64_t start;     // when counting began, in clocks since VM time 0
    uint64_t paused_at; // modes 0 and 4 while the gate is low
    // A count that waits for the end of the period (modes 2 and 3) or for a trigger (1 and 5).
    uint32_t next_count; // 0: none
    uint64_t next_from;  // NEVER: a trigger
};

struct vpit {
    struct vdev device;  // ports 40h to 43h and 61h; the offset is the port
    struct irq_line irq; // channel 0's output
    // port 61h: what the guest wrote of bits 0 to 3; bit 0 is the gate of channel 2
    uint8_t system_b;
    uint64_t clocks;  // time of the last access or tick: never goes back
    uint64_t rise_at; // when channel 0's output rises next, in clocks, or NEVER
    struct vpit_channel channel[3];
};

extern const struct vdev_class vpit_class;
