// drivers/host/text/keyboard.c: keys as a person presses them.

#include "tests/unit/support.h"

#include "drivers/host/text/keyboard.h"

static struct keyboard keyboard;

// What a row of scan codes sends.
static const char *sent(const char *codes)
{
    static char text[64];
    unsigned length = 0;
    for (; *codes != '\0'; codes++)
        length += keyboard_take(&keyboard, (uint8_t)*codes, text + length);
    text[length] = '\0';
    return text;
}

static int begin(void **state)
{
    keyboard = (struct keyboard){0};
    return 0;
}

static void plain_keys(void **state)
{
    assert_string_equal(sent("\x26\xa6\x1f\x9f\x1c\x9c"), "ls\r");
    assert_string_equal(sent("\x02\x0b\x0c\x0d\x1a\x1b\x27\x28\x29\x2b\x33\x34\x35\x39"),
                        "10-=[];'`\\,./ ");
    assert_string_equal(sent("\x10\x19\x1e\x26\x2c\x32"), "qpalzm");
    assert_string_equal(sent("\x01\x0e\x0f"), "\033\177\t");
    assert_string_equal(sent("\x3b\x44\x57\x7f\x46\x38\xb8"), ""); // F keys, Alt and others
}

static void shift_and_caps_lock(void **state)
{
    assert_string_equal(sent("\x2a\x1e\x02\x9e\xaa\x1e"), "A!a");
    assert_string_equal(sent("\x2a\x36\x1e\xaa\x1e\xb6\x1e"), "AAa");      // both, one let go
    assert_string_equal(sent("\x3a\xba\x1e\x02\x2a\x1e\x03\xaa"), "A1a@"); // letters only
    assert_string_equal(sent("\x3a\xba\x1e"), "a");
    assert_string_equal(sent("\x2a\x28\x27\x29\x2b\x33\x34\x35\x1a\xaa"), "\":~|<>?{");
}

static void control(void **state)
{
    assert_string_equal(sent("\x1d\x1e\x9e\x2e\x9d\x1e"), "\001\003a");
    assert_string_equal(sent("\xe0\x1d\x20\xe0\x9d\x20"), "\004d"); // the right one
    assert_string_equal(sent("\x1d\x1a\x2b\x1b\x02\x9d"), "\033\034\0351");
}

static void the_second_block(void **state)
{
    assert_string_equal(sent("\xe0\x48\xe0\xc8\xe0\x53"), "\033[A\033[3~");
    assert_string_equal(sent("\xe0\x1c\xe0\x35"), "\r/");
    // The shifts that some keyboards send around these keys are none.
    assert_string_equal(sent("\xe0\x2a\xe0\x4b\xe0\xcb\xe0\xaa\x1e"), "\033[Da");
    assert_string_equal(sent("\xe0\x5b\xe0\xdb"), "");
}

static void any_bytes_do_no_harm(void **state)
{
    char bytes[KEYBOARD_BYTES_MAX];
    uint32_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        assert_in_range(keyboard_take(&keyboard, (uint8_t)(seed >> 24), bytes), 0, sizeof(bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_keys, begin),
        cmocka_unit_test_setup(shift_and_caps_lock, begin),
        cmocka_unit_test_setup(control, begin),
        cmocka_unit_test_setup(the_second_block, begin),
        cmocka_unit_test_setup(any_bytes_do_no_harm, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
