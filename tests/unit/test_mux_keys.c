// monitor/mux_keys.c: whose console a terminal shows, and who gets what is typed there.

#include "tests/unit/mux_support.h"

#include <pthread.h>
#include <sched.h>

#include "monitor/mux_focus.h"

static void typing_chooses_the_first_vm_and_the_others_are_kept(void **state)
{
    begin(2);
    print(0, "first\n");
    print(1, "second\n");
    forget_shown();
    assert_int_equal(mux_type(&mux, 'k'), MUX_INPUT);
    assert_shown("--- 1: a (Ctrl-A h helps) ---\nfirst\n");
    assert_int_equal(peek(0), 'k');
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
    assert_true(strlen(text) >= RING - RING / 16 - 5 && strlen(text) <= RING);
}

static void a_replay_goes_on_as_the_line_takes_it(void **state)
{
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
    print(1, "new\n");         // behind the replay
    assert_false(put(1, 'x')); // no byte of the replay is overwritten
    assert_shown("");
    room = SIZE_MAX;
    mux_poll(&mux);
    assert_int_equal(length, RING);
    assert_string_equal(shown + RING - 9, "line\nnew\n");
}

// Answers to them would be typed at a guest that does not wait for them any more.
static void a_replay_asks_the_terminal_nothing(void **state)
{
    static const char text[] = "\033[6n\033[c\x05ok\033[1m!\033[>c\033]11;?\a\033[6n";
    begin(2);
    type("\x01"
         "1");
    forget_shown();
    print(1, text);
    type("\x01"
         "2");
    assert_shown("--- 2: b (Ctrl-A h helps) ---\nok\033[1m!");
    print(1, "\033[6n"); // now it is the VM's own terminal
    assert_shown("\033[6n");
    type("\033[1;1R");
    assert_int_equal(peek(1), 0x1b);
}

static void a_question_that_began_before_the_replay_ends_is_asked_if_it_ends_after(void **state)
{
    begin(2);
    type("\x01"
         "1");
    print(1, "x\033[");
    forget_shown();
    type("\x01"
         "2");
    assert_shown("--- 2: b (Ctrl-A h helps) ---\nx\033[");
    print(1, "6n");
    assert_shown("6n");
}

#define LINES 60000

static void *print_lines(void *console)
{
    char line[16];
    for (unsigned i = 0; i < LINES; i++) {
        format_text(line, sizeof(line), "<%u>\n", i);
        for (const char *at = line; *at;)
            if (vm_console_put(console, (uint8_t)*at))
                at++;
            else
                sched_yield();
    }
    return NULL;
}

// The numbers are whole, and follow each other; by what it was chosen, they may begin again.
static unsigned check_numbers(unsigned last)
{
    const char *at = strrchr(shown, '-');
    for (at = at ? at : shown; (at = strchr(at, '<')); at++) {
        char *end;
        unsigned number = (unsigned)strtoul(at + 1, &end, 10);
        if (*end == 0)
            break; // the rest comes with the next piece
        assert_int_equal(*end, '>');
        assert_true(last == UINT32_MAX || number == last + 1);
        last = number;
    }
    size_t rest = at ? strlen(at) : 0;
    memmove(shown, at ? at : "", rest + 1);
    length = rest;
    return last;
}

static void a_guest_prints_on_while_the_operator_looks_back(void **state)
{
    static uint8_t ring[4096];
    pthread_t guest;
    begin(1);
    mux_attach(&mux, 1, &channels[1], "b", ring, sizeof(ring));
    mux_choose(&mux, 1);
    forget_shown();
    struct vm_console *console = &channels[1].console;
    assert_int_equal(pthread_create(&guest, NULL, print_lines, console), 0);
    unsigned last = UINT32_MAX;
    for (unsigned i = 1; last != LINES - 1; i++) {
        if (i % 64 == 0) {
            mux_focus(&mux, 0);
            mux_focus(&mux, 1);
            last = UINT32_MAX;
        }
        mux_show(&mux);
        last = check_numbers(last);
    }
    pthread_join(guest, NULL);
}

static void the_monitor_takes_the_keys(void **state)
{
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
    assert_int_equal(peek(0), -1);
}

static void the_escape_key_itself_can_be_sent(void **state)
{
    begin(1);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(peek(0), -1);
    assert_int_equal(mux_type(&mux, MUX_ESCAPE), MUX_INPUT);
    assert_int_equal(peek(0), MUX_ESCAPE);
    take(0);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'a'), MUX_INPUT);
    assert_int_equal(peek(0), MUX_ESCAPE);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'q'), MUX_NOTHING);
    mux_type(&mux, MUX_ESCAPE);
    assert_int_equal(mux_type(&mux, 'b'), MUX_BREAK);
}

static void keys_for_a_guest_that_does_not_read_are_counted_out(void **state)
{
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
        cmocka_unit_test(a_replay_asks_the_terminal_nothing),
        cmocka_unit_test(a_question_that_began_before_the_replay_ends_is_asked_if_it_ends_after),
        cmocka_unit_test(a_guest_prints_on_while_the_operator_looks_back),
        cmocka_unit_test(the_monitor_takes_the_keys),
        cmocka_unit_test(the_escape_key_itself_can_be_sent),
        cmocka_unit_test(keys_for_a_guest_that_does_not_read_are_counted_out),
        cmocka_unit_test(wrong_keys_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
