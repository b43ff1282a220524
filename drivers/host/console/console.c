// The host's console: see console.h.

#include "drivers/host/console/console.h"
#include "arch/x86_64/interrupts.h"
#include "drivers/host/console/debugport.h"
#include "drivers/host/console/i8042.h"
#include "drivers/host/text/keyboard.h"
#include "drivers/host/console/uart.h"
#include "drivers/host/console/vga.h"
#include "lib/log.h"
#include "lib/spinlock.h"

#define RING_BYTES         (64U * 1024)
#define FRAMES_PER_SECOND  25U
#define CELLS_PER_POLL     256U // a slow framebuffer takes milliseconds for these
#define LOST_MESSAGE_BYTES 40U
#define HOST_RESERVE       4096U // of the ring, for messages of the host
#define GUESTS_SHARE       8192U // of the ring: 0.7 s at 115200 baud

enum screen_kind { SCREEN_NONE, SCREEN_VGA, SCREEN_FRAMEBUFFER };

static struct {
    struct spinlock lock; // guards everything below but what console_read() uses
    struct printer printer;
    struct printer panic_printer;
    struct log_printer panic_log;

    struct keyboard keyboard;
    char typed[KEYBOARD_BYTES_MAX]; // by the key pressed last
    unsigned typed_length, typed_read;

    struct uart uart;
    struct ring ring;
    uint8_t ring_bytes[RING_BYTES];
    uint64_t lost; // bytes that found no room since the last report
    bool is_polled;
    bool is_seized;

    enum screen_kind screen_kind;
    struct screen screen;
    struct vga vga;
    struct framebuffer framebuffer;
    bool is_screen_stale;      // something was written since `drawing` began
    bool is_drawing;           // `drawing` has not reached the end of the screen
    struct screen_run drawing; // what was drawn last
    uint64_t drawn_at;
} console;

// An interrupt handler that prints must not find the lock held by the code that it interrupted.
static uint64_t console_lock(void)
{
    uint64_t flags = interrupts_save();
    if (!console.is_seized)
        spin_lock(&console.lock);
    return flags;
}

static void console_unlock(uint64_t flags)
{
    if (!console.is_seized)
        spin_unlock(&console.lock);
    interrupts_restore(flags);
}

// ---- the serial line ----

static void serial_put(uint8_t byte)
{
    if (ring_put(&console.ring, byte))
        return;
    if (console.is_polled && !console.is_seized) {
        console.lost++;
        return;
    }
    uart_drain_all(&console.uart, &console.ring);
    if (!ring_put(&console.ring, byte))
        console.lost++;
}

// Says in the stream itself how much is missing there, as soon as the line fits.
static void serial_report_lost(void)
{
    if (console.lost == 0 || ring_free(&console.ring) < LOST_MESSAGE_BYTES + 2)
        return;
    char text[LOST_MESSAGE_BYTES];
    format_text(text, sizeof(text), "\r\n[%llu bytes lost]\r\n", (unsigned long long)console.lost);
    console.lost = 0;
    for (size_t i = 0; text[i] != '\0'; i++)
        ring_put(&console.ring, (uint8_t)text[i]);
}

static void serial_write(const char *text, size_t length, bool is_raw)
{
    if (console.uart.port == 0)
        return;
    serial_report_lost();
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' && !is_raw)
            serial_put('\r');
        serial_put((uint8_t)text[i]);
    }
    // A look at the UART costs much (an exit, where we run nested ourselves): polling saves it.
    if (console.is_seized)
        uart_drain_all(&console.uart, &console.ring);
    else if (!console.is_polled)
        uart_drain(&console.uart, &console.ring);
}

// ---- the screen ----

static void screen_begin_drawing(void)
{
    console.is_screen_stale = false;
    console.is_drawing = console.screen_kind != SCREEN_NONE;
    console.drawing = (struct screen_run){0};
}

// Draws up to `cells` cells that have changed.
static void screen_draw_some(uint32_t cells)
{
    while (console.is_drawing && cells > 0) {
        console.is_drawing = screen_next_run(&console.screen, &console.drawing, cells);
        if (!console.is_drawing && console.screen_kind == SCREEN_VGA)
            vga_place_cursor(&console.vga, &console.screen);
        if (!console.is_drawing)
            return;
        if (console.screen_kind == SCREEN_VGA)
            vga_draw(&console.vga, &console.drawing);
        else
            framebuffer_draw(&console.framebuffer, &console.drawing);
        cells -= console.drawing.length;
    }
}

static void screen_draw(void)
{
    screen_begin_drawing();
    screen_draw_some(UINT32_MAX);
}

// A new screen begins with what was printed before there was one.
static void screen_start(enum screen_kind kind)
{
    console.screen_kind = kind;
    uint64_t position = 0;
    char text[LOG_TEXT];
    for (size_t length; (length = log_read(log_current(), &position, log_level(), text)) > 0;)
        screen_write(&console.screen, text, length);
    screen_draw();
}

