// monitor/guest_agent.c: orders to an agent that answers, refuses, is silent, or is none.
#include "tests/unit/support.h"

#include "monitor/guest_agent.h"

#define SECOND UINT64_C(1000000000)
#define SYNC   "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n"

static struct guest_agent agent;
static char answer[200];

static int fresh(void **state)
{
    (void)state;
    guest_agent_init(&agent);
    memset(answer, 0, sizeof(answer));
    return 0;
}

static const char *asked(void)
{
    static char text[AGENT_RINGS + 1];
    size_t length = 0;
    for (int byte; (byte = ring_get(&agent.line.typed)) >= 0;)
        text[length++] = (char)byte;
    text[length] = 0;
    return text;
}

static void answer_bytes(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        assert_true(ring_put(&agent.line.printed, (uint8_t)bytes[i]));
}

static void answer_line(const char *text)
{
    answer_bytes(text, strlen(text));
}

static enum agent_result attend(uint64_t now)
{
    return guest_agent_attend(&agent, now, answer, sizeof(answer));
}

static void begin(enum agent_order order)
{
    char text[40];
    assert_true(guest_agent_order(&agent, order, 0));
    snprintf(text, sizeof(text), "\xff{\"return\": %u}\n", agent.number);
    assert_non_null(strstr(asked(), "guest-sync-delimited"));
    answer_line(text);
    assert_int_equal(attend(0), AGENT_WAITS);
}

static void an_order_follows_its_synchronization(void **state)
{
    (void)state;
    assert_true(guest_agent_order(&agent, AGENT_PING, 0));
    assert_string_equal(asked(), SYNC);
    assert_false(guest_agent_order(&agent, AGENT_PING, 0)); // one at a time
    assert_int_equal(attend(1), AGENT_WAITS);
    answer_line("\xff{\"return\": 1}\n");
    assert_int_equal(attend(2), AGENT_WAITS);
    assert_string_equal(asked(), "{\"execute\":\"guest-ping\"}\n");
    answer_line("{\"return\": {}}\n");
    assert_int_equal(attend(3), AGENT_DONE);
    assert_string_equal(answer, "it answers");
    assert_int_equal(attend(100 * SECOND), AGENT_WAITS); // nothing is asked any more
    assert_true(guest_agent_order(&agent, AGENT_PING, 0));
    assert_non_null(strstr(asked(), "\"id\":2}"));
}

static void what_is_old_is_no_answer(void **state)
{
    (void)state;
    assert_true(guest_agent_order(&agent, AGENT_STATUS, 0));
    asked();
    answer_line("{\"return\": \"frozen\"}\n"); // to an order that was given up
    answer_line("{\"return\": 1}\n");          // no delimiter in front
    answer_line("\xff{\"return\": 7}\n");      // of another synchronization
    answer_line("{\"return\": 1}\n");          // that one's delimiter is none for this
    answer_line("half a li");
    assert_int_equal(attend(1), AGENT_WAITS);
    assert_string_equal(asked(), "");
    answer_line("ne\xff{ \"return\" : 1 }\n");
    assert_int_equal(attend(1), AGENT_WAITS);
    assert_string_equal(asked(), "{\"execute\":\"guest-fsfreeze-status\"}\n");
    answer_line("{\"event\": \"x\"}\n[]\n\n{\"return\"}\n");
    assert_int_equal(attend(1), AGENT_WAITS);
    answer_line("{\"return\": \"thawed\"}\n");
    assert_int_equal(attend(1), AGENT_DONE);
    assert_string_equal(answer, "file systems are thawed");
}

static void numbers_and_errors_are_told(void **state)
{
    (void)state;
    begin(AGENT_FREEZE);
    answer_line("{\"return\": 3}\n");
    assert_int_equal(attend(1), AGENT_DONE);
    assert_string_equal(answer, "3 file systems are frozen");
    begin(AGENT_THAW);
    answer_line("{\"error\": {\"class\": \"GenericError\", \"data\": {\"desc\": \"no\"}, "
                "\"desc\": \"Command \\\"x {has} been, disabled\\u001b[2J\"}}\n");
    assert_int_equal(attend(1), AGENT_REFUSED);
    assert_string_equal(answer, "it refuses: Command \"x {has} been, disabled?[2J");
    begin(AGENT_THAW);
    answer_line("{\"error\": \"\x1b[31m\"}\n"); // is no JSON
    assert_int_equal(attend(1), AGENT_WAITS);
    answer_line("{\"error\": [\"\xc3\xa9\"]}\n");
    assert_int_equal(attend(1), AGENT_REFUSED);
    assert_string_equal(answer, "it refuses: [\"??\"]");
}

static void silence_has_an_end(void **state)
{
    (void)state;
    assert_true(guest_agent_order(&agent, AGENT_PING, 5 * SECOND));
    assert_int_equal(attend(8 * SECOND - 1), AGENT_WAITS);
    assert_int_equal(attend(8 * SECOND), AGENT_SILENT);
    assert_string_equal(answer, "it does not answer");
    begin(AGENT_FREEZE);
    assert_int_equal(attend(59 * SECOND), AGENT_WAITS); // it writes out much
    assert_int_equal(attend(60 * SECOND), AGENT_SILENT);
    begin(AGENT_SHUTDOWN);
    assert_string_equal(asked(), "{\"execute\":\"guest-shutdown\"}\n");
    assert_int_equal(attend(3 * SECOND), AGENT_DONE); // it says nothing, and does it
    assert_true(guest_agent_order(&agent, AGENT_SHUTDOWN, 0));
    assert_int_equal(attend(3 * SECOND), AGENT_SILENT);
}

static void what_is_given_up_is_withdrawn(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(guest_agent_order(&agent, AGENT_PING, 0));
        assert_int_equal(attend(3 * SECOND), AGENT_SILENT);
        assert_string_equal(asked(), "");
    }
    begin(AGENT_SHUTDOWN);
    assert_int_equal(attend(3 * SECOND), AGENT_SILENT); // it was not read
    assert_string_equal(asked(), "");
}

// Lines without an end, of any bytes.
static void it_may_say_anything(void **state)
{
    (void)state;
    begin(AGENT_STATUS);
    for (unsigned i = 0; i < 20; i++) {
        char noise[AGENT_RINGS / 2];
        memset(noise, i % 3 ? '{' : '"', sizeof(noise));
        answer_bytes(noise, sizeof(noise));
        assert_int_equal(attend(1), AGENT_WAITS);
    }
    answer_line("\n{\"return\": \"");
    char noise[AGENT_RINGS / 2];
    memset(noise, 'x', sizeof(noise));
    answer_bytes(noise, sizeof(noise));
    answer_line("\"}\n");
    assert_int_equal(attend(1), AGENT_WAITS); // too long for an answer
    answer_line("{\"return\": \"");
    answer_bytes(noise, AGENT_LINE / 2);
    answer_line("\"}\n");
    assert_int_equal(attend(1), AGENT_DONE); // what is told is cut
    assert_in_range(strlen(answer), 100, 160);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_order_follows_its_synchronization, fresh),
        cmocka_unit_test_setup(what_is_old_is_no_answer, fresh),
        cmocka_unit_test_setup(numbers_and_errors_are_told, fresh),
        cmocka_unit_test_setup(silence_has_an_end, fresh),
        cmocka_unit_test_setup(what_is_given_up_is_withdrawn, fresh),
        cmocka_unit_test_setup(it_may_say_anything, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
