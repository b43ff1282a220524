// An interrupt line from a device to an interrupt controller, wired in drivers/virt/board.c.
#pragma once

#include "lib/bits.h"

struct irq_line {
    void (*set)(void *controller, unsigned input, bool level); // NULL: not connected
    void *controller;
    unsigned input;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->controller, line->input, level);
}
