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

struct printer *consoles_printer(void)
{
    return mux_printer(&consoles);
}
