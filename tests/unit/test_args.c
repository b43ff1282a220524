// monitor/args.c: words, options and numbers of a command line.

#include "tests/unit/support.h"

#include "monitor/args.h"

static struct args args;

static void split(const char *line, unsigned count)
{
    assert_int_equal(args_split(&args, line), ARGS_OK);
    assert_int_equal(args.count, count);
}

static void words_are_separated_by_blanks(void **state)
{
    split("", 0);
    split("   ", 0);
    split("  info   vms ", 2);
    assert_string_equal(args.arg[0], "info");
    assert_string_equal(args.arg[1], "vms");
}

static void a_format_may_cling_to_the_command(void **state)
{
    split("x/4xg 0x10/2", 3);
    assert_string_equal(args.arg[0], "x");
    assert_string_equal(args.arg[1], "/4xg");
    assert_string_equal(args.arg[2], "0x10/2");
    split("/x", 1);
}

static void options_are_letters_anywhere_behind_the_command(void **state)
{
    split("info exits -pm web -g", 3);
    assert_string_equal(args.arg[2], "web");
    assert_true(args_have(&args, 'p') && args_have(&args, 'm') && args_have(&args, 'g'));
    assert_false(args_have(&args, 'a'));
    split("-x", 1); // no command begins with an option: it is a word
    assert_string_equal(args.arg[0], "-x");
    assert_int_equal(args_split(&args, "info -"), ARGS_BAD_OPTION);
    assert_int_equal(args_split(&args, "info -aB"), ARGS_BAD_OPTION);
    assert_int_equal(args_split(&args, "info -4"), ARGS_BAD_OPTION);
}

static void sixteen_words_are_enough(void **state)
{
    split("1 2 3 4 5 6 7 8 9 a b c d e f g", 16);
    assert_int_equal(args_split(&args, "1 2 3 4 5 6 7 8 9 a b c d e f g h"), ARGS_TOO_MANY);
}

static void the_longest_line_fits(void **state)
{
    char line[ARGS_BYTES];
    memset(line, 'w', sizeof(line));
    line[sizeof(line) - 1] = 0;
    split(line, 1);
    assert_string_equal(args.arg[0], line);
    line[1] = '/'; // "w", "/www...": a NUL more
    split(line, 2);
    assert_string_equal(args.arg[1], line + 1);
    for (unsigned i = 1; i < 32; i += 2)
        line[i] = ' ';
    assert_int_equal(args_split(&args, line), ARGS_TOO_MANY);
}

static void assert_number(const char *text, uint64_t expected, const char *rest)
{
    uint64_t value;
    assert_true(args_number(&text, &value));
    assert_int_equal(value, expected);
    assert_string_equal(text, rest);
}

static void numbers_are_decimal_or_hexadecimal(void **state)
{
    uint64_t value;
    assert_number("0", 0, "");
    assert_number("42+1", 42, "+1");
    assert_number("0x1aF", 0x1af, "");
    assert_number("0Xfg", 0xf, "g");
    assert_number("12ab", 12, "ab");
    assert_number("18446744073709551615", UINT64_MAX, "");
    assert_number("0xffffffffffffffff", UINT64_MAX, "");
    static const char *const wrong[] = {
        "", "x", "-1", " 1", "0x", "0xg", "18446744073709551616", "0x10000000000000000"};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        const char *text = wrong[i];
        assert_false(args_number(&text, &value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_separated_by_blanks),
        cmocka_unit_test(a_format_may_cling_to_the_command),
        cmocka_unit_test(options_are_letters_anywhere_behind_the_command),
        cmocka_unit_test(sixteen_words_are_enough),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(numbers_are_decimal_or_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
