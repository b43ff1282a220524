// A 16550A UART. Its line is a console of the host, which may have no room for what leaves; bytes
// come in by vuart_receive(). The line is as fast as both ends; only the receiver's time-out
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
    unsigned port; // of vm->host->console_write(), which is called under the device's lock

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

void vuart_init(struct vuart *uart, const char *name, struct vm *vm, unsigned port);

#define VUART_BREAK 0x100 // instead of a byte

// A byte, or a break, from the line. False: no room, or the guest has looped the line back; offer
// it again later.
MUST_CHECK bool vuart_receive(struct vuart *uart, unsigned byte);

// The console has room again: held bytes go out until it refuses one. True: none is held any more.
bool vuart_room(struct vuart *uart);