static void screen_print(const char *text, size_t length)
{
    if (console.screen_kind == SCREEN_NONE || length == 0)
        return;
    screen_write(&console.screen, text, length);
    console.is_screen_stale = true;
    // With nobody to draw it later, a line is drawn when it is whole.
    if ((!console.is_polled || console.is_seized) && text[length - 1] == '\n')
        screen_draw();
}

// ---- the whole ----

static void write_everywhere(const char *text, size_t length, bool is_raw)
{
    uint64_t flags = console_lock();
    serial_write(text, length, is_raw);
    screen_print(text, length);
    console_unlock(flags);
}

// What was not shown yet comes first.
static void seize(void)
{
    char text[LOG_TEXT];
    enum log_level level;
    interrupts_save();
    console.is_seized = true;
    log_set_sink(NULL);
    for (size_t length; (length = log_take(&level, text)) > 0;) {
        debugport_write((const uint8_t *)text, length);
        if (level <= log_level())
            write_everywhere(text, length, false);
    }
}

static void console_panic_print(struct printer *printer, const char *text, size_t length)
{
    if (!console.is_seized)
        seize();
    log_printer_write(&console.panic_log.printer, text, length);
    debugport_write((const uint8_t *)text, length);
    write_everywhere(text, length, false);
}

static void console_print(struct printer *printer, const char *text, size_t length)
{
    write_everywhere(text, length, false);
}

bool console_init(uint16_t uart_port)
{
    console.printer.write = console_print;
    console.panic_printer.write = console_panic_print;
    debugport_init();
    uart_drain_all(&console.uart, &console.ring);
    ring_init(&console.ring, console.ring_bytes, RING_BYTES);
    return uart_init(&console.uart, uart_port) || uart_port == 0;
}

void console_add_vga(volatile uint16_t *cells, uint32_t columns, uint32_t rows,
                     uint32_t pitch_bytes)
{
    uint64_t flags = console_lock();
    screen_init(&console.screen, columns, rows);
    console.vga = (struct vga){cells, pitch_bytes / 2};
    screen_start(SCREEN_VGA);
    console_unlock(flags);
}

void console_add_framebuffer(uint8_t *pixels, const struct framebuffer_mode *mode)
{
    uint64_t flags = console_lock();
    framebuffer_init(&console.framebuffer, &console.screen, pixels, mode);
    screen_start(SCREEN_FRAMEBUFFER);
    console_unlock(flags);
}

bool console_has_screen(void)
{
    return console.screen_kind != SCREEN_NONE;
}

struct printer *console_printer(void)
{
    return &console.printer;
}

struct printer *console_panic_printer(void)
{
    return &console.panic_printer;
}

void console_write(const char *text, size_t length)
{
    write_everywhere(text, length, true);
}

bool console_can_write(size_t bytes)
{
    return console.uart.port == 0 || ring_free(&console.ring) >= bytes * 2 + HOST_RESERVE;
}

bool console_can_write_guest(size_t bytes)
{
    return console.uart.port == 0 || ring_used(&console.ring) + bytes * 2 <= GUESTS_SHARE;
}

bool console_poll(uint64_t now, uint64_t hz)
{
    uint64_t flags = console_lock();
    console.is_polled = true;
    uart_drain(&console.uart, &console.ring);
    serial_report_lost();
    if (console.is_screen_stale && !console.is_drawing &&
        now - console.drawn_at >= hz / FRAMES_PER_SECOND) {
        console.drawn_at = now;
        screen_begin_drawing();
    }
    screen_draw_some(CELLS_PER_POLL);
    bool is_busy = console.is_drawing || (console.uart.port != 0 && ring_used(&console.ring) > 0);
    console_unlock(flags);
    return is_busy;
}

void console_flush(void)
{
    uint64_t flags = console_lock();
    uart_drain_all(&console.uart, &console.ring);
    serial_report_lost();
    uart_drain_all(&console.uart, &console.ring);
    uart_flush(&console.uart);
    screen_draw();
    if (console.is_seized)
        log_seal(log_current());
    console_unlock(flags);
}

static int keyboard_read(void)
{
    for (int code; console.typed_read == console.typed_length;) {
        if ((code = i8042_read()) < 0)
            return -1;
        console.typed_read = 0;
        console.typed_length = keyboard_take(&console.keyboard, (uint8_t)code, console.typed);
    }
    return console.typed[console.typed_read++];
}

int console_read(void)
{
    int byte = uart_read(&console.uart);
    return byte >= 0 ? byte : keyboard_read();
}

uint32_t console_overruns(void)
{
    return console.uart.overruns;
}

void console_receive_interrupt(bool enable)
{
    uint64_t flags = console_lock();
    uart_receive_interrupt(&console.uart, enable);
    console_unlock(flags);
}

int console_interrupt_line(void)
{
    return console.uart.port ? uart_interrupt_line(&console.uart) : -1;
}
