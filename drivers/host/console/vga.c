// VGA text mode: see vga.h. The firmware has set the mode; only cells and cursor are written.

#include "drivers/host/console/vga.h"
#include "arch/x86_64/io.h"

#define ATTRIBUTE        0x0700U // light grey on black
#define CRTC_INDEX       0x3d4
#define CRTC_DATA        0x3d5
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW  0x0f

static void vga_set_crtc(uint8_t index, uint8_t value)
{
    out8(CRTC_INDEX, index);
    out8(CRTC_DATA, value);
}

void vga_draw(const struct vga *vga, const struct screen_run *run)
{
    volatile uint16_t *cells = vga->cells + run->row * vga->pitch + run->column;
    for (uint32_t i = 0; i < run->length; i++)
        cells[i] = (uint16_t)(ATTRIBUTE | run->text[i]);
}

void vga_place_cursor(const struct vga *vga, const struct screen *screen)
{
    uint32_t column = MIN(screen->column, screen->columns - 1U);
    uint32_t cursor = screen->row * vga->pitch + column;
    vga_set_crtc(CRTC_CURSOR_HIGH, (uint8_t)(cursor >> 8));
    vga_set_crtc(CRTC_CURSOR_LOW, (uint8_t)cursor);
}
