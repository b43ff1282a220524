// JSON: what is good and what is not, by RFC 8259, and the walks through what is.

#include "tests/unit/support.h"

#include "lib/json.h"

static struct span text_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static void what_is_json(void **state)
{
    static const char *const good[] = {
        "0",
        "-0",
        "1.5e+10",
        "-12E-3",
        "1e5",
        " \t\r\n{ } ",
        "[]",
        "[1]",
        "[ 1 , 2 ]",
        "{\"\":0}",
        "{\"a\":{\"b\":[true,false,null]},\"c\":\"d\"}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "\"\x7f\"",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(good); i++)
        if (!json_is_good(text_of(good[i])))
            fail_msg("is good: %s", good[i]);
}

static void what_is_not(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "1 2",
        "[]]",
        "{]",
        "[}",
        "01",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "tru",
        "truee",
        "nul",
        "True",
        "'a'",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc3\"",
        "\"\xe0\x80\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\xff",
        "[1]x",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++)
        if (json_is_good(text_of(bad[i])))
            fail_msg("is not good: %s", bad[i]);
    assert_false(json_is_good((struct span){"\"\0\"", 3}));
    assert_false(json_is_good((struct span){"\0", 1}));
}

static void members_and_elements_are_found(void **state)
{
    struct span object = text_of(
        " { \"a\" : [1, \"x,]}\\\"\", {\"b\": 2}] , \"b\\u0062\":{ },\"c\":\"\", \"d\": 1e3 }");
    struct span value, name, rest;
    assert_true(json_is_good(object));
    assert_true(json_member(object, "a", &value));
    assert_int_equal(value.length, strlen("[1, \"x,]}\\\"\", {\"b\": 2}]"));
    rest = value;
    assert_true(json_next(&rest, NULL, &value) && span_is(value, "1"));
    assert_true(json_next(&rest, NULL, &value) && json_is_string(value, "x,]}\""));
    assert_true(json_next(&rest, NULL, &value) && span_is(value, "{\"b\": 2}"));
    assert_false(json_next(&rest, NULL, &value));
    assert_true(json_member(object, "bb", &value) && span_is(value, "{ }"));
    assert_false(json_next(&value, &name, &rest));
    assert_true(json_member(object, "d", &value) && span_is(value, "1e3"));
    assert_false(json_member(object, "b", &value)); // one of a member's members
    assert_false(json_member(text_of("[\"a\", 1]"), "a", &value));
    assert_false(json_member(text_of("\"a\""), "a", &value));
    unsigned count = 0;
    for (rest = object; json_next(&rest, &name, &value);)
        count++;
    assert_int_equal(count, 4);
    assert_true(json_is_string(name, "d"));
}

static void strings_are_taken_out_of_their_escapes(void **state)
{
    char text[16];
    assert_true(json_string(text_of("\"a\\n\\u20ac\\ud83d\\ude00\\/\""), text, sizeof(text)));
    assert_string_equal(text, "a\n\xe2\x82\xac\xf0\x9f\x98\x80/");
    assert_true(json_string(text_of("\"123456789012345\""), text, sizeof(text)));
    assert_false(json_string(text_of("\"1234567890123456\""), text, sizeof(text)));
    assert_false(json_string(text_of("\"12345678901234\xc3\xa9\""), text, sizeof(text)));
    assert_false(json_string(text_of("12"), text, sizeof(text)));
    assert_true(json_is_string(text_of("\"\""), ""));
    assert_false(json_is_string(text_of("\"ab\""), "a"));
    assert_false(json_is_string(text_of("\"a\""), "ab"));
}

static void numbers_are_whole_and_fit(void **state)
{
    uint64_t number;
    assert_true(json_number(text_of("18446744073709551615"), &number) && number == UINT64_MAX);
    assert_false(json_number(text_of("18446744073709551616"), &number));
    assert_false(json_number(text_of("-1"), &number));
    assert_false(json_number(text_of("1.0"), &number));
    assert_false(json_number(text_of("1e3"), &number));
    assert_false(json_number(text_of("\"1\""), &number));
    assert_false(json_number(text_of("true"), &number));
}

static void a_message_ends_with_its_bracket_or_its_line(void **state)
{
    static const char stream[] = "{\"a\":\"}\\\"}\"}{}[[]]\nx}\n{\"a\n{\"b\":\n1}";
    static const size_t ends[] = {12, 14, 18, 19, 22, 26, 34};
    struct json_scan scan = {0};
    unsigned count = 0;
    for (size_t i = 0; i < strlen(stream); i++)
        if (json_scan(&scan, stream[i])) {
            assert_int_equal(i + 1, ends[count]);
            count++;
        }
    assert_int_equal(count, ARRAY_LENGTH(ends));
}

// ---- writing ----

static char printed[128];

static void collect(struct printer *printer, const char *text, size_t length)
{
    strncat(printed, text, length);
}

static void what_is_written_can_be_read(void **state)
{
    struct printer to = {collect};
    char back[32];
    printed[0] = 0;
    json_print(&to, "a\"b\\c\n\t\x01\x1b\x7f\xc3 z");
    assert_string_equal(printed, "\"a\\\"b\\\\c\\n\\t\\u0001\\u001b\\u007f\\u00c3 z\"");
    assert_true(json_is_good(text_of(printed)) && json_string(text_of(printed), back, 32));
    printed[0] = 0;
    json_print_text(&to, "a\0b", 3);
    assert_string_equal(printed, "a\\u0000b");
    printed[0] = 0;
    json_print_value(&to, text_of("{ \"a b\" :\n [1, \"\\\" x\" ] }"));
    assert_string_equal(printed, "{\"a b\":[1,\"\\\" x\"]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(members_and_elements_are_found),
        cmocka_unit_test(strings_are_taken_out_of_their_escapes),
        cmocka_unit_test(numbers_are_whole_and_fit),
        cmocka_unit_test(a_message_ends_with_its_bracket_or_its_line),
        cmocka_unit_test(what_is_written_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
