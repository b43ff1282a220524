// The keyboard controller of a PC, complete, with neither keyboard nor mouse plugged in: its
// commands work, and a byte sent to a device comes back as the controller's own complaint (FEh with
// the time-out bit), at once. On a board with firmware nothing of it is to be seen; the reset line
// works.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"

struct vi8042 {
    struct vdev device; // ports 60h and 64h; the offset is the port
    struct irq_line keyboard_irq;
    struct irq_line mouse_irq;
    uint8_t memory[32]; // internal RAM; byte 0 is the command byte
    uint8_t status;     // what port 64h reads
    uint8_t output;     // what port 60h reads
    uint8_t output_port;
    uint8_t command; // that waits for its data byte, or 0
};

extern const struct vdev_class vi8042_class;
