// The PC's text mode: draws a screen into cells of character and attribute, and places the
// hardware's cursor.
#pragma once

#include "drivers/host/text/screen.h"

struct vga {
    volatile uint16_t *cells;
    uint32_t pitch; // cells from one line to the next
};

void vga_draw(const struct vga *vga, const struct screen_run *run);

// Moves the hardware's cursor to where the next character will appear.
void vga_place_cursor(const struct vga *vga, const struct screen *screen);
