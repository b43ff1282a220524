// News of a VM: who reads what, and which steps of its life are news.

#include "tests/unit/support.h"

#include "control/state/life_news.h"

static struct news news;
static unsigned woken[2];

static void wake_first(struct news_reader *reader)
{
    woken[0]++;
}

static void wake_second(struct news_reader *reader)
{
    woken[1]++;
}

static void add(uint64_t value)
{
    news_add(&news, &(struct news_item){.value = value});
}

static void readers_read_what_comes_after_them(void **state)
{
    struct news_reader first = {.wake = wake_first}, second = {.wake = wake_second};
    struct news_item item;
    uint64_t missed;
    add(1);
    assert_false(news_has_readers(&news));
    news_attach(&news, &first);
    assert_true(news_has_readers(&news));
    assert_false(news_read(&news, &first, &item, &missed));
    add(2);
    news_attach(&news, &second);
    add(3);
    assert_true(woken[0] == 2 && woken[1] == 1);
    assert_true(news_read(&news, &first, &item, &missed) && item.value == 2 && missed == 0);
    assert_true(news_read(&news, &second, &item, &missed) && item.value == 3);
    assert_false(news_read(&news, &second, &item, &missed));
    news_detach(&news, &first);
    news_detach(&news, &first);
    for (unsigned i = 0; i < NEWS_KEPT + 7; i++)
        add(100 + i);
    assert_int_equal(woken[0], 2);
    assert_true(news_read(&news, &second, &item, &missed) && item.value == 107 && missed == 7);
    for (unsigned i = 1; i < NEWS_KEPT; i++)
        assert_true(news_read(&news, &second, &item, &missed) && item.value == 107 + i && !missed);
    assert_false(news_read(&news, &second, &item, &missed));
    news_detach(&news, &second);
    assert_null(news.readers);
}

// What is told of a VM that has left its loop: in which state it was, why it left, what follows.
static void an_end_is_told_with_its_cause(void **state)
{
    static const struct {
        enum life_state from;
        enum stop_reason reason;
        enum config_action then;
        enum news_kind kind;
        enum news_cause cause;
    } cases[] = {
        {LIFE_RUNNING, STOP_POWEROFF, ACTION_DESTROY, NEWS_SHUTDOWN, NEWS_GUEST_SHUTDOWN},
        {LIFE_RUNNING, STOP_POWEROFF, ACTION_PRESERVE, NEWS_SHUTDOWN, NEWS_GUEST_SHUTDOWN},
        {LIFE_RUNNING, STOP_POWEROFF, ACTION_RESTART, NEWS_RESET, NEWS_GUEST_SHUTDOWN},
        {LIFE_RUNNING, STOP_RESET, ACTION_RESTART, NEWS_RESET, NEWS_GUEST_RESET},
        {LIFE_RUNNING, STOP_TRIPLE_FAULT, ACTION_RESTART, NEWS_RESET, NEWS_GUEST_RESET},
        {LIFE_RUNNING, STOP_RESET, ACTION_DESTROY, NEWS_SHUTDOWN, NEWS_GUEST_RESET},
        {LIFE_LEAVING, STOP_RESET, ACTION_RESTART, NEWS_RESET, NEWS_HOST_RESET},
        {LIFE_LEAVING, STOP_KILLED, ACTION_DESTROY, NEWS_SHUTDOWN, NEWS_HOST_QUIT},
        {LIFE_RUNNING, STOP_UNEMULATED, ACTION_DESTROY, NEWS_SHUTDOWN, NEWS_HOST_ERROR},
        {LIFE_RUNNING, STOP_DEBUG_EXIT, ACTION_DESTROY, NEWS_SHUTDOWN, NEWS_GUEST_SHUTDOWN},
    };
    struct news_item items[LIFE_NEWS];
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct life from = {cases[i].from, ACTION_DESTROY}, to = {LIFE_FLUSHING, cases[i].then};
        assert_int_equal(life_news(&from, &to, LIFE_LEFT, cases[i].reason, items), 1);
        assert_true(items[0].kind == cases[i].kind && items[0].cause == cases[i].cause);
    }
}

static void a_panic_is_told_before_what_follows(void **state)
{
    static const enum news_kind follows[] = {[ACTION_DESTROY] = NEWS_SHUTDOWN,
                                             [ACTION_RESTART] = NEWS_RESET,
                                             [ACTION_PRESERVE] = NEWS_STOP};
    struct news_item items[LIFE_NEWS];
    for (unsigned i = 0; i < ARRAY_LENGTH(follows); i++) {
        struct life from = {LIFE_RUNNING, ACTION_DESTROY},
                    to = {LIFE_FLUSHING, (enum config_action)i};
        assert_int_equal(life_news(&from, &to, LIFE_LEFT, STOP_GUEST_PANIC, items), 2);
        assert_int_equal(items[0].kind, NEWS_GUEST_PANICKED);
        assert_int_equal(items[0].is_preserved, i == ACTION_PRESERVE);
        assert_true(items[1].kind == follows[i] && items[1].cause == NEWS_GUEST_PANIC);
    }
}

// Every step that the table of lives has, but ends: a VM that stops or goes on is told, once.
static void every_step_is_told_or_is_no_news(void **state)
{
    for (unsigned from = 0; from < LIFE_STATES; from++)
        for (unsigned event = 0; event < LIFE_EVENTS; event++) {
            uint32_t effects;
            struct news_item items[LIFE_NEWS];
            struct life before = {(enum life_state)from, ACTION_DESTROY}, after = before;
            if (event == LIFE_LEFT ||
                life_step(&after, (enum life_event)event, ACTION_DESTROY, &effects) != STATUS_OK)
                continue;
            unsigned count = life_news(&before, &after, (enum life_event)event, STOP_NONE, items);
            bool ran = from == LIFE_RUNNING, runs = after.state == LIFE_RUNNING;
            print_message("%u, %u\n", from, event);
            if (runs && !ran)
                assert_true(count == 1 && items[0].kind == NEWS_RESUME);
            else if (after.state == LIFE_PAUSED && ran)
                assert_true(count == 1 && items[0].kind == NEWS_STOP);
            else if (from == LIFE_BUILDING && after.state == LIFE_CLEARING)
                assert_true(count == 1 && items[0].kind == NEWS_SHUTDOWN &&
                            items[0].cause ==
                                (event == LIFE_KILL ? NEWS_HOST_QUIT : NEWS_HOST_ERROR));
            else
                assert_int_equal(count, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_read_what_comes_after_them),
        cmocka_unit_test(an_end_is_told_with_its_cause),
        cmocka_unit_test(a_panic_is_told_before_what_follows),
        cmocka_unit_test(every_step_is_told_or_is_no_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
