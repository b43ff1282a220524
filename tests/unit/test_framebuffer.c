// drivers/host/text/screen.c and framebuffer.c: what is seen after text went in, at every depth,
// with memory checked at its edges.

#include "tests/unit/support.h"

#include "drivers/host/text/framebuffer.h"

// A font for the test: 'A' has dots in its corners, '/' one dot a line; everything else is empty.
const uint8_t font_glyphs[256][FONT_HEIGHT] = {
    ['A'] = {[0] = 0x81, [15] = 0x81},
    ['/'] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80},
};

static struct screen screen;

static void print(const char *text)
{
    screen_write(&screen, text, strlen(text));
}

// The rows as lines of text without trailing blanks, by way of screen_next_run().
static const char *seen(void)
{
    static char picture[SCREEN_CELLS_MAX], text[SCREEN_CELLS_MAX + SCREEN_ROWS_MAX + 1];
    struct screen_run run = {0};
    while (screen_next_run(&screen, &run, UINT32_MAX))
        memcpy(picture + run.row * screen.columns + run.column, run.text, run.length);
    size_t length = 0;
    for (uint32_t row = 0; row < screen.rows; row++) {
        size_t begin = length;
        memcpy(text + length, picture + row * screen.columns, screen.columns);
        length += screen.columns;
        while (length > begin && text[length - 1] == ' ')
            length--;
        text[length++] = '\n';
    }
    text[length] = '\0';
    return text;
}

static void text_wraps_and_scrolls(void **state)
{
    screen_init(&screen, 8, 3);
    assert_string_equal(seen(), "\n\n\n");
    print("one\r\n12345678");
    assert_string_equal(seen(), "one\n12345678\n\n"); // a full line does not wrap yet
    print("\nx");
    assert_string_equal(seen(), "one\n12345678\nx\n");
    print("\nnew");
    assert_string_equal(seen(), "12345678\nx\nnew\n");
    print("123456789");
    assert_string_equal(seen(), "x\nnew12345\n6789\n");
    print("\n\n\n");
    assert_string_equal(seen(), "\n\n\n");
    for (int i = 0; i < 100; i++) {
        char line[8];
        snprintf(line, sizeof(line), "%d\n", i);
        print(line);
    }
    assert_string_equal(seen(), "98\n99\n\n");
}

static void control_characters(void **state)
{
    static const struct {
        const char *text, *seen;
    } rows[] = {
        {"abc\rX", "Xbc\n\n"},
        {"abc\b\bX", "aXc\n\n"},
        {"\b\bX", "X\n\n"},
        {"a\tb", "a       b\n\n"},
        {"12345678901234\tb", "12345678901234\nb\n"}, // a tab stops at the edge
        {"a\a\v\f\x01\x7f"
         "b",
         "ab\n\n"},
        {"a\x1b[31;1mred\x1b[0m.", "ared.\n\n"},
        {"a\x1b[2J\x1b[Hb", "ab\n\n"},
        {"a\x1b(Bb", "ab\n\n"},
        {"a\x1b[12\nb", "a\nb\n"}, // cut by a line's end
        {"a\x1b", "a\n\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        screen_init(&screen, 16, 2);
        print(rows[i].text);
        assert_string_equal(seen(), rows[i].seen);
    }
}

static void only_changes_are_drawn(void **state)
{
    screen_init(&screen, 20, 2);
    // The first time, everything.
    struct screen_run run = {0};
    for (uint32_t row = 0; row < 2; row++) {
        assert_true(screen_next_run(&screen, &run, UINT32_MAX));
        assert_int_equal(run.row, row);
        assert_int_equal(run.column, 0);
        assert_int_equal(run.length, 20);
    }
    assert_false(screen_next_run(&screen, &run, UINT32_MAX));
    print("abcdefghij klmnopqr\nabcdefghij klmnopqrs");
    seen();
    run = (struct screen_run){0};
    assert_false(screen_next_run(&screen, &run, UINT32_MAX));
    // What scrolls up is the same but for its last letter; of the new line most goes.
    print("\nabcXefghij");
    run = (struct screen_run){0};
    static const struct {
        uint32_t row, column, length;
        const char *text;
    } expected[] = {{0, 19, 1, "s"}, {1, 3, 1, "X"}, {1, 11, 9, "         "}};
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        assert_true(screen_next_run(&screen, &run, UINT32_MAX));
        assert_int_equal(run.row, expected[i].row);
        assert_int_equal(run.column, expected[i].column);
        assert_int_equal(run.length, expected[i].length);
        assert_memory_equal(run.text, expected[i].text, run.length);
    }
    assert_false(screen_next_run(&screen, &run, UINT32_MAX));
}

static void a_limit_cuts_the_work(void **state)
{
    screen_init(&screen, 20, 2);
    struct screen_run run = {0};
    uint32_t cells = 0;
    for (uint32_t limit = 1; screen_next_run(&screen, &run, limit); limit = limit % 7 + 1) {
        assert_in_range(run.length, 1, limit);
        assert_int_equal(run.row * 20 + run.column, cells);
        cells += run.length;
    }
    assert_int_equal(cells, 40);
}

