// boot/info/options.c: the words of the command line, right and wrong.

#include "tests/unit/support.h"

#include "boot/info/options.h"

static struct boot_options options;
static struct notes notes;

static void parse(const char *cmdline)
{
    notes_init(&notes);
    options_parse(&options, cmdline, &notes);
}

static void defaults(void **state)
{
    static const char *const empty[] = {"", " ", " \t\r\n "};
    for (size_t i = 0; i < ARRAY_LENGTH(empty); i++) {
        parse(empty[i]);
        assert_int_equal(notes.count, 0);
        assert_false(options.report);
        assert_int_equal(options.log_level, LOG_INFO);
        assert_int_equal(options.console_port, 0x3f8);
        assert_string_equal(options.features, "");
        assert_int_equal(options.end, END_AUTO);
    }
}

static void ends(void **state)
{
    parse("end=halt");
    assert_int_equal(options.end, END_HALT);
    parse("end=halt end=off");
    assert_int_equal(options.end, END_OFF);
    parse("end=reset");
    assert_int_equal(options.end, END_RESET);
    parse("end=panic");
    assert_int_equal(options.end, END_PANIC);
    parse("end=hal end= end");
    assert_int_equal(options.end, END_AUTO);
    assert_int_equal(notes.count, 3);
    assert_non_null(strstr(notes.line[0].text, "end takes off, halt, reset or panic"));
}

static void every_word_in_one_line(void **state)
{
    parse("  report console=com2 features=-vpid,-pml features=+apicv ");
    assert_int_equal(notes.count, 0);
    assert_true(options.report);
    assert_int_equal(options.console_port, 0x2f8);
    assert_string_equal(options.features, "-vpid,-pml,+apicv");
}

static void consoles(void **state)
{
    static const struct {
        const char *cmdline;
        uint16_t port; // 0x3f8, the default, where the word is refused
        bool good;
    } rows[] = {
        {"console=com1", 0x3f8, true},
        {"console=com4", 0x2e8, true},
        {"console=none", 0, true},
        {"console=0x2f8", 0x2f8, true},
        {"console=0XE000", 0xe000, true},
        {"console=760", 760, true},
        {"console=0xfff8", 0xfff8, true},
        {"console=0xfff9", 0x3f8, false},
        {"console=", 0x3f8, false},
        {"console", 0x3f8, false},
        {"console=0x", 0x3f8, false},
        {"console=0", 0x3f8, false},
        {"console=com5", 0x3f8, false},
        {"console=com", 0x3f8, false},
        {"console=0x10000", 0x3f8, false},
        {"console=0x3g8", 0x3f8, false},
        {"console=99999999999999999999", 0x3f8, false},
        {"console=12a", 0x3f8, false},
        {"console=com2 console=com1", 0x3f8, true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        parse(rows[i].cmdline);
        assert_int_equal(options.console_port, rows[i].port);
        assert_int_equal(notes.count, !rows[i].good);
        assert_int_equal(notes.status, STATUS_OK);
    }
}

static void mitigations(void **state)
{
    parse("report loglevel=debug");
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_int_equal(options.mitigations, MITIGATIONS_AUTO);
    assert_false(options.nosmt);
    parse("mitigations=off");
    assert_int_equal(options.mitigations, MITIGATIONS_OFF);
    parse("mitigations=force,nosmt");
    assert_int_equal(options.mitigations, MITIGATIONS_FORCE);
    assert_true(options.nosmt);
    assert_int_equal(notes.count, 0);
    parse("mitigations=auto mitigations=on mitigations=,nosmt mitigations=offnosmt mitigations");
    assert_int_equal(options.mitigations, MITIGATIONS_AUTO);
    assert_false(options.nosmt);
    assert_int_equal(notes.count, 4);
}

static void streams(void **state)
{
    static const char *const wrong[] = {"stream=",
                                        "stream",
                                        "stream=com2",
                                        "stream=com2:gdb",
                                        "stream=com2:gdb:",
                                        "stream=none:gdb:web",
                                        "stream=com2:qmp:web",
                                        "stream=com5:gdb:web",
                                        "stream=com2:gdb:a-name-of-thirty-two-characters-"};
    parse("stream=com2:gdb:web");
    assert_int_equal(notes.count, 0);
    assert_int_equal(options.stream_port, 0x2f8);
    assert_string_equal(options.stream_vm, "web");
    parse("stream=0x3e8:gdb:web");
    assert_int_equal(options.stream_port, 0x3e8);
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        parse(wrong[i]);
        assert_int_equal(notes.count, 1);
        assert_int_equal(options.stream_port, 0);
    }
    parse("stream=com2:gdb:web console=com2"); // one line for both
    assert_int_equal(notes.count, 1);
    assert_non_null(strstr(notes.line[0].text, "is the console"));
    assert_int_equal(options.stream_port, 0);
}

static void trials(void **state)
{
    parse("");
    assert_int_equal(options.watchdog, 20);
    assert_int_equal(options.hang, OPTIONS_NO_CPU);
    assert_string_equal(options.fail_entry, "");
    parse("watchdog=2 hang=0 fail_entry=first fail_entry=web");
    assert_int_equal(notes.count, 0);
    assert_int_equal(options.watchdog, 2);
    assert_int_equal(options.hang, 0);
    assert_string_equal(options.fail_entry, "web");
    parse("watchdog=1 watchdog=3601 watchdog hang=65536 hang= fail_entry= "
          "fail_entry=a-name-of-thirty-two-characters-");
    assert_int_equal(notes.count, 7);
    assert_int_equal(options.watchdog, 20);
    assert_int_equal(options.hang, OPTIONS_NO_CPU);
    assert_string_equal(options.fail_entry, "");
}

static void unknown_words_are_named(void **state)
{
    parse("quiet report=1 console=loud =x Report features=");
    assert_int_equal(notes.count, 6);
    assert_non_null(strstr(notes.line[0].text, "\"quiet\" is ignored: the words are"));
    assert_non_null(strstr(notes.line[1].text, "\"report=1\" is ignored: report takes no value"));
    assert_non_null(strstr(notes.line[2].text, "\"console=loud\""));
    assert_non_null(strstr(notes.line[2].text, "com1 to com4, a port"));
    assert_non_null(strstr(notes.line[3].text, "\"=x\""));
    assert_non_null(strstr(notes.line[4].text, "\"Report\""));
    assert_non_null(strstr(notes.line[5].text, "\"features=\""));
    for (int i = 0; i < 6; i++)
        assert_false(options.report);
    assert_int_equal(options.log_level, LOG_INFO);
}

static void features_that_do_not_fit_change_nothing(void **state)
{
    char cmdline[1024] = "features=-vpid features=";
    memset(cmdline + strlen(cmdline), 'a', 250);
    parse(cmdline);
    assert_int_equal(notes.count, 1);
    assert_string_equal(options.features, "-vpid");
    cmdline[strlen(cmdline) - 1] = '\0';
    parse(cmdline);
    assert_int_equal(notes.count, 0);
    assert_int_equal(strlen(options.features), OPTIONS_FEATURES_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(ends),
        cmocka_unit_test(every_word_in_one_line),
        cmocka_unit_test(consoles),
        cmocka_unit_test(mitigations),
        cmocka_unit_test(streams),
        cmocka_unit_test(trials),
        cmocka_unit_test(unknown_words_are_named),
        cmocka_unit_test(features_that_do_not_fit_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
