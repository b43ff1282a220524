// The monitor's frame: bytes to lines, lines to commands, output in pieces of some size.

#include "monitor/monitor.h"

#include "lib/string.h"
#include "monitor/commands.h"

#define PROMPT "(corbel) "

static void flush(struct monitor *monitor)
{
    if (monitor->buffered)
        monitor->to->write(monitor->to, monitor->buffer, monitor->buffered);
    monitor->buffered = 0;
}

static void collect(struct printer *printer, const char *text, size_t length)
{
    struct monitor *monitor = CONTAINER_OF(printer, struct monitor, printer);
    for (size_t i = 0; i < length; i++) {
        if (monitor->buffered == sizeof(monitor->buffer))
            flush(monitor);
        monitor->buffer[monitor->buffered++] = text[i];
    }
}

static const char *candidate(void *context, const char *before, size_t length, unsigned index)
{
    return commands_candidate(context, before, length, index);
}

void monitor_init(struct monitor *monitor, const struct monitor_host *host, struct printer *to)
{
    memset(monitor, 0, sizeof(*monitor));
    monitor->host = host;
    monitor->to = to;
    monitor->printer.write = collect;
    line_init(&monitor->line, &monitor->printer, PROMPT, candidate, monitor);
}

void monitor_enter(struct monitor *monitor, unsigned slot)
{
    if (slot < CONFIG_VMS && slot != monitor->slot) {
        monitor->slot = slot;
        monitor->vcpu = 0;
    }
    line_redraw(&monitor->line);
    flush(monitor);
}

void monitor_redraw(struct monitor *monitor)
{
    line_redraw(&monitor->line);
    flush(monitor);
}

void monitor_type(struct monitor *monitor, uint8_t byte)
{
    if (line_type(&monitor->line, byte) == LINE_READY) {
        monitor->has_left = false;
        commands_run(monitor, monitor->line.text);
        if (monitor->has_left)
            monitor->line.text[monitor->line.length = monitor->line.cursor = 0] = 0;
        else
            line_begin(&monitor->line);
    }
    flush(monitor);
}
