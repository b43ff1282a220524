// monitor/line.c: keys in, a line out; and a terminal of one line that shows what a person would
// see.

#include "tests/unit/support.h"

#include "monitor/line.h"

// A terminal that knows what the editor uses: CR, LF, BEL, erase to the end of the line, cursor
// left.
static char screen[1024];
static size_t column;
static unsigned bells;
static char above[1024]; // the line before

static void terminal_byte(char byte)
{
    static char sequence[16];
    static size_t length;
    if (length > 0 || byte == '\033') {
        sequence[length++] = byte;
        if (length < 3 || (byte >= '0' && byte <= '9'))
            return;
        sequence[length] = 0;
        length = 0;
        if (byte == 'K')
            memset(screen + column, 0, sizeof(screen) - column);
        else if (byte == 'D')
            column -= (size_t)atoi(sequence + 2);
        else
            fail_msg("unknown sequence %s", sequence + 1);
    } else if (byte == '\r') {
        column = 0;
    } else if (byte == '\n') {
        memcpy(above, screen, sizeof(above));
        memset(screen, 0, sizeof(screen));
        column = 0;
    } else if (byte == '\a') {
        bells++;
    } else {
        assert_in_range(byte, 0x20, 0x7e);
        screen[column++] = byte;
    }
}

static void terminal_write(struct printer *printer, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        terminal_byte(text[i]);
}

static struct printer terminal = {terminal_write};
static struct line line;

static const char *candidate(void *context, const char *before, size_t length, unsigned index)
{
    static const char *const words[] = {"info", "inform", "kill", "log"};
    assert_ptr_equal(context, &terminal);
    assert_true(length <= strlen(before));
    return index < 4 ? words[index] : NULL;
}

static void begin(void)
{
    memset(screen, 0, sizeof(screen));
    column = bells = 0;
    line_init(&line, &terminal, "> ", candidate, &terminal);
    line_begin(&line);
}

static enum line_event type(const char *keys)
{
    enum line_event event = LINE_EDITING;
    for (; *keys; keys++)
        event = line_type(&line, (uint8_t)*keys);
    return event;
}

static void enter(const char *text)
{
    type(text);
    assert_int_equal(line_type(&line, '\r'), LINE_READY);
    line_begin(&line);
}

// The text, and that the screen shows it with the cursor in its place.
static void assert_line(const char *text, size_t cursor)
{
    assert_string_equal(line.text, text);
    assert_int_equal(line.length, strlen(text));
    assert_int_equal(line.cursor, cursor);
    assert_int_equal(strncmp(screen, "> ", 2), 0);
    assert_string_equal(screen + 2, text);
    assert_int_equal(column, cursor + 2);
}

static void keys_make_a_line(void **state)
{
    begin();
    type("info vms");
    assert_line("info vms", 8);
    assert_int_equal(line_type(&line, '\r'), LINE_READY);
    assert_string_equal(line.text, "info vms");
    line_begin(&line);
    assert_line("", 0);
    assert_int_equal(line_type(&line, '\n'), LINE_EDITING); // CR LF is one key
    assert_int_equal(line_type(&line, '\n'), LINE_READY);
}

static void text_is_edited_in_the_middle(void **state)
{
    begin();
    type("ifo\033[D\033[Dn");
    assert_line("info", 2);
    type("\033[C\033[C\033[C!");
    assert_line("info!", 5);
    type("\b");
    assert_line("info", 4);
    type("\x7f\x7f");
    assert_line("in", 2);
    type("\033[H\033[3~");
    assert_line("n", 0);
    type("\b\033[D");
    assert_line("n", 0);
    type("\x05x\x01y");
    assert_line("ynx", 1);
    type("\033[F\033[D\x04\x04");
    assert_line("yn", 2);
    type("\033[1~\033[4~\033OH\033OF");
    assert_line("yn", 2);
    type("\x02\x0b");
    assert_line("y", 1);
}

static void words_and_lines_are_erased(void **state)
{
    begin();
    type("kill  the vm \x17");
    assert_line("kill  the ", 10);
    type("\x17\x17\x17\x17");
    assert_line("", 0);
    type("abc def\x02\x02\x15");
    assert_line("ef", 0);
    type("\x03");
    assert_string_equal(above, "> ef^C");
    assert_line("", 0);
}

static void the_history_goes_back_and_forth(void **state)
{
    begin();
    type("\033[A");
    assert_int_equal(bells, 1);
    enter("one");
    enter("two");
    enter("two");
    enter("");
    type("dra\033[A");
    assert_line("two", 3);
    type("\x10");
    assert_line("one", 3);
    type("\x10");
    assert_int_equal(bells, 2);
    assert_line("one", 3);
    type("\033[B\033[B");
    assert_line("dra", 3);
    type("\x0e");
    assert_line("dra", 3);
    type("\033[A!");
    enter("");
    type("\033[A\033[A");
    assert_line("two", 3);
}

