// The second serial line: a ring outwards, and one inwards, so that a burst finds room while the
// guest is busy.

#include "boot/uart2.h"

#include "boot/consoles.h"
#include "boot/machine.h"
#include "boot/vms.h"
#include "drivers/host/console.h"
#include "drivers/host/uart.h"
#include "drivers/virt/board.h"

#define COM1       0x3f8
#define COM2       0x2f8
#define COM1_IRQ   4
#define COM2_IRQ   3
#define RING_BYTES 4096
#define READ_BYTES 512
#define NO_OWNER   0

static struct {
    struct uart uart;
    uint8_t bytes[RING_BYTES];
    struct ring ring;       // the owner's UART lock makes it the one writer; CPU 0 reads
    _Atomic unsigned owner; // vm->id
    uint8_t read_bytes[READ_BYTES];
    struct ring read; // CPU 0's alone
} line;

// The one of the first two that is not the console. Without its interrupt a burst of input finds
// the FIFO full.
static bool open_line(void)
{
    bool is_com2 = console_interrupt_line() == COM1_IRQ;
    ring_init(&line.ring, line.bytes, RING_BYTES);
    ring_init(&line.read, line.read_bytes, READ_BYTES);
    if (!uart_init(&line.uart, is_com2 ? COM2 : COM1))
        return false;
    if (machine_route_input(is_com2 ? COM2_IRQ : COM1_IRQ))
        uart_receive_interrupt(&line.uart, true);
    return true;
}

void uart2_claim(struct vm *vm)
{
    const char *name = vm->config.name;
    if (!vm->config.uart2 || line.owner == vm->id)
        return;
    if (line.owner != NO_OWNER)
        tell("corbel: %s: uart2: the second serial line is %s's: what COM2 prints is dropped\n",
             name, vms_config(line.owner - 1)->name);
    else if (!open_line())
        tell("corbel: %s: uart2: this machine has no second serial line: what COM2 prints is "
             "dropped\n",
             name);
    else
        line.owner = vm->id;
}

bool uart2_write(struct vm *vm, uint8_t byte)
{
    return line.owner != vm->id || ring_put(&line.ring, byte);
}

static void receive(struct vm *vm)
{
    int byte;
    while (ring_free(&line.read) && (byte = uart_read(&line.uart)) >= 0)
        (void)ring_put(&line.read, (uint8_t)byte);
    while (vm && (byte = ring_peek(&line.read)) >= 0 && board_uart_receive(vm, 1, (uint8_t)byte))
        (void)ring_get(&line.read);
}

bool uart2_has_output(const struct vm *vm)
{
    return line.owner == vm->id && ring_used(&line.ring) > 0;
}

bool uart2_poll(void)
{
    if (line.owner == NO_OWNER)
        return false;
    uart_drain(&line.uart, &line.ring);
    receive(vms_at(line.owner - 1));
    return ring_used(&line.ring) > 0;
}
