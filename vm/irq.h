// An interrupt line from a device to an interrupt controller, wired in drivers/virt/board.c.
#pragma once

#include "lib/fields.h"

struct irq_line {
    void (*set)(void *controller, unsigned input, bool level); // NULL: not connected
    void *controller;
    unsigned input;
    bool level; // as last set
};

extern const struct field irq_line_fields[];

// Drives the line; the controller hears of changes only. Called under the lock of the device that
// owns the line.
static inline void irq_set(struct irq_line *line, bool level)
{
    if (line->level == level)
        return;
    line->level = level;
    if (line->set)
        line->set(line->controller, line->input, level);
}
