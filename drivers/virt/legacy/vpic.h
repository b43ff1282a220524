// The pair of 8259A interrupt controllers of a PC, cascaded, with the edge/level control registers
// beside them. Lock order: a device's lock, then this one.
#pragma once

#include "vm/bus.h"

struct vpic_chip {
    uint8_t lines;        // levels of the inputs; on the master, input 2 is the slave's INTR
    uint8_t latched;      // rising edges that wait for their acknowledge
    uint8_t level_inputs; // ELCR: 1 level-triggered, 0 edge-triggered
    uint8_t service;      // ISR
    uint8_t mask;         // IMR
    uint8_t lowest;       // the input of lowest priority; the one after it has the highest
    uint8_t vector_base;  // ICW2
    uint8_t next_word;    // the ICW that comes next (2 to 4); 0: none, OCWs are taken
    bool initialised;     // has seen ICWs; no interrupts before
    bool expects_icw3;
    bool expects_icw4;
    bool auto_eoi;
    bool rotates_on_auto_eoi;
    bool special_fully_nested;
    bool special_mask;
    bool reads_service; // OCW3: reads give ISR, else IRR
    bool polls;         // OCW3: the next read acknowledges
};

struct vpic {
    struct vdev device;          // ports 20h, 21h, A0h, A1h, 4D0h, 4D1h; the offset is the port
    struct vpic_chip chip[2];    // master, slave
    _Atomic bool output;         // INTR; read without the lock
    _Atomic bool unacknowledged; // INTR where nobody answers it: it follows the lines; likewise
};

extern const struct vdev_class vpic_class;

// Input 0 to 15 (2 is the cascade and is ignored). When INTR rises, vCPU 0 gets REQUEST_EVENT
// and LINT0 pins are told.
void vpic_set(void *pic, unsigned input, bool level);

// For struct vm_irqchip: the INTR output, without a lock; and the acknowledge cycle that returns
// the vector, which is that of input 7 if the request is gone (a spurious interrupt).
bool vpic_pending(void *pic);
uint8_t vpic_acknowledge(void *pic);

// INTR where nobody acknowledges it, without a lock: it falls with the line.
bool vpic_line(void *pic);
