// The board: every device that a guest finds outside its CPUs, contained by value and wired
// together. Built before a VM's first entry, and anew when it starts again; afterwards reached
// through the VM's buses, its irqchip, and the functions below.
#pragma once

#include "drivers/virt/board_wiring.h"

// Builds the board that vm->traits and `parts` ask for: inserts its devices on vm->ports and
// vm->mmio, fills vm->irqchip, vm->board and vm->deadlines. `board` lives as long as the VM.
// vm->host, vm->traits and vm->vcpu_count must be set. Any result but STATUS_OK is explained.
MUST_CHECK status_t board_build(struct board *board, struct vm *vm, const struct board_parts *parts,
                                struct explanation *why);

// The state of all devices, one section after another (vdev_save()), to `to` if it fits in `room`
// bytes. Returns the length in any case. No vCPU of the VM runs meanwhile.
size_t board_save(struct vm *vm, uint8_t *to, size_t room);

// Makes the state of a board with the same devices this one's. It is not trusted: one that is not
// whole, or has a value that no device could have, is explained and changes nothing.
MUST_CHECK status_t board_load(struct vm *vm, const uint8_t *from, size_t length,
                               struct explanation *why);

// Bytes for the guest from one of its lines. Returns how many it took: none if it has no such line,
// or nobody reads there. Offer the others again.
size_t board_receive(struct vm *vm, enum vm_line line, const uint8_t *bytes, size_t length);

// Whether the guest has that line, and somebody reads there: of a serial port, always.
bool board_line_is_open(struct vm *vm, enum vm_line line);

// The size of the terminal on the virtio console, if there is one, in characters.
void board_resize(struct vm *vm, uint16_t columns, uint16_t rows);

// Input for the guest's serial port `port` (0 to 3), a byte or VUART_BREAK, which Linux takes as
// the SysRq key. False: there is no such port or its FIFO is full; offer it again after the guest
// has read.
MUST_CHECK bool board_uart_receive(struct vm *vm, unsigned port, unsigned byte);

// A line has room again: what a port holds goes there, and the guest goes on. What does not run any
// more does no work itself: that is done here, a piece a call. True: no port holds anything.
bool board_flush(struct vm *vm, bool runs);

// The guest is to have so many bytes of its memory. False: the VM has no balloon.
MUST_CHECK bool board_set_balloon(struct vm *vm, uint64_t bytes);

// The operator presses the power button: an ACPI guest shuts itself down. False: the guest has not
// enabled the button's event, so nothing will happen.
bool board_power_button(struct vm *vm);

// The VM goes on from an older state, as a copy perhaps of one that goes on too: it has this
// generation ID from now on, and its guest is told.
void board_renew_generation(struct vm *vm, const struct uuid *generation);
