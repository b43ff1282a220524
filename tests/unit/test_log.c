// lib/log.c and boot/info/crash_log.c: what is kept, what is taken for a log of ours, and what the
// next boot says of it.

#include "tests/unit/support.h"

#include <threads.h>

#include "boot/info/crash_log.h"
#include "lib/log.h"

static struct log kept;

static void put(enum log_level level, const char *text)
{
    log_put(&kept, level, text, strlen(text));
}

// All that it holds.
static const char *text_of(const struct log *log, enum log_level most)
{
    static char text[LOG_RECORDS * LOG_TEXT];
    uint64_t position = 0;
    size_t length = 0;
    for (size_t read; (read = log_read(log, &position, most, text + length));)
        length += read;
    assert_int_equal(position, log->written);
    text[length] = '\0';
    return text;
}

static void the_last_lines_are_kept(void **state)
{
    static char expected[LOG_RECORDS * 16];
    log_init(&kept);
    assert_string_equal(text_of(&kept, LOG_DEBUG), "");
    for (unsigned i = 0; i < 3 * LOG_RECORDS; i++) {
        char line[16];
        snprintf(line, sizeof(line), "line %u\n", i);
        put(LOG_INFO, line);
    }
    for (unsigned i = 2 * LOG_RECORDS, length = 0; i < 3 * LOG_RECORDS; i++)
        length += (unsigned)snprintf(expected + length, 16, "line %u\n", i);
    assert_string_equal(text_of(&kept, LOG_DEBUG), expected);
}

static void lines_have_a_level(void **state)
{
    log_init(&kept);
    put(LOG_INFO, "one\n\ntwo"); // its end goes without saying
    put(LOG_DEBUG, "more\n");
    put(LOG_ERROR, "bad\n");
    put(LOG_WARNING, "odd\n");
    assert_string_equal(text_of(&kept, LOG_DEBUG), "one\n\ntwo\nmore\nbad\nodd\n");
    assert_string_equal(text_of(&kept, LOG_INFO), "one\n\ntwo\nbad\nodd\n");
    assert_string_equal(text_of(&kept, LOG_WARNING), "bad\nodd\n");
    assert_string_equal(text_of(&kept, LOG_ERROR), "bad\n");
}

static void a_long_line_goes_on_in_the_next_record(void **state)
{
    char line[2 * LOG_LINE + 2];
    memset(line, 'x', sizeof(line));
    line[2 * LOG_LINE] = '\n';
    line[2 * LOG_LINE + 1] = '\0';
    log_init(&kept);
    put(LOG_INFO, line);
    assert_int_equal(kept.written, 2);
    assert_int_equal(strlen(text_of(&kept, LOG_INFO)), 2 * LOG_LINE + 2);
}

static void reading_goes_on_where_it_ended(void **state)
{
    char text[LOG_TEXT];
    uint64_t position = 0;
    log_init(&kept);
    put(LOG_INFO, "one\n");
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 4);
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 0);
    put(LOG_INFO, "two\n");
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 4);
    assert_string_equal(text, "two\n");
}

static void a_line_that_is_being_written_is_waited_for(void **state)
{
    char text[LOG_TEXT];
    uint64_t position = 0;
    log_init(&kept);
    put(LOG_INFO, "one\n");
    put(LOG_INFO, "two\n");
    kept.record[0].number = UINT64_MAX; // as put_line() has it meanwhile
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 0);
    kept.record[0].number = 1;
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 4);
    assert_string_equal(text, "one\n");
}

// One that was interrupted for long: nobody writes there, and nobody waits for ever.
static void a_writer_that_stands_still_costs_a_line_a_round(void **state)
{
    char text[LOG_TEXT];
    uint64_t position = 0;
    log_init(&kept);
    put(LOG_INFO, "one\n");
    kept.record[0].number = UINT64_MAX;
    for (unsigned i = 0; i < LOG_RECORDS + 1; i++)
        put(LOG_INFO, "more\n");
    assert_int_equal(kept.record[0].number, UINT64_MAX);
    assert_memory_equal(kept.record[0].text, "one", 3);
    for (unsigned i = 0; i < LOG_RECORDS - 2; i++)
        assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 5);
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 0);
    for (unsigned i = 0; i < LOG_RECORDS / 2; i++)
        put(LOG_INFO, "again\n");
    assert_int_equal(log_read(&kept, &position, LOG_INFO, text), 5);
}

#define WRITERS 4
#define LINES   20000U

static _Atomic unsigned done;

static int write_lines(void *given)
{
    char line[64];
    for (unsigned i = 0; i < LINES; i++) {
        char letter = (char)('a' + *(unsigned *)given);
        int length = snprintf(line, sizeof(line), "%c %u ", letter, i);
        memset(line + length, letter, 30);
        memcpy(line + length + 30, "\n", 2);
        put(LOG_INFO, line);
    }
    atomic_fetch_add(&done, 1);
    return 0;
}

