// Corbel's messages: lines with a level, kept in a ring. Any CPU writes at any time, also with
// locks held and in an NMI: there is no lock to wait for. The console service shows them
// (monitor/mux_messages.c), the monitor's `log` reads them again, and after a panic the next boot
// finds them where a reset left them.
#pragma once

#include <stdatomic.h>

#include "lib/print.h"
#include "lib/span.h"

#define LOG_RECORDS 511U
#define LOG_LINE    246U           // bytes of a record; a longer line goes on in the next one
#define LOG_TEXT    (LOG_LINE + 2) // with its end and a NUL

enum log_level {
    LOG_ERROR,   // something does not work or has ended that should not
    LOG_WARNING, // something is not as it was asked for
    LOG_INFO,
    LOG_DEBUG, // for who wants to know more
};

// By name; the last one is empty.
extern const struct span_word log_level_names[];

struct log_record {
    _Atomic uint64_t number; // of the line, from 1 on; 0: none was here
    uint8_t level, length;
    char text[LOG_LINE];
};

struct log {
    uint64_t magic; // once sealed
    uint64_t checksum;
    _Atomic uint64_t written; // lines ever
    _Alignas(256) struct log_record record[LOG_RECORDS];
};

_Static_assert(sizeof(struct log) == 256 * (1 + LOG_RECORDS), "32 pages");

// ---- messages ----

#define log_error(...)   log_print(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_DEBUG, __VA_ARGS__)

// A message of whole lines, 511 bytes at most.
__attribute__((format(printf, 2, 3))) void log_print(enum log_level level, const char *format, ...);

// A printer whose lines are messages, for the block in which it stands. What has no end yet is not
// one. Or with the name of a VM before each: other VMs' may come between.
#define LOG_PRINTER(of_level) LOG_PRINTER_OF(of_level, NULL)
#define LOG_PRINTER_OF(of_level, of_name)                                                          \
    (&(struct log_printer){                                                                        \
        .printer.write = log_printer_write, .level = (of_level), .name = (of_name)}                \
          .printer)

struct log_printer {
    struct printer printer;
    enum log_level level;
    const char *name;
    size_t length;
    char text[LOG_LINE];
};

void log_printer_write(struct printer *printer, const char *text, size_t length);

// ---- whoever shows them ----

// Messages up to this level are shown (LOG_INFO at first).
void log_set_level(enum log_level level);
enum log_level log_level(void);

// Called after each message, by its writer. NULL: whoever shows messages polls log_take().
void log_set_sink(void (*sink)(void));

// The next line that has not been taken, with its newline, and its level. Returns its length, or 0
// if there is none. One caller at a time. Where lines were overwritten a line says how many.
size_t log_take(enum log_level *level, char text[static LOG_TEXT]);

// Whether log_take() has something to do.
bool log_is_waiting(void);

// ---- the ring ----

// Where messages are kept.
struct log *log_current(void);

// Keeps them at `to` from now on, with those that there are. Only while no other CPU runs.
void log_move(struct log *to);

void log_init(struct log *log);
void log_put(struct log *log, enum log_level level, const char *text, size_t length);

// The first line from *position (0 at first) on that is still held and of level `most` or below;
// *position moves behind it. Returns its length with its newline, or 0 if there is none.
size_t log_read(const struct log *log, uint64_t *position, enum log_level most,
                char text[static LOG_TEXT]);

// Marks it as complete, so that it can be told from other bytes.
void log_seal(struct log *log);

// Whether the memory at `log`, of which nothing is known, holds a sealed one.
bool log_is_sealed(const struct log *log);
