// monitor/mux_keys.c: whose console a terminal shows, and who gets what is typed there.

#include "tests/unit/mux_support.h"

static void typing_chooses_the_first_vm_and_the_others_are_kept(void **state)
{
    (void)state;
    begin(2);
    print(0, "first\n");
    print(1, "second\n");
    forget_shown();
    assert_int_equal(mux_type(&mux, 'k'), MUX_INPUT);
    assert_shown("--- 1: a (Ctrl-A h helps) ---\nfirst\n");
    assert_int_equal(mux_peek(&mux, 0), 'k');
    print(1, "kept\n");
    assert_shown("");
    type("\x01"
         "2");
    assert_shown("--- 2: b (Ctrl-A h helps) ---\nsecond\nkept\n");
    print(1, "live");
    print(0, "now kept");
    assert_shown("live");
    type("\x01p");
    assert_shown("\n--- 1: a (Ctrl-A h helps) ---\nfirst\nnow kept");
    type("\x01n");
    assert_non_null(strstr(shown, "--- 2: b"));
    forget_shown();
    type("\x01"
         "0");
    assert_non_null(strstr(shown, "--- all VMs"));
    forget_shown();
    print(1, "x\n");
    print(0, "y\n");
    assert_shown("[b] x\n[a] y\n");
}

static void scroll_back_begins_with_a_whole_line(void **state)
{
    (void)state;
    begin(2);
    type("\x01"
         "1");
    for (unsigned i = 0; i < 30; i++)
        print(1, "line\n");
    forget_shown();
    type("\x01"
         "2");
    const char *text = strchr(shown, '\n') + 1;
    assert_int_equal(strncmp(text, "line\n", 5), 0);
    assert_int_equal(strlen(text) % 5, 0);
    assert_true(strlen(text) > RING - 5 && strlen(text) <= RING);
}

static void a_replay_goes_on_as_the_line_takes_it(void **state)
{
    (void)state;
    begin(2);
    type("\x01"
         "1");
    for (unsigned i = 0; i < 12; i++)
        print(1, "line\n");
    room = 0;
    forget_shown();
    type("\x01"
         "2");
    assert_shown("--- 2: b (Ctrl-A h helps) ---\n");
    print(1, "new\n");                     // behind the replay
    assert_false(mux_write(&mux, 1, 'x')); // no byte of the replay is overwritten
    assert_shown("");
    room = SIZE_MAX;
    mux_poll(&mux);
    assert_int_equal(length, RING);
    assert_string_equal(shown + RING - 9, "line\nnew\n");
}

static void the_terminals_answers_are_nobodys_typing(void **state)
{
    (void)state;
    begin(2);
    print(1, "\033[6n");
    assert_shown("[b] \033[6n");
    type("\033[24;80R");
    assert_int_equal(mux_peek(&mux, 0), -1);
    assert_shown("");
    type("\x1b"
         "a");
    assert_non_null(strstr(shown, "--- 1: a"));
    assert_int_equal(mux_peek(&mux, 0), 'a');
    mux_take(&mux, 0);
    type("\033[A"); // a person's, now
    assert_int_equal(mux_peek(&mux, 0), 0x1b);
    forget_shown();
    type("\x01"
         "2"); // the question is not asked again
    assert_shown("--- 2: b (Ctrl-A h helps) ---\n");
    print(1, "\033[6n");
    assert_shown("\033[6n");
}

static void the_monitor_takes_the_keys(void **state)
{
    (void)state;
    begin(2);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'c'), MUX_ENTER);
    assert_int_equal(mux_type(&mux, 'k'), MUX_TO_MONITOR);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'a'), MUX_TO_MONITOR);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'b'), MUX_NOTHING);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'x'), MUX_QUIT);
    assert_int_equal(mux_peek(&mux, 0), -1);
}

static void the_escape_key_itself_can_be_sent(void **state)
{
    (void)state;
    begin(1);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_peek(&mux, 0), -1);
    assert_int_equal(mux_type(&mux, MUX_ESCAPE), MUX_INPUT);
    assert_int_equal(mux_peek(&mux, 0), MUX_ESCAPE);
    mux_take(&mux, 0);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'a'), MUX_INPUT);
    assert_int_equal(mux_peek(&mux, 0), MUX_ESCAPE);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'q'), MUX_NOTHING);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'b'), MUX_BREAK);
}

static void keys_for_a_guest_that_does_not_read_are_counted_out(void **state)
{
    (void)state;
    begin(1);
    for (unsigned i = 0; i < MUX_TYPED; i++)
        assert_int_equal(mux_type(&mux, 'k'), MUX_INPUT);
    assert_true(mux_is_full(&mux));
    assert_int_equal(mux_type(&mux, 'k'), MUX_FULL);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'c'), MUX_ENTER);
    assert_false(mux_is_full(&mux));
}

static void wrong_keys_change_nothing(void **state)
{
    (void)state;
    begin(1);
    type("\x01"
         "9");
    type("\x01z");
    assert_shown("");
    print(0, "still here");
    assert_shown("still here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typing_chooses_the_first_vm_and_the_others_are_kept),
        cmocka_unit_test(scroll_back_begins_with_a_whole_line),
        cmocka_unit_test(a_replay_goes_on_as_the_line_takes_it),
        cmocka_unit_test(the_terminals_answers_are_nobodys_typing),
        cmocka_unit_test(the_monitor_takes_the_keys),
        cmocka_unit_test(the_escape_key_itself_can_be_sent),
        cmocka_unit_test(keys_for_a_guest_that_does_not_read_are_counted_out),
        cmocka_unit_test(wrong_keys_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
