// Guests' consoles, between their ports and the lines of the host.

#include "control/consoles.h"

#include "arch/x86_64/cpu.h"
#include "drivers/host/console/console.h"
#include "drivers/host/console/debugport.h"
#include "drivers/host/console/uart.h"
#include "drivers/host/platform/ioapic.h"
#include "drivers/virt/board.h"
#include "monitor/mux_messages.h"

#define COM1          0x3f8
#define COM2          0x2f8
#define PRINTED_BYTES 4096
#define TYPED_BYTES   512
#define NO_OWNER      0

struct mux consoles;
static struct {
    struct vm *vm;
    struct console_lines *lines; // NULL: COM1 leads to its channel at once
} connected[MUX_CHANNELS];
static struct {
    uint16_t columns, rows;
} terminal; // its size, if somebody said it

static struct {
    struct uart uart;
    struct vm_console console;
    uint8_t printed[PRINTED_BYTES], typed[TYPED_BYTES];
    unsigned owner;    // vm->id
    uint16_t reserved; // a port that is used otherwise
} line2;

static void print(const char *text, size_t length)
{
    console_printer()->write(console_printer(), text, length);
}

static void debug(const char *text, size_t length)
{
    debugport_write((const uint8_t *)text, length);
}

static const struct mux_output output = {
    .can_write = console_can_write_guest,
    .write = console_write,
    .print = print,
    .debug = debug,
};

void consoles_show_log(void)
{
    mux_show_log(&consoles);
}

void consoles_init(void)
{
    mux_init(&consoles, &output);
    mux_messages_init(&consoles);
    log_set_sink(consoles_show_log);
}

// Without its interrupt a burst of input finds the FIFO full.
static bool open_uart(struct uart *uart, uint16_t port)
{
    if (!uart_init(uart, port))
        return false;
    if (ioapic_route_isa((uint8_t)uart_interrupt_line(uart), VECTOR_UART, cpus[0].apic_id) ==
        STATUS_OK)
        uart_receive_interrupt(uart, true);
    return true;
}

bool consoles_open_line(struct uart *uart, uint16_t port)
{
    line2.reserved = port;
    return open_uart(uart, port);
}

// The one of the first two that is not the console.
static bool open_line2(void)
{
    uint16_t port = console_interrupt_line() == UART_COM1_IRQ ? COM2 : COM1;
    ring_init(&line2.console.printed, line2.printed, PRINTED_BYTES);
    ring_init(&line2.console.typed, line2.typed, TYPED_BYTES);
    return port != line2.reserved && open_uart(&line2.uart, port);
}

static void connect_line2(struct vm *vm)
{
    const char *name = vm->traits.name;
    if (line2.owner == NO_OWNER && open_line2())
        line2.owner = vm->id;
    if (line2.owner == vm->id)
        vm->console[LINE_COM2] = &line2.console;
    else if (line2.owner != NO_OWNER)
        log_warning(
            "corbel: %s: uart2: the second serial line is %s's: what COM2 prints is dropped\n",
            name, consoles.channel[line2.owner - 1]->name);
    else
        log_warning(
            "corbel: %s: uart2: this machine has no second serial line: what COM2 prints is "
            "dropped\n",
            name);
}

// Two ports that print to one channel: neither may write into its ring, which has one writer.
static void connect_virtio(struct vm *vm, struct console_lines *lines)
{
    ring_init(&lines->com1.printed, lines->com1_printed, sizeof(lines->com1_printed));
    ring_init(&lines->virtio.printed, lines->virtio_printed, sizeof(lines->virtio_printed));
    vm->console[LINE_COM1] = &lines->com1;
    vm->console[LINE_VIRTIO] = &lines->virtio;
    connected[vm->id - 1].lines = lines;
    board_resize(vm, terminal.columns, terminal.rows);
}

void consoles_connect(struct vm *vm, struct console_lines *lines)
{
    connected[vm->id - 1].vm = vm;
    vm->console[LINE_COM1] = &consoles.channel[vm->id - 1]->console;
    if (vm->traits.virtio_console)
        connect_virtio(vm, lines);
    if (vm->traits.uart2)
        connect_line2(vm);
}

void consoles_disconnect(struct vm *vm)
{
    connected[vm->id - 1].vm = NULL;
    connected[vm->id - 1].lines = NULL;
}

void consoles_resize(uint16_t columns, uint16_t rows)
{
    terminal.columns = columns;
    terminal.rows = rows;
    for (unsigned slot = 0; slot < consoles.count; slot++)
        if (connected[slot].vm)
            board_resize(connected[slot].vm, columns, rows);
}

static void give(struct vm *vm, enum vm_line line, struct ring *typed)
{
    const uint8_t *bytes;
    uint64_t length, taken;
    while ((length = ring_piece(typed, &bytes)) && (taken = board_receive(vm, line, bytes, length)))
        ring_took(typed, taken);
}

void consoles_give(void)
{
    for (unsigned slot = 0; slot < consoles.count; slot++) {
        struct vm *vm = connected[slot].vm;
        if (!vm)
            continue;
        // Until its driver runs, COM1 hears what is typed: a boot loader's menu is there.
        bool is_virtio = vm->traits.virtio_console && board_line_is_open(vm, LINE_VIRTIO);
        give(vm, is_virtio ? LINE_VIRTIO : LINE_COM1, &consoles.channel[slot]->console.typed);
        if (vm->console[LINE_COM2])
            give(vm, LINE_COM2, &vm->console[LINE_COM2]->typed);
        if (vm->console[LINE_AGENT])
            give(vm, LINE_AGENT, &vm->console[LINE_AGENT]->typed);
    }
}

static void merge(unsigned slot)
{
    struct console_lines *lines = connected[slot].lines;
    if (!lines)
        return;
    ring_move(&consoles.channel[slot]->console.printed, &lines->com1.printed);
    ring_move(&consoles.channel[slot]->console.printed, &lines->virtio.printed);
}

// Guests that found no room go on.
static void flush_guests(void)
{
    for (unsigned slot = 0; slot < consoles.count; slot++) {
        struct vm *vm = connected[slot].vm;
        merge(slot);
        for (enum vm_line line = 0; vm && line < VM_CONSOLES; line++) {
            struct vm_console *console = vm->console[line];
            if (!console || !console->is_held || !ring_free(&console->printed))
                continue;
            console->is_held = false;
            (void)board_flush(vm, true);
        }
    }
}

bool consoles_poll(void)
{
    struct ring *typed = &line2.console.typed, *printed = &line2.console.printed;
    log_set_sink(NULL);
    consoles_show_log();
    for (unsigned slot = 0; slot < consoles.count; slot++)
        merge(slot);
    mux_show(&consoles);
    uart_drain(&line2.uart, printed);
    for (int byte; ring_free(typed) && (byte = uart_read(&line2.uart)) >= 0;)
        (void)ring_put(typed, (uint8_t)byte);
    consoles_give();
    flush_guests();
    return ring_used(printed) > 0;
}

bool consoles_finish(struct vm *vm)
{
    unsigned slot = vm->id - 1;
    consoles_show_log();
    merge(slot);
    bool is_out = board_flush(vm, false);
    merge(slot);
    is_out = mux_finish(&consoles, slot) && is_out;
    for (enum vm_line line = LINE_COM1; line < LINE_AGENT; line++)
        is_out = is_out && (!vm->console[line] || !ring_used(&vm->console[line]->printed));
    return is_out;
}