// Writers that nobody waits for: what is read is whole, and in the order of each.
static void any_cpu_writes_at_any_time(void **state)
{
    thrd_t threads[WRITERS];
    unsigned names[WRITERS], next[WRITERS] = {0}, seen = 0;
    uint64_t position = 0;
    char text[LOG_TEXT];
    log_init(&kept);
    for (unsigned i = 0; i < WRITERS; i++) {
        names[i] = i;
        assert_int_equal(thrd_create(&threads[i], write_lines, &names[i]), thrd_success);
    }
    while (atomic_load(&done) < WRITERS || position + LOG_RECORDS / 2 < kept.written) {
        if (!log_read(&kept, &position, LOG_INFO, text))
            continue;
        unsigned who = (unsigned)(text[0] - 'a'), number = 0;
        char tail[32];
        assert_in_range(who, 0, WRITERS - 1);
        assert_int_equal(sscanf(text + 1, "%u %31s", &number, tail), 2);
        assert_int_equal(strspn(tail, (char[]){text[0], '\0'}), 30);
        assert_true(number >= next[who]);
        next[who] = number + 1;
        seen++;
    }
    for (unsigned i = 0; i < WRITERS; i++)
        thrd_join(threads[i], NULL);
    assert_in_range(seen, LOG_RECORDS / 4, WRITERS * LINES);
}

static unsigned calls;

static void count(void)
{
    calls++;
}

static void messages_are_taken_once(void **state)
{
    char text[LOG_TEXT];
    enum log_level level;
    assert_false(log_is_waiting());
    assert_int_equal(log_take(&level, text), 0);
    log_set_sink(count);
    log_warning("one %u\n", 1);
    assert_int_equal(calls, 1);
    log_set_sink(NULL);
    struct printer *printer = LOG_PRINTER(LOG_DEBUG);
    print_to(printer, "tw%c\nthr", 'o');
    print_to(printer, "ee\n\nno end");
    print_to(LOG_PRINTER_OF(LOG_DEBUG, "web"), "its own\nand more\n");
    assert_int_equal(calls, 1);
    assert_true(log_is_waiting());
    assert_int_equal(log_take(&level, text), 6);
    assert_string_equal(text, "one 1\n");
    assert_int_equal(level, LOG_WARNING);
    static const char *const lines[] = {"two\n", "three\n", "\n", "[web] its own\n",
                                        "[web] and more\n"};
    for (unsigned i = 0; i < ARRAY_LENGTH(lines); i++) {
        assert_int_equal(log_take(&level, text), strlen(lines[i]));
        assert_string_equal(text, lines[i]);
        assert_int_equal(level, LOG_DEBUG);
    }
    assert_false(log_is_waiting());
    for (unsigned i = 0; i < LOG_RECORDS + 7; i++)
        log_info("%u\n", i);
    assert_true(log_is_waiting());
    assert_true(log_take(&level, text) > 0);
    assert_string_equal(text, "corbel: 7 messages are lost\n");
    assert_int_equal(level, LOG_WARNING);
    assert_true(log_take(&level, text) > 0);
    assert_string_equal(text, "7\n");
    log_init(&kept);
    log_move(&kept); // what was taken stays so
    assert_ptr_equal(log_current(), &kept);
    assert_true(log_take(&level, text) > 0);
    assert_string_equal(text, "8\n");
}

static void only_a_whole_log_is_recognised(void **state)
{
    log_init(&kept);
    assert_false(log_is_sealed(&kept));
    put(LOG_ERROR, "corbel: panic\n");
    assert_false(log_is_sealed(&kept));
    log_seal(&kept);
    assert_true(log_is_sealed(&kept));
    // A reset may lose any bit.
    uint8_t *records = (uint8_t *)kept.record;
    for (size_t bit = 0; bit < sizeof(kept.record) * 8; bit += 16381) {
        records[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(log_is_sealed(&kept));
        records[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t *words[] = {&kept.magic, &kept.checksum, (uint64_t *)&kept.written};
        for (unsigned i = 0; i < ARRAY_LENGTH(words); i++) {
            *words[i] ^= BIT(bit);
            assert_false(log_is_sealed(&kept));
            *words[i] ^= BIT(bit);
        }
    }
    assert_true(log_is_sealed(&kept));
    put(LOG_INFO, "more");
    assert_false(log_is_sealed(&kept));
    memset(&kept, 0xff, sizeof(kept));
    assert_false(log_is_sealed(&kept));
}

struct text {
    struct printer printer;
    char said[16384];
};

static void collect(struct printer *to, const char *piece, size_t length)
{
    strncat(((struct text *)to)->said, piece, length);
}

static void a_panic_is_told_once(void **state)
{
    static struct text text = {.printer.write = collect};
    log_init(&kept);
    put(LOG_DEBUG, "one\n\ntwo\n");
    assert_false(crash_log_print(&text.printer, &kept));
    log_seal(&kept);
    assert_true(crash_log_print(&text.printer, &kept));
    assert_string_equal(text.said, "corbel: the last boot ended in a panic:\n| one\n| two\n");
    assert_false(crash_log_print(&text.printer, &kept));
    // Of many lines the last ones.
    for (int i = 0; i < 2000; i++) {
        char line[16];
        snprintf(line, sizeof(line), "line %d\n", i);
        put(LOG_INFO, line);
    }
    log_seal(&kept);
    text.said[0] = '\0';
    assert_true(crash_log_print(&text.printer, &kept));
    int number = 1960;
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
        cmocka_unit_test(lines_have_a_level),
        cmocka_unit_test(a_long_line_goes_on_in_the_next_record),
        cmocka_unit_test(reading_goes_on_where_it_ended),
        cmocka_unit_test(a_line_that_is_being_written_is_waited_for),
        cmocka_unit_test(a_writer_that_stands_still_costs_a_line_a_round),
        cmocka_unit_test(any_cpu_writes_at_any_time),
        cmocka_unit_test(messages_are_taken_once),
        cmocka_unit_test(only_a_whole_log_is_recognised),
        cmocka_unit_test(a_panic_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
