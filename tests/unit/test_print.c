// lib/print.c against the C library's own snprintf.

#include "tests/unit/support.h"

#include "lib/print.h"
#include "lib/status.h"

#define assert_same(...)                                                                           \
    do {                                                                                           \
        char ours[128], theirs[128];                                                               \
        size_t length = format_text(ours, sizeof(ours), __VA_ARGS__);                              \
        int expected = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                              \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(length, expected);                                                        \
    } while (0)

static void conversions_match_the_c_library(void **state)
{
    assert_same("plain");
    assert_same("%d %u", -5, 4000000000U);
    assert_same("%x %#x", 0xabcU, 0x1fU);
    assert_same("[%8d] [%-8d] [%08d]", 42, 42, -42);
    assert_same("[%16lx] [%-16lx] [%016lx]", 0x1234UL, 0x1234UL, 0xdeadbeefUL);
    assert_same("%llu %lld", 18446744073709551615ULL, (long long)INT64_MIN);
    assert_same("%zu %c%c", (size_t)17, 'o', 'k');
    assert_same("[%s] [%10s] [%-10s] [%.2s] [%.*s]", "abc", "abc", "abc", "abc", 1, "abc");
    assert_same("[%*d] [%-*d]", 6, 1, 6, 2);
    assert_same("[%.4x] [%8.4x]", 0x1fU, 0x1fU);
    assert_same("100%%");
}

static void a_full_buffer_is_cut_and_terminated(void **state)
{
    char buffer[4] = "xxx";
    assert_int_equal(format_text(buffer, sizeof(buffer), "%s", "abcdef"), 6);
    assert_string_equal(buffer, "abc");
    assert_int_equal(format_text(NULL, 0, "%d", 12345), 5);
}

static void a_null_string_and_an_unfinished_conversion_are_harmless(void **state)
{
    char buffer[32];
    const char *nothing = NULL, *unfinished = "ab%";
    format_text(buffer, sizeof(buffer), "%s", nothing);
    assert_string_equal(buffer, "(null)");
#pragma GCC diagnostic ignored "-Wformat-security"
    format_text(buffer, sizeof(buffer), unfinished);
    assert_string_equal(buffer, "ab");
}

static void explain_returns_its_status(void **state)
{
    struct explanation why;
    assert_int_equal(explain(&why, STATUS_RANGE, "memory %d", 3), STATUS_RANGE);
    assert_string_equal(why.text, "memory 3");
    assert_int_equal(explain(NULL, STATUS_FULL, "nobody reads this"), STATUS_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversions_match_the_c_library),
        cmocka_unit_test(a_full_buffer_is_cut_and_terminated),
        cmocka_unit_test(a_null_string_and_an_unfinished_conversion_are_harmless),
        cmocka_unit_test(explain_returns_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
