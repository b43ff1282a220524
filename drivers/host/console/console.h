// The host's console: one stream of text to every output that exists (serial line, screen), and the
// bytes typed at the serial line. What the host says, and nothing of the guests', goes to the debug
// port: a tool that reads it cannot be deceived. Works from the first instruction on, with no
// heap; any CPU may print.
//
// Output to the serial line goes through a ring. Until the first console_poll() a full ring is
// waited for, so early messages are complete; afterwards nothing waits any more, and what does not
// fit is counted and reported in its place.
#pragma once

#include "drivers/host/text/framebuffer.h"
#include "lib/print.h"

// Finds the debug port and the UART at `uart_port` (0: use none). Call first, on the first CPU;
// again to move to another UART. Returns false if a UART was asked for and none answers there.
bool console_init(uint16_t uart_port);

// Adds a screen; what the host printed before appears on it, too. `cells` of VGA text (mapped,
// `columns` * `rows`, lines `pitch_bytes` apart), or a framebuffer's `pixels` (mapped, mode->pitch
// * mode->height bytes; write-combining is far faster). Only one of them; the later counts.
void console_add_vga(volatile uint16_t *cells, uint32_t columns, uint32_t rows,
                     uint32_t pitch_bytes);
void console_add_framebuffer(uint8_t *pixels, const struct framebuffer_mode *mode);
bool console_has_screen(void);

// The console as a printer for print_to(). LF becomes CR LF on the serial line.
struct printer *console_printer(void);

// The bytes as they are: a guest's output.
void console_write(const char *text, size_t length);

// Whether `bytes` more would find room on the serial line's ring, with something left for Corbel's
// own messages. True without a UART.
bool console_can_write(size_t bytes);

// The same for a guest's text, of which little may be on its way: what is there already is seen
// before the answer to the operator's next key. A guest that is made to wait loses nothing.
bool console_can_write_guest(size_t bytes);

// Moves output on: fills the UART's FIFO if it is empty, redraws a changed screen at most 25 times
// a second (`now` and `hz`: the TSC and its frequency). Call from the timer and from idle loops.
// Returns true if output is left, so that another call soon is worth it.
bool console_poll(uint64_t now, uint64_t hz);

// Sends everything now, waiting for the line (about 90 microseconds a byte).
void console_flush(void);

// The printer for panics: its first use takes the console away from whichever CPU is printing, for
// ever, and from then on every write waits until it has been sent. The other CPUs must have been
// stopped. What the log has and was not shown comes first; the panic's words are put into it, and
// its console_flush() seals it.
struct printer *console_panic_printer(void);

// The next byte typed, at the serial line or at the keyboard, or -1. From one CPU only.
int console_read(void);

// How often bytes were lost because they came faster than they were read.
uint32_t console_overruns(void);

// The UART's receive interrupt on or off. console_interrupt_line() is its ISA IRQ, or -1 without a
// UART.
void console_receive_interrupt(bool enable);
int console_interrupt_line(void);
