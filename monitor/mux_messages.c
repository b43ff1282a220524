// Corbel's own messages, beside the consoles: lines of their own, broken between args.

#include "monitor/mux_messages.h"

#include "lib/log.h"
#include "lib/string.h"
#include "monitor/mux_focus.h"

#define COLUMNS 79 // of the narrowest terminal, less the one that some need for the line's end
#define INDENT  "    "

// The monitor's own line is wiped, and drawn anew by whoever asked mux_poll().
static void make_way(struct mux *mux)
{
    if (mux->owner == MUX_MONITOR) {
        mux_print(mux, "\r\033[K");
        mux->is_disturbed = true;
    } else {
        mux_end_line_of_others(mux, MUX_NOBODY);
    }
}

// How much of a line without its end fits into a row; a word is not broken.
static size_t fitting(const char *text, size_t length, size_t columns)
{
    size_t end = columns;
    if (length <= columns)
        return length;
    while (end > columns / 2 && text[end] != ' ')
        end--;
    return text[end] == ' ' ? end : length;
}

// A line with its end.
static void show_line(struct mux *mux, const char *text, size_t length)
{
    char row[LOG_TEXT + sizeof(INDENT)];
    const char *indent = "";
    make_way(mux);
    do {
        size_t columns = COLUMNS - strlen(indent), part = fitting(text, length - 1, columns);
        size_t used = format_text(row, sizeof(row), "%s%.*s\n", indent, (int)part, text);
        mux_put(mux, MUX_NOBODY, row, MIN(used, sizeof(row) - 1));
        part += text[part] == ' ';
        text += part;
        length -= part;
        indent = INDENT;
    } while (length > 1);
}

void mux_show_log(struct mux *mux)
{
    char text[LOG_TEXT];
    enum log_level level;
    while (log_is_waiting() && spin_try(&mux->lock)) {
        for (size_t length; (length = log_take(&level, text)) > 0;) {
            mux->output->debug(text, length);
            if (level <= log_level())
                show_line(mux, text, length);
        }
        spin_unlock(&mux->lock);
    }
}

static void write(struct printer *printer, const char *text, size_t length)
{
    struct mux *mux = CONTAINER_OF(printer, struct mux, printer);
    spin_lock(&mux->lock);
    for (size_t i = 0; i < length; i++) {
        mux->line[mux->line_length++] = text[i];
        if (text[i] != '\n' && mux->line_length + 1 < sizeof(mux->line))
            continue;
        if (text[i] != '\n')
            mux->line[mux->line_length++] = '\n';
        show_line(mux, mux->line, mux->line_length);
        mux->line_length = 0;
    }
    spin_unlock(&mux->lock);
}

void mux_messages_init(struct mux *mux)
{
    mux->printer.write = write;
}
