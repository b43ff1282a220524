// monitor/mux_streams.c: a console that is read and typed at beside the terminal.
#include "tests/unit/mux_support.h"

#include "monitor/mux_streams.h"

static void what_is_printed_is_read_beside_the_terminal(void **state)
{
    uint8_t text[RING];
    uint64_t position = 0;
    (void)state;
    begin(2);
    print(1, "hello\n");
    assert_int_equal(mux_read(&mux, 1, &position, text, 3), 3);
    assert_int_equal(mux_read(&mux, 1, &position, text + 3, sizeof(text) - 3), 3);
    assert_memory_equal(text, "hello\n", 6);
    assert_int_equal(mux_read(&mux, 1, &position, text, sizeof(text)), 0);
    assert_string_equal(shown, "[b] hello\n"); // the terminal has it, too
    print(1, "more\n");
    assert_int_equal(mux_read(&mux, 1, &position, text, sizeof(text)), 5);
    assert_memory_equal(text, "more\n", 5);
}

// What is not there any more is left out; the last of a ring, where the guest may be printing, too.
static void a_slow_reader_has_the_newest(void **state)
{
    uint8_t text[RING];
    uint64_t position = 0;
    (void)state;
    begin(1);
    for (unsigned i = 0; i < 3 * RING; i++)
        assert_true(put(0, (char)('a' + i % 26)));
    assert_int_equal(mux_read(&mux, 0, &position, text, sizeof(text)), RING - RING / 16);
    assert_int_equal(position, 3 * RING);
    assert_int_equal(text[RING - RING / 16 - 1], 'a' + (3 * RING - 1) % 26);
    assert_int_equal(text[0], 'a' + (2 * RING + RING / 16) % 26);
}

static void what_is_typed_waits_as_far_as_there_is_room(void **state)
{
    uint8_t keys[MUX_TYPED + 10];
    (void)state;
    begin(2);
    memset(keys, 'k', sizeof(keys));
    assert_int_equal(mux_type_into(&mux, 1, keys, 2), 2);
    assert_int_equal(ring_used(&channels[1].console.typed), 2);
    assert_int_equal(ring_used(&channels[0].console.typed), 0);
    assert_int_equal(mux_type_into(&mux, 1, keys, sizeof(keys)), MUX_TYPED - 2);
    assert_int_equal(mux_type_into(&mux, 1, keys, sizeof(keys)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_read_beside_the_terminal),
        cmocka_unit_test(a_slow_reader_has_the_newest),
        cmocka_unit_test(what_is_typed_waits_as_far_as_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
