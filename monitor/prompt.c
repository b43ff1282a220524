// The prompt's frame: bytes to lines, lines to commands, output in pieces of some size.

#include "monitor/prompt.h"

#include "lib/string.h"
#include "monitor/commands.h"

#define PROMPT "(corbel) "

static void flush(struct prompt *prompt)
{
    if (prompt->buffered)
        prompt->to->write(prompt->to, prompt->buffer, prompt->buffered);
    prompt->buffered = 0;
}

static void collect(struct printer *printer, const char *text, size_t length)
{
    struct prompt *prompt = CONTAINER_OF(printer, struct prompt, monitor.printer);
    for (size_t i = 0; i < length; i++) {
        if (prompt->buffered == sizeof(prompt->buffer))
            flush(prompt);
        prompt->buffer[prompt->buffered++] = text[i];
    }
}

static const char *candidate(void *context, const char *before, size_t length, unsigned index)
{
    return commands_candidate(context, before, length, index);
}

void prompt_init(struct prompt *prompt, const struct monitor_host *host, struct printer *to)
{
    memset(prompt, 0, sizeof(*prompt));
    prompt->monitor.host = host;
    prompt->monitor.printer.write = collect;
    prompt->to = to;
    line_init(&prompt->line, &prompt->monitor.printer, PROMPT, candidate, &prompt->monitor);
}

void prompt_enter(struct prompt *prompt, unsigned slot)
{
    if (slot < CONFIG_VMS && slot != prompt->monitor.slot) {
        prompt->monitor.slot = slot;
        prompt->monitor.vcpu = 0;
    }
    prompt_redraw(prompt);
}

void prompt_redraw(struct prompt *prompt)
{
    line_redraw(&prompt->line);
    flush(prompt);
}

void prompt_type(struct prompt *prompt, uint8_t byte)
{
    if (line_type(&prompt->line, byte) == LINE_READY) {
        prompt->monitor.has_left = false;
        commands_run(&prompt->monitor, prompt->line.text);
        if (prompt->monitor.has_left)
            prompt->line.text[prompt->line.length = prompt->line.cursor = 0] = 0;
        else
            line_begin(&prompt->line);
    }
    flush(prompt);
}
