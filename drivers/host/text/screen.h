// A screen of characters, before it becomes light: what each cell should show and what it shows.
// Text goes in by screen_write(); console.c then lets vga.c or framebuffer.c draw only the cells
// that differ, so that many lines may scroll by at the cost of one drawing and slow video memory is
// never read. Pure.
#pragma once

#include "lib/bits.h"

#define SCREEN_COLUMNS_MAX 240
#define SCREEN_ROWS_MAX    100
#define SCREEN_CELLS_MAX   (SCREEN_COLUMNS_MAX * SCREEN_ROWS_MAX)
#define SCREEN_UNKNOWN     0 // in `shown`: draw this cell whatever it should show

enum screen_escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_PARAMETERS };

struct screen {
    uint16_t columns; // 1 to SCREEN_COLUMNS_MAX
    uint16_t rows;    // 1 to SCREEN_ROWS_MAX
    uint16_t column;  // the cursor; may equal `columns`: the next character begins a new line
    uint16_t row;
    // scrolling moves this, not the cells: row 0 of the screen is row `top` of `cells`
    uint16_t top;
    enum screen_escape escape;
    uint8_t cells[SCREEN_CELLS_MAX]; // what should be seen: printable characters
    uint8_t shown[SCREEN_CELLS_MAX]; // what is seen, by position on the screen
};

// An empty screen; sizes beyond the limits are cut to them.
void screen_init(struct screen *screen, uint32_t columns, uint32_t rows);

// Prints text: LF begins a line (with or without CR), CR, BS and TAB (8 columns) move the cursor,
// escape sequences are swallowed, other control characters are ignored.
void screen_write(struct screen *screen, const char *text, size_t length);

// Neighbouring cells of one row whose look must change.
struct screen_run {
    uint32_t row;
    uint32_t column;
    uint32_t length;
    const uint8_t *text; // `length` characters to draw
};

// Finds the next run after `*run` in reading order (begin with one that is all zero), of at most
// `limit` cells (1 or more), and marks it as shown. Returns false if there is none.
bool screen_next_run(struct screen *screen, struct screen_run *run, uint32_t limit);