static void the_history_forgets_the_oldest(void **state)
{
    begin();
    for (unsigned i = 0; i < LINE_HISTORY + 5; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%u", i);
        enter(text);
    }
    for (unsigned i = 0; i < LINE_HISTORY + 5; i++)
        type("\033[A");
    assert_line("5", 1);
    assert_int_equal(bells, 5);
}

static void tab_completes_what_is_certain(void **state)
{
    begin();
    type("k\t");
    assert_line("kill ", 5);
    type("in\t");
    assert_line("kill info", 9);
    type("\t"); // lists both
    assert_string_equal(above, "info  inform  ");
    assert_line("kill info", 9);
    type("r\t");
    assert_line("kill inform ", 12);
    type("zz\t");
    assert_int_equal(bells, 1);
    assert_line("kill inform zz", 14);
}

static void tab_completes_before_the_rest_of_the_line(void **state)
{
    begin();
    type(" vms\001k\t");
    assert_line("kill  vms", 5);
}

static void a_line_too_long_is_not_entered(void **state)
{
    begin();
    for (unsigned i = 0; i < LINE_BYTES - 1; i++)
        type("x");
    assert_int_equal(bells, 0);
    type("yz");
    assert_int_equal(bells, 2);
    assert_int_equal(line.length, LINE_BYTES - 1);
    assert_int_equal(line_type(&line, '\r'), LINE_EDITING);
    assert_non_null(strstr(above, "longer than 255"));
    assert_int_equal(line.length, LINE_BYTES - 1);
    type("\b");
    assert_int_equal(line_type(&line, '\r'), LINE_READY);
    assert_int_equal(strlen(line.text), LINE_BYTES - 2);
}

static void a_line_of_the_full_length_is_entered(void **state)
{
    begin();
    for (unsigned i = 0; i < LINE_BYTES - 1; i++)
        type("x");
    assert_int_equal(line_type(&line, '\r'), LINE_READY);
    line_begin(&line);
    type("\033[A");
    assert_int_equal(line.length, LINE_BYTES - 1);
    type("\t");
    assert_int_equal(line.length, LINE_BYTES - 1);
}

static void a_line_wider_than_the_terminal_is_shown_in_part(void **state)
{
    begin();
    for (unsigned i = 0; i < LINE_BYTES - 1; i++) {
        char key[2] = {(char)('a' + i % 26), 0};
        type(key);
        assert_true(column <= 79 && strlen(screen) <= 79);
        assert_int_equal(screen[column - 1], key[0]);
    }
    assert_int_equal(strncmp(screen, "> <", 3), 0);
    type("\x02\x02"); // the cursor is on the last but one
    assert_int_equal(screen[column], line.text[LINE_BYTES - 3]);
    type("\x01");
    assert_int_equal(strncmp(screen, "> abcdef", 8), 0);
    assert_int_equal(strlen(screen), 79);
    assert_int_equal(column, 2);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(screen[column], line.text[i]);
        type("\033[C");
    }
}

static void unknown_keys_are_swallowed_whole(void **state)
{
    begin();
    type("a\033[15~b\033[1;5Cc\033xd\033[200000000000000~e\033\033[De");
    assert_line("abcdee", 5);
    type("\x80\xff");
    assert_int_equal(bells, 2);
    assert_line("abcdee", 5);
}

static void redrawing_shows_the_line_again(void **state)
{
    begin();
    type("abc\033[D");
    memset(screen, 'z', 40);
    column = 20;
    line_redraw(&line);
    assert_line("abc", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_make_a_line),
        cmocka_unit_test(text_is_edited_in_the_middle),
        cmocka_unit_test(words_and_lines_are_erased),
        cmocka_unit_test(the_history_goes_back_and_forth),
        cmocka_unit_test(the_history_forgets_the_oldest),
        cmocka_unit_test(tab_completes_what_is_certain),
        cmocka_unit_test(tab_completes_before_the_rest_of_the_line),
        cmocka_unit_test(a_line_too_long_is_not_entered),
        cmocka_unit_test(a_line_of_the_full_length_is_entered),
        cmocka_unit_test(a_line_wider_than_the_terminal_is_shown_in_part),
        cmocka_unit_test(unknown_keys_are_swallowed_whole),
        cmocka_unit_test(redrawing_shows_the_line_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
