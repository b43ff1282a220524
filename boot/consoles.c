// The multiplexer's terminal is the host's console.

#include "boot/consoles.h"

#include "drivers/host/console.h"

struct mux consoles;

static void print(const char *text, size_t length)
{
    console_printer()->write(console_printer(), text, length);
}

static const struct mux_output output = {
    .has_room = console_takes_guests,
    .write = console_write,
    .print = print,
    .keep = console_keep,
};

void consoles_init(void)
{
    mux_init(&consoles, &output);
}

void tell(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length >= sizeof(line)) {
        length = sizeof(line) - 1;
        line[length - 1] = '\n';
    }
    consoles.printer.write(&consoles.printer, line, length);
}
