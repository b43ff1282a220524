// monitor/size_query.c: a terminal that answers, and what is typed meanwhile.
#include "tests/unit/support.h"

#include "monitor/size_query.h"

#define SECOND UINT64_C(1000000000)

static struct size_query query;
static char typed[256];
static unsigned answers;

static int asked(void **state)
{
    (void)state;
    query = (struct size_query){0};
    answers = 0;
    typed[0] = 0;
    size_query_begin(&query, SECOND);
    return 0;
}

static void pass_on(const uint8_t *bytes, unsigned length)
{
    assert_in_range(length, 0, SIZE_HELD);
    strncat(typed, (const char *)bytes, length);
}

static void hear(const char *text)
{
    uint8_t out[SIZE_HELD];
    for (; *text; text++) {
        bool is_answered;
        pass_on(out, size_query_take(&query, (uint8_t)*text, out, &is_answered));
        answers += is_answered;
    }
}

static void attend(uint64_t now)
{
    uint8_t out[SIZE_HELD];
    pass_on(out, size_query_attend(&query, now, out));
}

static void an_answer_is_taken_out(void **state)
{
    (void)state;
    hear("ls");
    hear("\033[8;43;132t");
    hear(" -l\r");
    assert_string_equal(typed, "ls -l\r");
    assert_int_equal(answers, 1);
    assert_int_equal(query.columns, 132);
    assert_int_equal(query.rows, 43);
    hear("\033[8;1;1t"); // nobody asked
    assert_string_equal(typed, "ls -l\r\033[8;1;1t");
    assert_int_equal(answers, 1);
}

static void other_keys_pass(void **state)
{
    static const char *const keys[] = {"\033[A",          "\033OP",
                                       "\033\033",        "\033[8~",
                                       "\033[8;t",        "\033[8;24t",
                                       "\033[8;24;80R",   "\033[8;1;2;3t",
                                       "\033[8;0;80t",    "\033[8;24;0t",
                                       "\033[8;1;10000t", "\033[8;11111111111111t",
                                       "\033[8;;t",       "t",
                                       "\033[4;24;80t"};
    for (unsigned i = 0; i < ARRAY_LENGTH(keys); i++) {
        asked(state);
        hear(keys[i]);
        attend(3 * SECOND);
        assert_string_equal(typed, keys[i]);
        assert_int_equal(answers, 0);
    }
}

static void an_answer_behind_half_a_key_is_one(void **state)
{
    (void)state;
    hear("\033[8;\033[8;24;80t");
    assert_string_equal(typed, "\033[8;");
    assert_int_equal(answers, 1);
}

// The key that begins as an answer does.
static void nothing_is_held_for_long(void **state)
{
    (void)state;
    hear("\033");
    attend(3 * SECOND - 1);
    assert_string_equal(typed, "");
    attend(3 * SECOND);
    assert_string_equal(typed, "\033");
    hear("\033[8;24;80t");
    assert_string_equal(typed, "\033\033[8;24;80t");
    attend(4 * SECOND);
    assert_int_equal(answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_is_taken_out, asked),
        cmocka_unit_test_setup(other_keys_pass, asked),
        cmocka_unit_test_setup(an_answer_behind_half_a_key_is_one, asked),
        cmocka_unit_test_setup(nothing_is_held_for_long, asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
