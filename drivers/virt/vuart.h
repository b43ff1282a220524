// A 16550A UART. Its line is a console: bytes leave by a callback that may have no room for them,
// and come in by vuart_receive(). The line is as fast as both ends; only the receiver's time-out
// knows the baud rate.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"

#define VUART_FIFO  16
#define VUART_PORTS 8

struct vuart_fifo {
    uint8_t byte[VUART_FIFO];
    uint8_t error[VUART_FIFO]; // LSR bits that came with the byte
    unsigned first;
    unsigned count;
};

struct vuart {
    struct vdev device;
    struct irq_line irq;
    // Takes a byte of output. False: no room; vuart_room() says when there is. Called under the
    // device's lock, so it must not call the UART.
    bool (*put)(void *context, uint8_t byte);
    void *context;

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
    struct vuart_fifo transmit; // bytes that put() had no room for
};

void vuart_init(struct vuart *uart, const char *name, struct vm *vm);

// A byte, or a break, from the line. False: no room, or the guest has looped the line back; offer
// it again later.
MUST_CHECK bool vuart_receive(struct vuart *uart, uint8_t byte);
MUST_CHECK bool vuart_break(struct vuart *uart);

// put() has room again: held bytes go out until it refuses one. True: none is held any more.
bool vuart_room(struct vuart *uart);
