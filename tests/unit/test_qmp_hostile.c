// QMP's clients that send too much, too little or nonsense, or do not read.

#include "tests/unit/support.h"

#include "tests/unit/qmp_client.h"

static void what_is_too_long_is_answered_once(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    ask("{\"execute\":\"");
    assert_string_equal(said, "");
    for (unsigned i = 0; i < 4; i++)
        ask(text);
    assert_string_equal(ask(text), GENERIC("QMP input is longer than 4096 bytes"));
    for (unsigned i = 0; i < 100; i++) // a string without an end
        assert_string_equal(ask(text), "");
    assert_string_equal(ask("\n"), "");
    assert_non_null(strstr(ask("{\"execute\":\"query-name\"}"), "web"));
}

static void what_is_deep_is_no_json(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    for (unsigned i = 0; i < 1000; i++)
        assert_string_equal(ask("["), "");
    for (unsigned i = 1; i < 1000; i++)
        assert_string_equal(ask("]"), "");
    assert_string_equal(ask("]"), GENERIC("Invalid JSON syntax"));
    for (unsigned i = 0; i < 10000; i++)
        ask("[");
    assert_string_equal(ask(""), "");
    assert_int_equal(work(), QMP_WAITS);
}

static void half_a_request_waits_and_stops_nobody(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    assert_string_equal(ask("{\"execute\":\"query-"), "");
    assert_int_equal(work(), QMP_WAITS);
    news_add(&desk.vm[0].news, &(struct news_item){.kind = NEWS_STOP});
    assert_non_null(strstr(hear(), "\"STOP\""));
    assert_string_equal(ask("name\"}"), "{\"return\": {\"name\": \"web\"}}\r\n");
    ask("{\"execute\":");
    stream_finish(client);
    assert_int_equal(work(), QMP_HAS_ENDED);
}

static void who_does_not_read_is_not_heard(void **state)
{
    begin(0, RIGHT_OPERATE, 256);
    assert_int_equal(stream_give(client, "{\"execute\":\"qmp_capabilities\"}", 30), 30);
    for (unsigned i = 0; i < 1000; i++) {
        const char *request = "{\"execute\":\"query-name\"}";
        (void)stream_give(client, request, strlen(request));
        assert_int_equal(work(), QMP_WAITS);
    }
    assert_int_equal(stream_give(client, "x", 1), 0); // its own requests wait
    stream_deafen(client);
    assert_int_equal(work(), QMP_HAS_ENDED);
}

static void all_that_was_asked_is_answered_before_the_end(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    const char *two = "{\"execute\":\"query-name\",\"id\":1}{\"execute\":\"query-name\",\"id\":2}";
    assert_int_equal(stream_give(client, two, strlen(two)), strlen(two));
    stream_finish(client);
    hear();
    assert_non_null(strstr(said, "\"id\": 1}"));
    assert_non_null(strstr(said, "\"id\": 2}"));
    assert_int_equal(work(), QMP_HAS_ENDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_long_is_answered_once),
        cmocka_unit_test(what_is_deep_is_no_json),
        cmocka_unit_test(half_a_request_waits_and_stops_nobody),
        cmocka_unit_test(who_does_not_read_is_not_heard),
        cmocka_unit_test(all_that_was_asked_is_answered_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
