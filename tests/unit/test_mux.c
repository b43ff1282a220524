// monitor/mux.c and mux_keys.c: what a terminal shows while several consoles share it.

#include "tests/unit/support.h"

#include "monitor/mux.h"

#define RING 64

static char shown[65536], kept[256];
static size_t length, room;

static bool has_room(size_t bytes)
{
    return bytes <= room;
}

static void write_bytes(const char *bytes, size_t count)
{
    assert_true(count > 0 && length + count < sizeof(shown));
    memcpy(shown + length, bytes, count);
    length += count;
    shown[length] = 0;
}

static void keep(const char *text, size_t count)
{
    assert_true(strlen(kept) + count < sizeof(kept));
    strncat(kept, text, count);
}

static const struct mux_output output = {has_room, write_bytes, write_bytes, keep};

static struct mux mux;
static struct mux_channel channels[3];
static uint8_t rings[3][RING];

// So many VMs: a, b, c.
static void begin(unsigned count)
{
    static const char *const names[] = {"a", "b", "c"};
    length = 0;
    shown[0] = kept[0] = 0;
    room = SIZE_MAX;
    mux_init(&mux, &output);
    for (unsigned i = 0; i < count; i++)
        mux_attach(&mux, i, &channels[i], names[i], rings[i], RING);
}

static void print(unsigned slot, const char *text)
{
    for (; *text; text++)
        assert_true(mux_write(&mux, slot, (uint8_t)*text));
}

static void type(const char *keys)
{
    for (; *keys; keys++)
        mux_type(&mux, (uint8_t)*keys);
}

static void forget_shown(void)
{
    length = 0;
    shown[0] = 0;
}

static void assert_shown(const char *expected)
{
    assert_string_equal(shown, expected);
    forget_shown();
}

static void a_vm_alone_is_shown_as_it_is(void **state)
{
    (void)state;
    begin(1);
    print(0, "one\r\ntwo");
    assert_shown("one\r\ntwo");
    assert_int_equal(mux_type(&mux, 'k'), MUX_INPUT);
    assert_int_equal(mux_peek(&mux, 0), 'k');
    mux_take(&mux, 0);
    assert_int_equal(mux_peek(&mux, 0), -1);
    print(0, " three");
    assert_shown(" three");
}

static void lines_of_several_vms_are_whole_and_named(void **state)
{
    (void)state;
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
    (void)state;
    begin(2);
    print(0, "1");
    print(1, "b1\nb2\n");
    print(0, "\n2\n3");
    assert_shown("[a] 1\n[b] b1\n[a] 2\n[b] b2\n[a] 3");
}

static void an_unfinished_line_is_cut_after_silence(void **state)
{
    (void)state;
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

static void a_guest_waits_when_its_ring_is_full(void **state)
{
    (void)state;
    begin(2);
    print(0, "open");
    for (unsigned i = 0; i < RING; i++)
        assert_true(mux_write(&mux, 1, 'b'));
    assert_false(mux_write(&mux, 1, 'b'));
    forget_shown();
    print(0, "\n");
    assert_int_equal(length, 1 + strlen("[b] ") + RING);
    assert_true(mux_write(&mux, 1, 'b'));
}

static void a_slow_line_makes_the_guest_wait_and_loses_nothing(void **state)
{
    (void)state;
    char expected[RING + 4] = "ab";
    begin(1);
    print(0, "ab");
    room = 0;
    for (unsigned i = 0; i < RING; i++)
        assert_true(mux_write(&mux, 0, expected[i + 2] = (char)('c' + i % 20)));
    assert_false(mux_write(&mux, 0, '!')); // its ring is full too
    assert_int_equal(length, 2);
    room = SIZE_MAX;
    assert_true(mux_write(&mux, 0, expected[RING + 2] = '!'));
    assert_shown(expected);
}

static void the_operator_need_not_wait_for_what_a_guest_has_still_to_show(void **state)
{
    (void)state;
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

static void messages_have_lines_of_their_own(void **state)
{
    (void)state;
    begin(1);
    print(0, "half a li");
    print_to(&mux.printer, "corbel: %s %u\n", "number", 7U);
    print(0, "ne\n");
    assert_shown("half a li\ncorbel: number 7\nne\n");
}

static void a_message_waits_for_its_end(void **state)
{
    (void)state;
    begin(1);
    print_to(&mux.printer, "corbel: ");
    print(0, "guest\n");
    print_to(&mux.printer, "end\n");
    assert_shown("guest\ncorbel: end\n");
}

static void messages_wipe_the_monitors_line_and_ask_for_it_again(void **state)
{
    (void)state;
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

static void messages_are_kept_and_nothing_else(void **state)
{
    (void)state;
    begin(2);
    print(0, "guest\n");
    print_to(&mux.printer, "o%s\n", "ne");
    print_to(&mux.printer, "two\n");
    mux_focus(&mux, MUX_MONITOR);
    mux_write_monitor(&mux, "(corbel) ", 9);
    assert_string_equal(kept, "one\ntwo\n");
}

static void the_end_of_a_vm_ends_its_line(void **state)
{
    (void)state;
    begin(2);
    print(0, "a's");
    print(1, "b's last");
    forget_shown();
    assert_true(mux_finish(&mux, 1));
    assert_shown("\n[b] b's last\n");
    assert_true(mux_finish(&mux, 0));
    assert_shown("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_alone_is_shown_as_it_is),
        cmocka_unit_test(lines_of_several_vms_are_whole_and_named),
        cmocka_unit_test(nobody_starves_behind_a_vm_that_never_stops),
        cmocka_unit_test(an_unfinished_line_is_cut_after_silence),
        cmocka_unit_test(a_guest_waits_when_its_ring_is_full),
        cmocka_unit_test(a_slow_line_makes_the_guest_wait_and_loses_nothing),
        cmocka_unit_test(the_operator_need_not_wait_for_what_a_guest_has_still_to_show),
        cmocka_unit_test(typing_chooses_the_first_vm_and_the_others_are_kept),
        cmocka_unit_test(scroll_back_begins_with_a_whole_line),
        cmocka_unit_test(a_replay_goes_on_as_the_line_takes_it),
        cmocka_unit_test(the_terminals_answers_are_nobodys_typing),
        cmocka_unit_test(the_monitor_takes_the_keys),
        cmocka_unit_test(the_escape_key_itself_can_be_sent),
        cmocka_unit_test(keys_for_a_guest_that_does_not_read_are_counted_out),
        cmocka_unit_test(wrong_keys_change_nothing),
        cmocka_unit_test(messages_have_lines_of_their_own),
        cmocka_unit_test(a_message_waits_for_its_end),
        cmocka_unit_test(messages_wipe_the_monitors_line_and_ask_for_it_again),
        cmocka_unit_test(messages_are_kept_and_nothing_else),
        cmocka_unit_test(the_end_of_a_vm_ends_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
