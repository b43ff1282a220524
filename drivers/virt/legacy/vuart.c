// The 16550A's registers, FIFOs and interrupts, after National's data sheet "PC16550D Universal
// Asynchronous Receiver/Transmitter with FIFOs". Called from the port bus, and from the console
// through board.c.
#include "drivers/virt/legacy/vuart.h"

#include "vm/vm.h"

enum vuart_register { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RECEIVE  0x01
#define IER_TRANSMIT 0x02
#define IER_LINE     0x04
#define IER_MODEM    0x08

#define IIR_NONE     0x01
#define IIR_MODEM    0x00
#define IIR_TRANSMIT 0x02
#define IIR_RECEIVE  0x04
#define IIR_LINE     0x06
#define IIR_TIMEOUT  0x0c
#define IIR_FIFOS    0xc0

#define FCR_ENABLE         0x01
#define FCR_CLEAR_RECEIVE  0x02
#define FCR_CLEAR_TRANSMIT 0x04
#define FCR_TRIGGER        0xc0

#define LCR_WORD   0x03
#define LCR_STOP   0x04
#define LCR_PARITY 0x08
#define LCR_DLAB   0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 // on a PC, lets the interrupt out
#define MCR_LOOP 0x10

#define LSR_DATA_READY        0x01
#define LSR_OVERRUN           0x02
#define LSR_BREAK             0x10
#define LSR_TRANSMIT_EMPTY    0x20
#define LSR_TRANSMITTER_EMPTY 0x40
#define LSR_FIFO_ERROR        0x80

#define MSR_DELTAS 0x0f
#define MSR_TERI   0x04
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80

#define DEBUG_PRESENT 0xe9 // what a read tells who asks for the debug console

#define CLOCK_NS_NUMERATOR UINT64_C(16000000000) // 16 clocks a bit, in ns ...
#define CLOCK_HZ           1843200               // ... of this clock

static bool fifos_on(const struct vuart *uart)
{
    return uart->fifo_control & FCR_ENABLE;
}

static unsigned capacity(const struct vuart *uart)
{
    return fifos_on(uart) ? VUART_FIFO : 1;
}

static unsigned trigger_level(const struct vuart *uart)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos_on(uart) ? levels[FIELD_GET(FCR_TRIGGER, uart->fifo_control)] : 1;
}

static void fifo_push(struct vuart_fifo *fifo, uint8_t byte, uint8_t error)
{
    unsigned at = (fifo->first + fifo->count++) % VUART_FIFO;
    fifo->byte[at] = byte;
    fifo->error[at] = error;
}

static uint8_t fifo_pop(struct vuart_fifo *fifo)
{
    uint8_t byte = fifo->byte[fifo->first];
    fifo->first = (fifo->first + 1) % VUART_FIFO;
    fifo->count--;
    return byte;
}

// An error belongs to its character: it shows in LSR when the character is the next one to be read.
static void reveal_error(struct vuart *uart)
{
    if (uart->receive.count > 0) {
        uart->line_errors |= uart->receive.error[uart->receive.first];
        uart->receive.error[uart->receive.first] = 0;
    }
}

static uint8_t line_status(const struct vuart *uart)
{
    uint8_t status = uart->line_errors;
    if (uart->receive.count > 0)
        status |= LSR_DATA_READY;
    if (uart->transmit.count == 0)
        status |= LSR_TRANSMIT_EMPTY | LSR_TRANSMITTER_EMPTY;
    for (unsigned i = 0; fifos_on(uart) && i < uart->receive.count; i++)
        if (uart->receive.error[(uart->receive.first + i) % VUART_FIFO])
            status |= LSR_FIFO_ERROR;
    return status;
}