static void sizes_are_cut_to_the_limits(void **state)
{
    screen_init(&screen, 100000, 100000);
    assert_int_equal(screen.columns, SCREEN_COLUMNS_MAX);
    assert_int_equal(screen.rows, SCREEN_ROWS_MAX);
    for (int i = 0; i < 2 * SCREEN_CELLS_MAX; i++)
        print("x");
    assert_int_equal(strlen(seen()), SCREEN_CELLS_MAX + SCREEN_ROWS_MAX);
    screen_init(&screen, 0, 0);
    print("ab");
    assert_string_equal(seen(), "b\n");
}

// ---- pixels ----

static const struct framebuffer_mode modes[] = {
    {.bpp = 15, .red = {10, 5}, .green = {5, 5}, .blue = {0, 5}},
    {.bpp = 16, .red = {11, 5}, .green = {5, 6}, .blue = {0, 5}},
    {.bpp = 24, .red = {16, 8}, .green = {8, 8}, .blue = {0, 8}},
    {.bpp = 32, .red = {16, 8}, .green = {8, 8}, .blue = {0, 8}},
    {.bpp = 32, .red = {20, 10}, .green = {10, 10}, .blue = {0, 10}},
};
static const uint32_t greys[] = {0x6318, 0xc618, 0xc0c0c0, 0xc0c0c0,
                                 0x303 << 20 | 0x303 << 10 | 0x303};

static uint32_t pixel_at(const uint8_t *pixels, const struct framebuffer_mode *mode, uint32_t x,
                         uint32_t y)
{
    uint32_t bytes = (mode->bpp + 7U) / 8, pixel = 0;
    memcpy(&pixel, pixels + (size_t)y * mode->pitch + (size_t)x * bytes, bytes);
    return pixel;
}

static void draw(const struct framebuffer *fb)
{
    struct screen_run run = {0};
    while (screen_next_run(&screen, &run, UINT32_MAX))
        framebuffer_draw(fb, &run);
}

static void every_depth_draws_the_same_dots(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        struct framebuffer_mode mode = modes[i];
        struct framebuffer fb;
        // Not a multiple of the cell, lines padded; the padding must stay as it is.
        mode.width = 3 * FONT_WIDTH + 5;
        mode.height = 2 * FONT_HEIGHT + 3;
        uint32_t used = mode.width * ((mode.bpp + 7U) / 8);
        mode.pitch = (uint32_t)align_up(used + 4, 4);
        uint8_t *pixels = malloc(mode.pitch * mode.height);
        memset(pixels, 0xee, mode.pitch * mode.height);
        framebuffer_init(&fb, &screen, pixels, &mode);
        assert_int_equal(screen.columns, 3);
        assert_int_equal(screen.rows, 2);
        print("/\n A");
        draw(&fb);
        for (uint32_t y = 0; y < mode.height; y++) {
            for (uint32_t x = 0; x < mode.width; x++) {
                bool slash = y < 8 && x == 7 - y;
                bool corners = (y == 16 || y == 31) && (x == 8 || x == 15);
                assert_int_equal(pixel_at(pixels, &mode, x, y), slash || corners ? greys[i] : 0);
            }
            for (uint32_t at = used; at < mode.pitch; at++)
                assert_int_equal(pixels[y * mode.pitch + at], 0xee);
        }
        // Scrolled away: only the A, one row higher.
        print("\n");
        draw(&fb);
        assert_int_equal(pixel_at(pixels, &mode, 7, 0), 0);
        assert_int_equal(pixel_at(pixels, &mode, 8, 0), greys[i]);
        assert_int_equal(pixel_at(pixels, &mode, 8, 16), 0);
        free(pixels);
    }
}

static void big_screens_get_big_letters(void **state)
{
    struct framebuffer fb;
    struct framebuffer_mode mode = modes[3];
    mode.width = 3840;
    mode.height = 2160;
    mode.pitch = mode.width * 4;
    uint8_t *pixels = malloc((size_t)mode.pitch * mode.height);
    framebuffer_init(&fb, &screen, pixels, &mode);
    assert_int_equal(fb.scale, 2);
    assert_int_equal(screen.columns, 240);
    assert_int_equal(screen.rows, 67);
    print("A");
    draw(&fb);
    for (uint32_t y = 0; y < 2; y++) {
        for (uint32_t x = 0; x < 17; x++)
            assert_int_equal(pixel_at(pixels, &mode, x, y),
                             x < 2 || x == 14 || x == 15 ? 0xc0c0c0 : 0);
    }
    assert_int_equal(pixel_at(pixels, &mode, 0, 2), 0);
    assert_int_equal(pixel_at(pixels, &mode, 0, 31), 0xc0c0c0);
    // The last cell of the last row is inside the memory.
    for (int i = 0; i < 240 * 67; i++)
        print("A");
    draw(&fb);
    free(pixels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_wraps_and_scrolls),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(only_changes_are_drawn),
        cmocka_unit_test(a_limit_cuts_the_work),
        cmocka_unit_test(sizes_are_cut_to_the_limits),
        cmocka_unit_test(every_depth_draws_the_same_dots),
        cmocka_unit_test(big_screens_get_big_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
