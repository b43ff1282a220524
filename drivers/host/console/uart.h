// A 16550 UART at an I/O port: the host's serial console. Polled, or by its receive interrupt;
// every wait has an end, so an absent or dead UART never stops the machine. Callers serialize.
#pragma once

#include "lib/ring.h"

#define UART_FIFO_BYTES 16
#define UART_COM1_IRQ   4 // and COM3's; COM2 and COM4 have the other
#define UART_COM2_IRQ   3

struct uart {
    uint16_t port; // 0: there is none
    bool has_fifo;
    // it took nothing for too long: nobody waits for it until it takes something again
    bool is_stuck;
    uint32_t overruns; // times that received bytes were lost: the FIFO was full
};

// Looks for a UART at `port` and programs it: 115200 baud, 8 data bits, no parity, 1 stop bit,
// FIFOs on, interrupts off, DTR, RTS and OUT2 asserted. Returns false, with `uart->port` 0, if none
// answers there; all functions below then do nothing.
bool uart_init(struct uart *uart, uint16_t port);

// Sends as many bytes of a ring as the transmitter takes at once, without waiting: only those leave
// the ring. Returns false if it took none.
bool uart_drain(struct uart *uart, struct ring *ring);

// Sends all of them, waiting for room; what a stuck transmitter does not take stays in the ring.
void uart_drain_all(struct uart *uart, struct ring *ring);

// Waits until the last byte has left the transmitter (a power-off would cut it), but not for a
// stuck one.
void uart_flush(struct uart *uart);

// The next received byte, or -1 if there is none.
int uart_read(struct uart *uart);

// The receive interrupt on or off. It is level-like: drain with uart_read(). And its ISA IRQ.
void uart_receive_interrupt(struct uart *uart, bool enable);
int uart_interrupt_line(const struct uart *uart);