// The highest of the pending interrupts, as IIR names it.
static uint8_t interrupt_source(const struct vuart *uart)
{
    uint8_t enabled = uart->interrupt_enable;
    if ((enabled & IER_LINE) && uart->line_errors)
        return IIR_LINE;
    if ((enabled & IER_RECEIVE) && uart->receive.count >= trigger_level(uart))
        return IIR_RECEIVE;
    if ((enabled & IER_RECEIVE) && uart->receive_timeout)
        return IIR_TIMEOUT;
    if ((enabled & IER_TRANSMIT) && uart->transmit_interrupt)
        return IIR_TRANSMIT;
    if ((enabled & IER_MODEM) && (uart->modem_status & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct vuart *uart)
{
    irq_set(&uart->irq,
            interrupt_source(uart) != IIR_NONE && (uart->modem_control & MCR_OUT2) != 0);
}

// Four times a character of start bit, word, parity and stop bits.
static uint64_t timeout_ns(const struct vuart *uart)
{
    unsigned bits = 1 + 5 + (uart->line_control & LCR_WORD) + 1;
    bits += (uart->line_control & LCR_PARITY) != 0;
    bits += (uart->line_control & LCR_STOP) != 0;
    uint64_t bit_ns = CLOCK_NS_NUMERATOR * MAX(uart->divisor, 1U) / CLOCK_HZ;
    return 4 * bits * bit_ns;
}

static bool timeout_is_running(const struct vuart *uart)
{
    return fifos_on(uart) && uart->receive.count > 0 && !uart->receive_timeout &&
           uart->receive.count < trigger_level(uart);
}

// A character enters the receiver. One too many is lost, and leaves the overrun bit.
static void receive(struct vuart *uart, uint8_t byte, uint8_t error)
{
    if (uart->receive.count == capacity(uart)) {
        uart->line_errors |= LSR_OVERRUN;
        if (!fifos_on(uart)) { // the holding register is overwritten, a FIFO is not
            fifo_pop(&uart->receive);
            fifo_push(&uart->receive, byte, error);
        }
    } else {
        fifo_push(&uart->receive, byte, error);
    }
    reveal_error(uart);
    uart->timeout_at = uart->now + timeout_ns(uart);
}

static bool put(struct vuart *uart, uint8_t byte)
{
    struct vm_console *console = uart->device.vm->console[uart->port];
    return !console || vm_console_put(console, byte);
}

static void transmit(struct vuart *uart, uint8_t byte)
{
    uart->transmit_interrupt = false;
    update_irq(uart); // the line falls between two bytes, as edge-triggered inputs need it
    if (uart->modem_control & MCR_LOOP) {
        receive(uart, byte, 0);
    } else if (uart->transmit.count > 0 || !put(uart, byte)) {
        if (uart->transmit.count == capacity(uart))
            return; // written although THRE was clear: lost, as on the chip
        fifo_push(&uart->transmit, byte, 0);
        return;
    }
    uart->transmit_interrupt = uart->transmit.count == 0;
}

static uint8_t read_data(struct vuart *uart)
{
    uint8_t byte = 0;
    if (uart->receive.count > 0)
        byte = fifo_pop(&uart->receive);
    reveal_error(uart);
    uart->receive_timeout = false;
    uart->timeout_at = uart->now + timeout_ns(uart);
    return byte;
}

// The modem's inputs: a terminal that is always there, or our own outputs looped back.
static void update_modem_status(struct vuart *uart)
{
    uint8_t inputs = MSR_CTS | MSR_DSR | MSR_DCD;
    if (uart->modem_control & MCR_LOOP)
        inputs = (uint8_t)(((uart->modem_control & MCR_RTS) ? MSR_CTS : 0) |
                           ((uart->modem_control & MCR_DTR) ? MSR_DSR : 0) |
                           ((uart->modem_control & MCR_OUT1) ? MSR_RI : 0) |
                           ((uart->modem_control & MCR_OUT2) ? MSR_DCD : 0));
    uint8_t changed = (uart->modem_status ^ inputs) & ~MSR_DELTAS;
    uint8_t deltas = changed >> 4;
    if (inputs & MSR_RI) // only the trailing edge of RI counts
        deltas &= (uint8_t)~MSR_TERI;
    uart->modem_status = inputs | (uart->modem_status & MSR_DELTAS) | deltas;
}

static void write_fifo_control(struct vuart *uart, uint8_t value)
{
    bool switched = (value ^ uart->fifo_control) & FCR_ENABLE;
    if (!(value & FCR_ENABLE))
        value = 0; // the other bits count only together with this one
    if (switched || (value & FCR_CLEAR_RECEIVE)) {
        uart->receive.count = 0;
        uart->receive_timeout = false;
    }
    if ((switched || (value & FCR_CLEAR_TRANSMIT)) && uart->transmit.count > 0) {
        uart->transmit.count = 0;
        uart->transmit_interrupt = true;
    }
    uart->fifo_control = value & (FCR_ENABLE | FCR_TRIGGER);
}

static uint8_t read_register(struct vuart *uart, enum vuart_register reg)
{
    bool divisor = uart->line_control & LCR_DLAB;
    uint8_t value = 0;
    switch (reg) {
    case DATA:
        return divisor ? (uint8_t)uart->divisor : read_data(uart);
    case IER:
        return divisor ? (uint8_t)(uart->divisor >> 8) : uart->interrupt_enable;
    case IIR_FCR:
        value = interrupt_source(uart);
        if (value == IIR_TRANSMIT)
            uart->transmit_interrupt = false;
        return value | (fifos_on(uart) ? IIR_FIFOS : 0);
    case LCR:
        return uart->line_control;
    case MCR:
        return uart->modem_control;
    case LSR:
        value = line_status(uart);
        uart->line_errors = 0;
        return value;
    case MSR:
        value = uart->modem_status;
        uart->modem_status &= (uint8_t)~MSR_DELTAS;
        return value;
    case SCR:
        return uart->scratch;
    }
    return 0xff;
}

static void write_register(struct vuart *uart, enum vuart_register reg, uint8_t value)
{
    bool divisor = uart->line_control & LCR_DLAB;
    switch (reg) {
    case DATA:
        if (divisor)
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        else
            transmit(uart, value);
        break;
    case IER:
        if (divisor) {
            uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
            break;
        }
        // Enabling it while THR is empty raises the transmit interrupt.
        if ((value & ~uart->interrupt_enable & IER_TRANSMIT) && uart->transmit.count == 0)
            uart->transmit_interrupt = true;
        uart->interrupt_enable = value & 0x0f;
        break;
    case IIR_FCR:
        write_fifo_control(uart, value);
        break;
    case LCR:
        uart->line_control = value;
        break;
    case MCR:
        uart->modem_control = value & 0x1f;
        update_modem_status(uart);
        break;
    case LSR: // for the factory's tests only
    case MSR:
        break;
    case SCR:
        uart->scratch = value;
        break;
    }
}

// A port without a status register: what finds no room is lost.
static bool access_debug(struct vuart *uart, struct access *access)
{
    if (access->write)
        (void)put(uart, (uint8_t)access->value);
    else
        access->value = DEBUG_PRESENT;
    return true;
}

static bool vuart_access(struct vdev *device, struct access *access)
{
    struct vuart *uart = CONTAINER_OF(device, struct vuart, device);
    if (access->offset == VUART_DEBUG)
        return access_debug(uart, access);
    uart->now = access->now;
    if (access->write)
        write_register(uart, (enum vuart_register)(access->offset & 7), (uint8_t)access->value);
    else
        access->value = read_register(uart, (enum vuart_register)(access->offset & 7));
    update_irq(uart);
    return true;
}

static uint64_t vuart_deadline(struct vdev *device)
{
    struct vuart *uart = CONTAINER_OF(device, struct vuart, device);
    return timeout_is_running(uart) ? uart->timeout_at : NEVER;
}

static void vuart_tick(struct vdev *device, uint64_t now)
{
    struct vuart *uart = CONTAINER_OF(device, struct vuart, device);
    uart->now = now;
    if (timeout_is_running(uart) && now >= uart->timeout_at) {
        uart->receive_timeout = true;
        update_irq(uart);
    }
}

static void vuart_reset(struct vdev *device)
{
    struct vuart *uart = CONTAINER_OF(device, struct vuart, device);
    uart->divisor = 12; // 9600 baud
    uart->line_control = LCR_WORD;
    uart->modem_status = MSR_CTS | MSR_DSR | MSR_DCD;
}

static const struct field fifo_fields[] = {
    FIELD_ARRAY(struct vuart_fifo, byte),
    FIELD_ARRAY(struct vuart_fifo, error),
    FIELD_WITHIN(struct vuart_fifo, first, 0, VUART_FIFO - 1),
    FIELD_WITHIN(struct vuart_fifo, count, 0, VUART_FIFO),
    {0},
};

static const struct field fields[] = {
    WIRING(struct vuart, device),
    FIELD_ONE(struct vuart, irq, irq_line_fields),
    WIRING(struct vuart, port),
    FIELD(struct vuart, divisor),
    FIELD(struct vuart, interrupt_enable),
    FIELD(struct vuart, fifo_control),
    FIELD(struct vuart, line_control),
    FIELD(struct vuart, modem_control),
    FIELD(struct vuart, line_errors),
    FIELD(struct vuart, modem_status),
    FIELD(struct vuart, scratch),
    FIELD(struct vuart, transmit_interrupt),
    FIELD(struct vuart, receive_timeout),
    FIELD(struct vuart, timeout_at),
    FIELD(struct vuart, now),
    FIELD_ONE(struct vuart, receive, fifo_fields),
    FIELD_ONE(struct vuart, transmit, fifo_fields),
    {0},
};

const struct vdev_class vuart_class = {.name = "16550A",
                                       .size = sizeof(struct vuart),
                                       .bytewise = true,
                                       .access = vuart_access,
                                       .deadline = vuart_deadline,
                                       .tick = vuart_tick,
                                       .reset = vuart_reset,
                                       .fields = fields};

bool vuart_receive(struct vuart *uart, unsigned byte)
{
    spin_lock(&uart->device.lock);
    bool taken = uart->receive.count < capacity(uart) && !(uart->modem_control & MCR_LOOP);
    if (taken) {
        receive(uart, (uint8_t)byte, byte == VUART_BREAK ? LSR_BREAK : 0);
        update_irq(uart);
    }
    vdev_unlock(&uart->device);
    return taken;
}

bool vuart_flush(struct vuart *uart)
{
    spin_lock(&uart->device.lock);
    bool held = uart->transmit.count > 0;
    while (uart->transmit.count > 0 && put(uart, uart->transmit.byte[uart->transmit.first]))
        fifo_pop(&uart->transmit);
    bool is_out = uart->transmit.count == 0;
    if (held && is_out)
        uart->transmit_interrupt = true;
    update_irq(uart);
    vdev_unlock(&uart->device);
    return is_out;
}
