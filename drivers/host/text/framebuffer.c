// Draws characters as pixels: see framebuffer.h.

#include "drivers/host/text/framebuffer.h"

#define GREY 0xc0U // of 0xff: the foreground

static uint32_t field_of(struct framebuffer_field field, uint32_t level)
{
    // The highest bits of an 8-bit level, repeated for fields that are wider.
    uint32_t wide = level << 8 | level;
    return (wide >> (16 - field.size)) << field.position;
}

static uint32_t pixel_of(const struct framebuffer_mode *mode, uint32_t level)
{
    return field_of(mode->red, level) | field_of(mode->green, level) | field_of(mode->blue, level);
}

// Stores byte by byte only where the pixel has three of them.
static void put_pixel(uint8_t *at, uint32_t bytes_per_pixel, uint32_t pixel)
{
    switch (bytes_per_pixel) {
    case 2:
        *(volatile uint16_t *)(void *)at = (uint16_t)pixel;
        break;
    case 3:
        *(volatile uint8_t *)at = (uint8_t)pixel;
        *(volatile uint8_t *)(at + 1) = (uint8_t)(pixel >> 8);
        *(volatile uint8_t *)(at + 2) = (uint8_t)(pixel >> 16);
        break;
    default:
        *(volatile uint32_t *)(void *)at = pixel;
        break;
    }
}

static void clear(const struct framebuffer *fb)
{
    for (uint32_t y = 0; y < fb->mode.height; y++) {
        uint8_t *at = fb->pixels + (size_t)y * fb->mode.pitch;
        for (uint32_t x = 0; x < fb->mode.width; x++, at += fb->bytes_per_pixel)
            put_pixel(at, fb->bytes_per_pixel, fb->background);
    }
}

void framebuffer_init(struct framebuffer *fb, struct screen *screen, uint8_t *pixels,
                      const struct framebuffer_mode *mode)
{
    *fb = (struct framebuffer){.pixels = pixels, .mode = *mode, .scale = 1};
    fb->bytes_per_pixel = (mode->bpp + 7U) / 8;
    fb->foreground = pixel_of(mode, GREY);
    fb->background = pixel_of(mode, 0);
    // More cells than a screen holds would be too small to read, too.
    while (mode->width / (FONT_WIDTH * fb->scale) > SCREEN_COLUMNS_MAX ||
           mode->height / (FONT_HEIGHT * fb->scale) > SCREEN_ROWS_MAX)
        fb->scale++;
    screen_init(screen, mode->width / (FONT_WIDTH * fb->scale),
                mode->height / (FONT_HEIGHT * fb->scale));
    clear(fb);
}

static void draw_dots(const struct framebuffer *fb, uint8_t *at, uint8_t dots)
{
    for (unsigned bit = 0; bit < FONT_WIDTH; bit++, dots = (uint8_t)(dots << 1)) {
        uint32_t pixel = dots & 0x80 ? fb->foreground : fb->background;
        for (uint32_t i = 0; i < fb->scale; i++, at += fb->bytes_per_pixel)
            put_pixel(at, fb->bytes_per_pixel, pixel);
    }
}

static void draw_cell(const struct framebuffer *fb, uint32_t column, uint32_t row,
                      uint8_t character)
{
    size_t x = (size_t)column * FONT_WIDTH * fb->scale;
    size_t y = (size_t)row * FONT_HEIGHT * fb->scale;
    uint8_t *line = fb->pixels + y * fb->mode.pitch + x * fb->bytes_per_pixel;
    for (unsigned i = 0; i < FONT_HEIGHT * fb->scale; i++, line += fb->mode.pitch)
        draw_dots(fb, line, font_glyphs[character][i / fb->scale]);
}

void framebuffer_draw(const struct framebuffer *fb, const struct screen_run *run)
{
    for (uint32_t i = 0; i < run->length; i++)
        draw_cell(fb, run->column + i, run->row, run->text[i]);
}
