// monitor/network.c: which cards a command means, and what it asks of them.

#include "tests/unit/support.h"

#include "tests/unit/desk.h"

static void assert_says(const char *command, const char *expected)
{
    desk_reset();
    assert_string_equal(desk_run(command), expected);
}

static void assert_asks(const char *command, const char *expected)
{
    desk_reset();
    desk_run(command);
    assert_string_equal(desk.asked, expected);
}

static void a_link_goes_up_and_down(void **state)
{
    assert_asks("set_link web.net1 off", "down 0.1;");
    assert_asks("set_link web.net0 on", "up 0.0;");
    assert_asks("set_link 1.net1 on", "up 0.1;");
    assert_asks("set_link web off", "down 0.0;down 0.1;");
    assert_asks("set_link old.net0 off", "down 2.0;"); // for when it starts again
    assert_says("set_link web.net0 up", "up: a link is on or off\n");
    assert_says("set_link web.net0", "set_link needs more: set_link vm[.netN] on|off\n");
}

static void cards_that_are_not_there_are_answered_with_help(void **state)
{
    assert_says("set_link web.net2 off", "web has no net2; 'info network web' lists its cards\n");
    assert_says("set_link web.net99999999999 off",
                "web has no net99999999999; 'info network web' lists its cards\n");
    assert_says("set_link db.net0 off",
                "db has no network card; vms.conf gives it one: net = SWITCH\n");
    assert_says("set_link db off", "db has no network card; vms.conf gives it one: net = SWITCH\n");
    assert_says("set_link wb.net0 off", "wb: there is no such VM; did you mean web?\n");
    assert_says("set_link web.nt0 off", "web.nt0: there is no such VM; 'info vms' lists them\n");
    assert_says("set_link web.net off", "web.net: there is no such VM; 'info vms' lists them\n");
    assert_says("set_link web.net0x off",
                "web.net0x: there is no such VM; 'info vms' lists them\n");
    assert_string_equal(desk.asked, "");
}

static void a_card_announces_itself(void **state)
{
    assert_asks("announce_self web.net1", "announce 0.1;");
    assert_asks("announce_self web", "announce 0.0;announce 0.1;");
}

static void a_capture_begins_ends_and_is_shown(void **state)
{
    assert_asks("netdump web on", "dump 0.0;dump 0.1;");
    assert_asks("netdump web.net1 off", "undump 0.1;");
    assert_says("netdump web show", "dump of 0.0\ndump of 0.1\n");
    assert_says("netdump web file",
                "file: netdump is on or off, and show prints what was captured\n");
    desk_reset();
    desk.refuses = true;
    assert_string_equal(desk_run("netdump web.net1 on"), "net1: no memory for a capture\n");
}

static void switches_and_cards_are_listed(void **state)
{
    assert_says("info network", "switch lan\ncard 0.0\ncard 0.1\ncard 2.0\ncard 2.1\n");
    assert_says("info network old", "card 2.0\ncard 2.1\n");
    assert_says("info network nobody", "nobody: there is no such VM; 'info vms' lists them\n");
    assert_says("info streams", "streams of 0\nstreams of 1\nstreams of 2\n");
    assert_says("info streams db", "streams of 1\n");
    assert_says("info streams nobody", "nobody: there is no such VM; 'info vms' lists them\n");
    assert_says("domiflist", "domiflist: here it is 'info network'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_goes_up_and_down),
        cmocka_unit_test(cards_that_are_not_there_are_answered_with_help),
        cmocka_unit_test(a_card_announces_itself),
        cmocka_unit_test(a_capture_begins_ends_and_is_shown),
        cmocka_unit_test(switches_and_cards_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
