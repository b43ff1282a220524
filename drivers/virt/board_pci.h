// The functions on the board's PCI bus, in their slots and with their places.
#pragma once

#include "drivers/virt/board_wiring.h"

// Puts a function into a slot. After power-on its regions have places, and the header says which
// interrupt its line raises, unless firmware does that.
MUST_CHECK status_t board_add_function(struct board *board, unsigned slot,
                                       struct vpci_function *function, struct irq_line *irq,
                                       struct explanation *why);

// Plugs the virtio devices in that `parts` ask for, from the first free slot on.
MUST_CHECK status_t board_add_virtio(struct board *board, struct vm *vm,
                                     const struct board_parts *parts, struct explanation *why);
