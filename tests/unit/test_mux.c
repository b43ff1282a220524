// monitor/mux.c: what a terminal shows while several consoles share it.

#include "tests/unit/mux_support.h"

static void a_vm_alone_is_shown_as_it_is(void **state)
{
    begin(1);
    print(0, "one\r\ntwo");
    assert_shown("one\r\ntwo");
    assert_int_equal(mux_type(&mux, 'k'), MUX_INPUT);
    assert_int_equal(peek(0), 'k');
    take(0);
    assert_int_equal(peek(0), -1);
    print(0, " three");
    assert_shown(" three");
}

static void lines_of_several_vms_are_whole_and_named(void **state)
{
    begin(3);
    print(0, "he");
    print(1, "hidden\n");
    print(2, "part");
    print(0, "llo\n");
    assert_shown("[a] hello\n[b] hidden\n[c] part");
    print(0, "x\n");
    print(2, "y\n");
    assert_shown("y\n[a] x\n");
}

static void nobody_starves_behind_a_vm_that_never_stops(void **state)
{
    begin(2);
    print(0, "1");
    print(1, "b1\nb2\n");
    print(0, "\n2\n3");
    assert_shown("[a] 1\n[b] b1\n[a] 2\n[b] b2\n[a] 3");
}

static void an_unfinished_line_is_cut_after_silence(void **state)
{
    begin(2);
    print(0, "login: ");
    print(1, "waits\n");
    for (unsigned i = 0; i < 15; i++)
        mux_poll(&mux);
    assert_shown("[a] login: ");
    for (unsigned i = 0; i < 15; i++)
        mux_poll(&mux);
    assert_shown("\n[b] waits\n");
    for (unsigned i = 0; i < 40; i++)
        mux_poll(&mux);
    assert_shown("");
    print(0, "root\n");
    assert_shown("[a] root\n");
}

static void a_slow_line_does_not_cut_the_line_that_waits_for_it(void **state)
{
    begin(2);
    print(0, "one ");
    room = 0;
    print(0, "line\n");
    print(1, "waits\n");
    for (unsigned i = 0; i < 40; i++)
        mux_poll(&mux);
    room = SIZE_MAX;
    mux_poll(&mux);
    assert_shown("[a] one line\n[b] waits\n");
}

static void a_guest_waits_when_its_ring_is_full(void **state)
{
    begin(2);
    print(0, "open");
    for (unsigned i = 0; i < RING; i++)
        assert_true(put(1, 'b'));
    assert_false(put(1, 'b'));
    forget_shown();
    print(0, "\n");
    assert_int_equal(length, 1 + strlen("[b] ") + RING);
    assert_true(put(1, 'b'));
}

static void a_slow_line_makes_the_guest_wait_and_loses_nothing(void **state)
{
    char expected[RING + 4] = "ab";
    begin(1);
    print(0, "ab");
    room = 0;
    for (unsigned i = 0; i < RING; i++)
        assert_true(put(0, expected[i + 2] = (char)('c' + i % 20)));
    assert_false(put(0, '!')); // its ring is full too
    assert_int_equal(length, 2);
    assert_true(channels[0].console.is_held);
    room = SIZE_MAX;
    mux_show(&mux);
    assert_true(put(0, expected[RING + 2] = '!'));
    assert_shown(expected);
}

static void the_operator_need_not_wait_for_what_a_guest_has_still_to_show(void **state)
{
    begin(2);
    type("\x01"
         "1");
    room = 0;
    print(0, "long text\n");
    forget_shown();
    type("\x01"
         "2");
    assert_shown("--- 2: b (Ctrl-A h helps) ---\n");
    room = SIZE_MAX;
    type("\x01"
         "1");
    assert_shown("--- 1: a (Ctrl-A h helps) ---\nlong text\n");
}

static void messages_have_lines_of_their_own(void **state)
{
    begin(1);
    print(0, "half a li");
    print_to(&mux.printer, "corbel: %s %u\n", "number", 7U);
    print(0, "ne\n");
    assert_shown("half a li\ncorbel: number 7\nne\n");
}

static void a_message_waits_for_its_end(void **state)
{
    begin(1);
    print_to(&mux.printer, "corbel: ");
    print(0, "guest\n");
    print_to(&mux.printer, "end\n");
    assert_shown("guest\ncorbel: end\n");
}

static void messages_wipe_the_monitors_line_and_ask_for_it_again(void **state)
{
    begin(1);
    type("\x01"
         "c");
    mux_write_monitor(&mux, "(corbel) inf", 12);
    forget_shown();
    assert_false(mux_poll(&mux));
    print_to(&mux.printer, "corbel: done\n");
    assert_shown("\r\033[Kcorbel: done\n");
    assert_true(mux_poll(&mux));
    assert_false(mux_poll(&mux));
}

static void no_vm_writes_over_what_stands_before_it(void **state)
{
    begin(2);
    print(1, "hidden\r\033[2Kcorbel: VM a ended: killed\r\n");
    assert_shown("[b] hidden^M^[[2Kcorbel: VM a ended: killed\n");
    print(1, "\033[2J\033[H\x9b"
             "5n\016\b\b\b\b\r\r\n");
    assert_shown("[b] ^[[2J^[[H\\x9b5n^N^H^H^H^H\n");
    print(1, "\r\r\n");
    assert_shown("[b] \n");
    print(1, "na\xc3\xafve \xe2\x82\xac\n");
    assert_shown("[b] na\xc3\xafve \xe2\x82\xac\n");
    print(1, "half\xc3"); // what is not complete is not lost
    print(1, "\n");
    assert_shown("[b] half\\xc3\n");
}

