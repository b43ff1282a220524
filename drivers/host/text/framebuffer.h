// A linear framebuffer as a text screen: glyphs of 8x16 pixels, enlarged on big screens, at any
// depth of 15, 16, 24 or 32 bits. Pure: it writes only the memory that it is given, and never reads
// it.
#pragma once

#include "drivers/host/text/font.h"
#include "drivers/host/text/screen.h"

struct framebuffer_field {
    uint8_t position; // of the lowest bit in the pixel
    uint8_t size;     // in bits, 1 to 16
};

// As boot/info/bootinfo.c has judged it: at least one character, and fields inside the pixel.
struct framebuffer_mode {
    uint32_t width; // in pixels, as the height
    uint32_t height;
    uint32_t pitch; // bytes from one line to the next, at least width * ((bpp + 7) / 8)
    uint8_t bpp;    // 15, 16, 24 or 32
    struct framebuffer_field red, green, blue;
};

struct framebuffer {
    uint8_t *pixels;
    struct framebuffer_mode mode;
    uint32_t bytes_per_pixel;
    uint32_t scale;      // each dot of a glyph is scale * scale pixels
    uint32_t foreground; // as pixel values
    uint32_t background;
};

// `pixels` holds mode->pitch * mode->height bytes. Sets up `screen` with as many cells as fit, and
// paints everything in the background colour.
void framebuffer_init(struct framebuffer *fb, struct screen *screen, uint8_t *pixels,
                      const struct framebuffer_mode *mode);

// Draws cells of the screen that framebuffer_init() set up.
void framebuffer_draw(const struct framebuffer *fb, const struct screen_run *run);
