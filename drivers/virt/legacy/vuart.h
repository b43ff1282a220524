// A 16550A UART. Its line is a console (vm/console.h), which may have no room for what leaves;
// bytes come in by vuart_receive(). The line is as fast as both ends; only the receiver's time-out
// knows the baud rate. Behind its registers is a debug console that prints to the same line.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"
#include "vm/platform.h"

#define VUART_FIFO  16
#define VUART_PORTS 8
#define VUART_DEBUG PORT_DEBUG // offset of the debug console: QEMU's isa-debugcon

struct vuart_fifo {
    uint8_t byte[VUART_FIFO];
    uint8_t error[VUART_FIFO]; // LSR bits that came with the byte
    unsigned first;
    unsigned count;
};

struct vuart {
    struct vdev device;
    struct irq_line irq;
    unsigned port; // vm->console[] that it prints to

    uint16_t divisor;
    uint8_t interrupt_enable;
    uint8_t fifo_control;
    uint8_t line_control;
    uint8_t modem_control;
    uint8_t line_errors;  // LSR: what reading it clears
    uint8_t modem_status; // with its delta bits
    uint8_t scratch;
    bool transmit_interrupt; // THR became empty and nobody has looked at IIR since
    bool receive_timeout;    // the character time-out has happened
    uint64_t timeout_at;     // when it will, if the FIFO stays as it is
    uint64_t now;            // time of the last access or tick
    struct vuart_fifo receive;
    struct vuart_fifo transmit; // bytes that the console had no room for
};

extern const struct vdev_class vuart_class;

#define VUART_BREAK 0x100 // instead of a byte

// A byte, or a break, from the line. False: no room, or the guest has looped the line back; offer
// it again later.
MUST_CHECK bool vuart_receive(struct vuart *uart, unsigned byte);

// The console has room again: held bytes go out until it refuses one. True: none is held any more.
bool vuart_flush(struct vuart *uart);
