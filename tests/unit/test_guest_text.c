// monitor/guest_text.c: a guest's bytes beside other lines, and those that are shown again.

#include "tests/unit/support.h"

#include "monitor/guest_text.h"

typedef size_t shape_function(struct guest_text *, uint8_t, char *);

static const char *shaped(shape_function *function, const char *bytes)
{
    static char all[512];
    struct guest_text text = {0};
    size_t length = 0;
    for (; *bytes; bytes++) {
        size_t added = function(&text, (uint8_t)*bytes, all + length);
        assert_true(added <= GUEST_TEXT_MOST);
        length += added;
        assert_true(length + GUEST_TEXT_MOST < sizeof(all));
    }
    all[length] = 0;
    return all;
}

struct row {
    const char *bytes, *shown;
};

static void check(shape_function *function, const struct row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(shaped(function, rows[i].bytes), rows[i].shown);
}

static void text_alone_moves_nothing(void **state)
{
    static const struct row rows[] = {
        {"plain\ttext\r\n", "plain\ttext\n"},
        {"over\rthis\n", "over^Mthis\n"},
        {"a\r\r\n\r b\n", "a\n b\n"}, // at the beginning of a line it moves nothing
        {"\033[31mred\a\b\x7f", "^[[31mred^G^H^?"},
        {"\x80\x9b\xff\xc0\xaf|", "\\x80\\x9b\\xff\\xc0\\xaf|"},
        {"\xc2\x9b"
         "5n",
         "\\xc2\\x9b5n"},                      // CSI in UTF-8
        {"\xe2\x80\xae|", "\\xe2\\x80\\xae|"}, // text from right to left from here on
        {"\xe2\x80\xa8|", "\\xe2\\x80\\xa8|"}, // the end of a line
        {"\xed\xa0\x80|", "\\xed\\xa0\\x80|"}, // a surrogate
        {"\xe0\x80\x8a|", "\\xe0\\x80\\x8a|"}, // LF in too many bytes
        {"\xf4\x90\x80\x80|", "\\xf4\\x90\\x80\\x80|"},
        {"\xc3\xa9 \xe2\x94\x80 \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x94\x80 \xf0\x9f\x98\x80"},
        {"\xe2\x94x\xe2\n", "\\xe2\\x94x\\xe2\n"},
    };
    check(guest_text_plain, rows, ARRAY_LENGTH(rows));
}

static void what_a_terminal_answers_is_not_shown_again(void **state)
{
    static const struct row rows[] = {
        {"a\033[6n\033[5n\033[cb", "ab"},
        {"\033[?6n\033[0c\033[>c\033[=c\033[>0q\033[?u\033[21t\033[1x\033[?25$p\033[1$w.", "."},
        {"\033Z\x05\x9a\xc2\x9a.", "."},
        {"\x9b"
         "6n\xc2\x9b"
         "6n.",
         "."},
        {"\033]11;?\a\033]0;title\033\\\033P$q\"p\033\\.", "\033\\\033\\."},
        {"\033[6\005\r\nn.", "\r\n."},           // controls work inside of a sequence
        {"\033[6\x18n\033[6\033[6n.", "\x18n."}, // one that is called off
        {"\033[31;1mred\033[0m\033[2J\033[H\033[?25l\033[3;4H",
         "\033[31;1mred\033[0m\033[2J\033[H\033[?25l\033[3;4H"},
        {"\033[4 q\033[!p\033(B\0337\0338\033M\016\017",
         "\033[4 q\033[!p\033(B\0337\0338\033M\016\017"},
        {"\x9b"
         "1m\xc2\x9b"
         "0m",
         "\x9b"
         "1m\xc2\x9b"
         "0m"},
        {"\xe2\x9b\x84 \xc3\x9b \xc2\xa9", "\xe2\x9b\x84 \xc3\x9b \xc2\xa9"}, // 9B in a character
        {"\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20m.", "."},   // longer than is held
    };
    check(guest_text_replay, rows, ARRAY_LENGTH(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_alone_moves_nothing),
        cmocka_unit_test(what_a_terminal_answers_is_not_shown_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
