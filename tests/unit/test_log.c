// drivers/host/log.c and boot/last_words.c: what is kept, what is taken for a log of ours, and what
// the next boot says of it.

#include "tests/unit/support.h"

#include "boot/last_words.h"
#include "drivers/host/log.h"

static struct log kept;

// All that it holds, read in pieces.
static const char *text_of(const struct log *log)
{
    static char text[LOG_TEXT_BYTES + 1];
    uint64_t position = 0;
    size_t length = 0, read;
    while ((read = log_read(log, &position, text + length, MIN(LOG_TEXT_BYTES - length, 100U))))
        length += read;
    assert_int_equal(position, log->written);
    text[length] = '\0';
    return text;
}

static void the_last_lines_are_kept(void **state)
{
    (void)state;
    static char all[5 * LOG_TEXT_BYTES];
    size_t length = 0;
    log_init(&kept);
    assert_string_equal(text_of(&kept), "");
    for (int i = 0; length < 4 * LOG_TEXT_BYTES; i++) {
        int added = snprintf(all + length, 32, "line %d\n", i);
        log_write(&kept, all + length, (size_t)added);
        length += (size_t)added;
        const char *held = all + length - MIN(length, (size_t)LOG_TEXT_BYTES);
        assert_string_equal(text_of(&kept), held == all ? all : strchr(held, '\n') + 1);
    }
}

static void reading_goes_on_where_it_ended(void **state)
{
    (void)state;
    char text[8] = "";
    uint64_t position = 0;
    log_init(&kept);
    log_write(&kept, "one\ntwo\n", 8);
    assert_int_equal(log_read(&kept, &position, text, 6), 6);
    assert_memory_equal(text, "one\ntw", 6);
    log_write(&kept, "3\n", 2);
    assert_int_equal(log_read(&kept, &position, text, sizeof(text)), 4);
    assert_memory_equal(text, "o\n3\n", 4);
    assert_int_equal(log_read(&kept, &position, text, sizeof(text)), 0);
}

static void exactly_full(void **state)
{
    (void)state;
    static char text[LOG_TEXT_BYTES + 1];
    memset(text, 'a', LOG_TEXT_BYTES);
    text[0] = 'X';
    log_init(&kept);
    log_write(&kept, text, LOG_TEXT_BYTES);
    assert_string_equal(text_of(&kept), text);
    log_write(&kept, "b", 1); // one line, whose beginning is lost: nothing is held of it
    assert_string_equal(text_of(&kept), "");
}

static void only_a_whole_log_is_recognised(void **state)
{
    (void)state;
    log_init(&kept);
    assert_false(log_is_sealed(&kept));
    log_write(&kept, "corbel: panic\n", 14);
    assert_false(log_is_sealed(&kept));
    log_seal(&kept);
    assert_true(log_is_sealed(&kept));
    // A reset may lose any bit.
    uint8_t *bytes = (uint8_t *)&kept;
    for (size_t bit = 0; bit < sizeof(kept) * 8; bit += 61) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(log_is_sealed(&kept));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(log_is_sealed(&kept));
    log_write(&kept, "more", 4);
    assert_false(log_is_sealed(&kept));
    memset(&kept, 0xff, sizeof(kept));
    assert_false(log_is_sealed(&kept));
}

struct text {
    struct printer printer;
    char said[2 * LOG_TEXT_BYTES];
};

static void collect(struct printer *to, const char *piece, size_t length)
{
    strncat(((struct text *)to)->said, piece, length);
}

static void a_panic_is_told_once(void **state)
{
    (void)state;
    static struct text text = {.printer.write = collect};
    log_init(&kept);
    log_write(&kept, "one\n\ntwo\n", 9);
    assert_false(last_words_print(&text.printer, &kept));
    log_seal(&kept);
    assert_true(last_words_print(&text.printer, &kept));
    assert_string_equal(text.said, "corbel: the last boot ended in a panic:\n| one\n| two\n");
    assert_false(last_words_print(&text.printer, &kept));
    // Of many lines the last whole ones, also where the ring begins anew.
    for (int i = 0; i < 2000; i++) {
        char line[16];
        log_write(&kept, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
    }
    log_seal(&kept);
    text.said[0] = '\0';
    assert_true(last_words_print(&text.printer, &kept));
    const char *first = strchr(text.said, '|');
    assert_non_null(first);
    assert_in_range(strlen(text.said), 1400, 2200);
    int number = atoi(first + 7);
    for (char *line = strtok(strchr(text.said, '|'), "\n"); line; line = strtok(NULL, "\n")) {
        char expected[32];
        snprintf(expected, sizeof(expected), "| line %d", number++);
        assert_string_equal(line, expected);
    }
    assert_int_equal(number, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_lines_are_kept),
        cmocka_unit_test(reading_goes_on_where_it_ended),
        cmocka_unit_test(exactly_full),
        cmocka_unit_test(only_a_whole_log_is_recognised),
        cmocka_unit_test(a_panic_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
