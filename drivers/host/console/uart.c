// The 16550: probing, programming, bytes out and in. Used by console.c.

#include "drivers/host/console/uart.h"
#include "arch/x86_64/io.h"
#include "arch/x86_64/tsc.h"

enum uart_register {
    UART_DATA = 0, // receive and transmit; with LCR.DLAB the divisor's low byte
    UART_IER = 1,  // interrupt enable; with LCR.DLAB the divisor's high byte
    UART_IIR = 2,  // read: interrupt identification
    UART_FCR = 2,  // write: FIFO control
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCRATCH = 7,
};

#define LCR_8N1        0x03U
#define LCR_DLAB       0x80U
#define IER_RECEIVE    0x01U
#define FCR_ENABLE     0x07U // on, both FIFOs emptied; a trigger level of 1 byte
#define IIR_FIFO_ON    0xc0U
#define MCR_READY      0x0bU // DTR, RTS, and OUT2, which gates the interrupt line on PCs
#define MCR_LOOPBACK   0x10U
#define MSR_INPUTS     0xf0U
#define LSR_DATA       0x01U
#define LSR_OVERRUN    0x02U
#define LSR_THR_EMPTY  0x20U
#define LSR_IDLE       0x40U // FIFO and shift register are empty
#define DIVISOR_115200 1U

// Longer than a FIFO takes at 115200 baud (1.4 ms) on any CPU of up to 10 GHz, and still nothing a
// person notices.
#define STUCK_TICKS UINT64_C(100000000)

static uint8_t uart_get(const struct uart *uart, enum uart_register reg)
{
    return in8((uint16_t)(uart->port + reg));
}

static void uart_set(const struct uart *uart, enum uart_register reg, uint8_t value)
{
    out8((uint16_t)(uart->port + reg), value);
}

// Reading it clears the overrun.
static uint8_t line_status(struct uart *uart)
{
    uint8_t status = uart_get(uart, UART_LSR);
    uart->overruns += (status & LSR_OVERRUN) != 0;
    return status;
}

// A register that keeps what is written, and modem inputs that follow the outputs in loopback: no
// other device and no empty port behaves so.
static bool uart_answers(const struct uart *uart)
{
    for (unsigned value = 0x55; value <= 0xaa; value += 0x55) {
        uart_set(uart, UART_SCRATCH, (uint8_t)value);
        // Something else on the bus, so that a floating bus does not echo the value.
        uart_set(uart, UART_IER, 0);
        if (uart_get(uart, UART_SCRATCH) != value || uart_get(uart, UART_IER) != 0)
            return false;
    }
    uint8_t mcr = uart_get(uart, UART_MCR);
    uart_set(uart, UART_MCR, MCR_LOOPBACK | 0x0a); // RTS and OUT2 come back as CTS and DCD
    bool loops = (uart_get(uart, UART_MSR) & MSR_INPUTS) == 0x90;
    uart_set(uart, UART_MCR, mcr);
    return loops;
}

bool uart_init(struct uart *uart, uint16_t port)
{
    *uart = (struct uart){.port = port};
    if (port == 0 || !uart_answers(uart)) {
        uart->port = 0;
        return false;
    }
    uart_set(uart, UART_LCR, LCR_DLAB | LCR_8N1);
    uart_set(uart, UART_DATA, DIVISOR_115200);
    uart_set(uart, UART_IER, 0);
    uart_set(uart, UART_LCR, LCR_8N1);
    uart_set(uart, UART_FCR, FCR_ENABLE);
    uart->has_fifo = (uart_get(uart, UART_IIR) & IIR_FIFO_ON) == IIR_FIFO_ON;
    uart_set(uart, UART_MCR, MCR_READY);
    // Whatever the firmware left behind.
    for (int i = 0; i < UART_FIFO_BYTES && uart_read(uart) >= 0; i++)
        ;
    return true;
}

bool uart_drain(struct uart *uart, struct ring *ring)
{
    uint64_t at = ring->read & (ring->size - 1);
    uint64_t length = min_once(ring_used(ring), ring->size - at);
    if (uart->port == 0 || length == 0 || (line_status(uart) & LSR_THR_EMPTY) == 0)
        return false;
    // "Empty" means the whole FIFO.
    length = MIN(length, uart->has_fifo ? UART_FIFO_BYTES : 1U);
    for (uint32_t i = 0; i < length; i++)
        uart_set(uart, UART_DATA, ring->bytes[at + i]);
    ring->read += length;
    uart->is_stuck = false;
    return true;
}

void uart_drain_all(struct uart *uart, struct ring *ring)
{
    uint64_t since = rdtsc();
    while (uart->port != 0 && ring_used(ring) > 0) {
        if (uart_drain(uart, ring))
            since = rdtsc();
        else if (uart->is_stuck || rdtsc() - since > STUCK_TICKS)
            break;
        pause();
    }
    uart->is_stuck = ring_used(ring) > 0;
}

void uart_flush(struct uart *uart)
{
    uint64_t since = rdtsc();
    while (uart->port != 0 && !uart->is_stuck && (line_status(uart) & LSR_IDLE) == 0 &&
           rdtsc() - since <= STUCK_TICKS)
        pause();
}

int uart_read(struct uart *uart)
{
    if (uart->port == 0 || (line_status(uart) & LSR_DATA) == 0)
        return -1;
    return uart_get(uart, UART_DATA);
}

void uart_receive_interrupt(struct uart *uart, bool enable)
{
    if (uart->port != 0)
        uart_set(uart, UART_IER, enable ? IER_RECEIVE : 0);
}

int uart_interrupt_line(const struct uart *uart)
{
    return uart->port == 0x2f8 || uart->port == 0x2e8 ? UART_COM2_IRQ : UART_COM1_IRQ;
}
