// The cells of a text screen: see screen.h.

#include "drivers/host/text/screen.h"
#include "lib/string.h"

#define TAB_COLUMNS 8U

static uint8_t *screen_row(struct screen *screen, uint32_t row)
{
    return screen->cells + (screen->top + row) % screen->rows * screen->columns;
}

void screen_init(struct screen *screen, uint32_t columns, uint32_t rows)
{
    screen->columns = (uint16_t)MAX(1U, MIN(columns, SCREEN_COLUMNS_MAX));
    screen->rows = (uint16_t)MAX(1U, MIN(rows, SCREEN_ROWS_MAX));
    screen->column = 0;
    screen->row = 0;
    screen->top = 0;
    screen->escape = ESCAPE_NONE;
    memset(screen->cells, ' ', (size_t)screen->columns * screen->rows);
    memset(screen->shown, SCREEN_UNKNOWN, (size_t)screen->columns * screen->rows);
}

static void screen_line_feed(struct screen *screen)
{
    screen->column = 0;
    if (screen->row + 1 < screen->rows) {
        screen->row++;
        return;
    }
    memset(screen_row(screen, 0), ' ', screen->columns);
    screen->top = (uint16_t)((screen->top + 1) % screen->rows);
}

static void screen_put(struct screen *screen, uint8_t character)
{
    if (screen->column == screen->columns)
        screen_line_feed(screen);
    screen_row(screen, screen->row)[screen->column++] = character;
}

// True while `c` belongs to an escape sequence: ESC, characters such as ( and a last one, or ESC [
// parameters and a letter.
static bool screen_swallows(struct screen *screen, uint8_t c)
{
    switch (screen->escape) {
    case ESCAPE_NONE:
        if (c != 0x1b)
            return false;
        screen->escape = ESCAPE_BEGUN;
        return true;
    case ESCAPE_BEGUN:
        if (c == '[' || c < 0x20 || c >= 0x30)
            screen->escape = c == '[' ? ESCAPE_PARAMETERS : ESCAPE_NONE;
        return true;
    case ESCAPE_PARAMETERS:
        if (c >= 0x40 && c <= 0x7e)
            screen->escape = ESCAPE_NONE;
        // A control character inside means that the sequence was cut.
        if (c < 0x20)
            screen->escape = ESCAPE_NONE;
        return c >= 0x20;
    }
    return false;
}

void screen_write(struct screen *screen, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t c = (uint8_t)text[i];
        if (screen_swallows(screen, c))
            continue;
        if (c == '\n') {
            screen_line_feed(screen);
        } else if (c == '\r') {
            screen->column = 0;
        } else if (c == '\b') {
            if (screen->column > 0)
                screen->column--;
        } else if (c == '\t') {
            uint32_t stop = (uint32_t)align_up(screen->column + 1U, TAB_COLUMNS);
            screen->column = (uint16_t)MIN(stop, screen->columns);
        } else if (c >= 0x20 && c != 0x7f) {
            screen_put(screen, c);
        }
    }
}

// How many bytes of `a` and `b` are the same from the first one on. Most of a screen is, so eight
// at a time.
static uint32_t same_bytes(const uint8_t *a, const uint8_t *b, uint32_t length)
{
    uint32_t same = 0;
    for (; same + 8 <= length; same += 8) {
        uint64_t a8, b8;
        __builtin_memcpy(&a8, a + same, 8);
        __builtin_memcpy(&b8, b + same, 8);
        if (a8 != b8)
            break;
    }
    while (same < length && a[same] == b[same])
        same++;
    return same;
}

bool screen_next_run(struct screen *screen, struct screen_run *run, uint32_t limit)
{
    uint32_t columns = screen->columns;
    uint32_t column = run->column + run->length;
    for (uint32_t row = run->row; row < screen->rows; row++, column = 0) {
        const uint8_t *wanted = screen_row(screen, row);
        uint8_t *shown = screen->shown + row * columns;
        column += same_bytes(wanted + column, shown + column, columns - column);
        if (column == columns)
            continue;
        *run = (struct screen_run){row, column, 0, wanted + column};
        uint32_t end = MIN(columns, column + MIN(limit, columns));
        for (; column < end && wanted[column] != shown[column]; column++, run->length++)
            shown[column] = wanted[column];
        return true;
    }
    return false;
}
