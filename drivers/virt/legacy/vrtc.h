// The MC146818 real-time clock and its battery-backed memory, at ports 70h to 73h. The date
// follows VM time when it is looked at; nothing ticks unless an interrupt is enabled. Bit 7 of port
// 70h, the NMI mask, is ignored.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"

#define VRTC_BYTES 256

// Places in the memory with a meaning that firmware and guests agree on.
enum vrtc_memory {
    CMOS_BASE_MEMORY = 0x15,     // 2 bytes: KiB below 1 MiB
    CMOS_EXTENDED_MEMORY = 0x17, // 2 bytes: KiB above 1 MiB, at most 65535; again at 30h
    CMOS_EXTENDED_AGAIN = 0x30,
    CMOS_CENTURY = 0x32,
    CMOS_MEMORY_16M = 0x34, // 2 bytes: 64 KiB units above 16 MiB, below 4 GiB
    CMOS_MEMORY_4G = 0x5b,  // 3 bytes: 64 KiB units above 4 GiB
    CMOS_CPUS = 0x5f,       // CPUs besides the first
};

struct vrtc {
    struct vdev device; // offsets count from port 70h
    struct irq_line irq;
    uint8_t index[2];           // what 70h and 72h select
    uint8_t memory[VRTC_BYTES]; // all registers but C and D; the date is that of `second_began`
    uint8_t flags;              // register C without IRQF
    bool started;               // the wall clock was read
    bool frozen;                // SET: the date stands still
    uint64_t second_began;      // VM time
    unsigned until_alarm;       // seconds from then until the date matches the alarm; 0: never
    uint64_t seen_period;       // the periodic interrupt has had its effect up to here
    uint64_t now;               // time of the last access or tick: never goes back
};

// The clock shows vm->host->wall_clock(), which is asked at the first access, plus VM time.
extern const struct vdev_class vrtc_class;