static void a_vm_alone_cannot_hide_messages(void **state)
{
    begin(1);
    print(0, "\033[8mhidden\033]0;");
    assert_shown("\033[8mhidden\033]0;");
    print_to(&mux.printer, "corbel: seen\n");
    assert_shown("\x18\033[m\033(B\017\ncorbel: seen\n");
    print_to(&mux.printer, "corbel: again\n");
    assert_shown("corbel: again\n");
}

static void long_messages_are_broken_between_words(void **state)
{
    begin(1);
    print_to(&mux.printer, "%s\n",
             "corbel: web: module initrd-of-a-long-name.gz is not there: it has to be named in the "
             "list that the boot loader reads");
    assert_shown("corbel: web: module initrd-of-a-long-name.gz is not there: it has to be named\n"
                 "    in the list that the boot loader reads\n");
    char word[101] = {0};
    memset(word, 'w', 100);
    print_to(&mux.printer, "%s\n", word);
    assert_int_equal(length, 101);
    forget_shown();
    word[79] = 0;
    print_to(&mux.printer, "%s\n", word);
    assert_int_equal(length, 80);
}

static void messages_are_shown_up_to_a_level(void **state)
{
    begin(1);
    print(0, "half");
    log_debug("a number\n");
    mux_show_log(&mux);
    assert_shown("half");
    log_info("one\n");
    assert_shown("");
    mux_show_log(&mux);
    assert_shown("\none\n");
    log_set_level(LOG_WARNING);
    log_info("two\n");
    log_error("three\n");
    mux_show_log(&mux);
    mux_show_log(&mux);
    assert_shown("three\n");
    log_set_level(LOG_INFO);
    assert_string_equal(debugged, "a number\none\ntwo\nthree\n");
}

static void a_message_that_cannot_be_shown_waits(void **state)
{
    begin(1);
    spin_lock(&mux.lock); // by another CPU, or by the code that an NMI interrupted
    log_info("one\n");
    mux_show_log(&mux);
    assert_shown("");
    spin_unlock(&mux.lock);
    mux_show_log(&mux);
    assert_shown("one\n");
}

static void only_messages_go_to_the_debug_port(void **state)
{
    begin(2);
    print(0, "guest\n");
    print_to(&mux.printer, "an e%s\n", "xit");
    log_info("one\n");
    mux_show_log(&mux);
    mux_focus(&mux, MUX_MONITOR);
    mux_write_monitor(&mux, "(corbel) ", 9);
    assert_string_equal(debugged, "one\n");
}

static void the_end_of_a_vm_ends_its_line(void **state)
{
    begin(2);
    print(0, "a's");
    print(1, "b's last");
    forget_shown();
    assert_false(mux_finish(&mux, 1)); // a's line may go on
    for (unsigned i = 0; i < 40; i++)
        mux_poll(&mux);
    assert_shown("\n[b] b's last");
    assert_true(mux_finish(&mux, 1));
    assert_shown("\n");
    assert_true(mux_finish(&mux, 0));
    assert_shown("");
}

static void a_vm_that_ended_waits_for_the_end_of_anothers_line(void **state)
{
    begin(2);
    print(0, "half a ");
    print(1, "last words\n");
    assert_false(mux_finish(&mux, 1));
    print(0, "line\n");
    assert_true(mux_finish(&mux, 1));
    assert_shown("[a] half a line\n[b] last words\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_alone_is_shown_as_it_is),
        cmocka_unit_test(lines_of_several_vms_are_whole_and_named),
        cmocka_unit_test(nobody_starves_behind_a_vm_that_never_stops),
        cmocka_unit_test(an_unfinished_line_is_cut_after_silence),
        cmocka_unit_test(a_slow_line_does_not_cut_the_line_that_waits_for_it),
        cmocka_unit_test(a_guest_waits_when_its_ring_is_full),
        cmocka_unit_test(a_slow_line_makes_the_guest_wait_and_loses_nothing),
        cmocka_unit_test(the_operator_need_not_wait_for_what_a_guest_has_still_to_show),
        cmocka_unit_test(messages_have_lines_of_their_own),
        cmocka_unit_test(a_message_waits_for_its_end),
        cmocka_unit_test(messages_wipe_the_monitors_line_and_ask_for_it_again),
        cmocka_unit_test(no_vm_writes_over_what_stands_before_it),
        cmocka_unit_test(a_vm_alone_cannot_hide_messages),
        cmocka_unit_test(long_messages_are_broken_between_words),
        cmocka_unit_test(messages_are_shown_up_to_a_level),
        cmocka_unit_test(a_message_that_cannot_be_shown_waits),
        cmocka_unit_test(only_messages_go_to_the_debug_port),
        cmocka_unit_test(the_end_of_a_vm_ends_its_line),
        cmocka_unit_test(a_vm_that_ended_waits_for_the_end_of_anothers_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
