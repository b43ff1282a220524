// The monitor from its prompt: monitor/commands.c and the commands, against a machine half that
// notes what it is asked.

#include "tests/unit/support.h"

#include "lib/log.h"
#include "monitor/commands.h"
#include "tests/unit/desk.h"

static void assert_says(const char *command, const char *expected)
{
    if (!strstr(desk_run(command), expected))
        fail_msg("'%s' does not say '%s' but:\n%s", command, expected, desk.text);
}

static void assert_asks(const char *command, const char *expected)
{
    desk_run(command);
    assert_string_equal(desk.asked, expected);
}

static void vms_are_listed_with_their_states(void **state)
{
    desk_reset();
    assert_says("info vms", "* 1 web");
    assert_says("info vms", "running        2     256M  vmlinuz\n");
    assert_says("info vms", "  2 db ");
    assert_says("info vms", "  3 old              ended     \n");
    desk.vm[1].paused = true;
    assert_says("info vms", "stopped ");
    desk.vm[0].preserved = true;
    desk.vm[0].vm.stop_reason = STOP_TRIPLE_FAULT;
    assert_says("info vms", "(triple fault)");
}

static void a_vm_is_named_by_its_name_or_number_or_not_at_all(void **state)
{
    desk_reset();
    assert_asks("stop", "pause 0;");
    desk_reset();
    assert_asks("stop db", "pause 1;");
    desk_reset();
    assert_asks("stop 2", "pause 1;");
    desk_reset();
    prompt_enter(&desk.prompt, 1);
    assert_asks("stop", "pause 1;");
}

static void a_wrong_vm_is_answered_with_help(void **state)
{
    desk_reset();
    assert_says("stop wb", "wb: there is no such VM; did you mean web?\n");
    assert_says("stop zebra", "zebra: there is no such VM; 'info vms' lists them\n");
    assert_says("stop 4", "4: there is no such VM");
    assert_says("stop 0", "0: there is no such VM");
    assert_says("stop 99999999999999999999", "there is no such VM");
    assert_says("stop old", "old has ended; 'start old' starts it again\n");
    assert_string_equal(desk.asked, "");
}

static void vms_are_stopped_and_go_on(void **state)
{
    desk_reset();
    assert_says("cont", "web runs already\n");
    assert_says("stop", "web is stopped");
    assert_says("stop", "web is stopped; 'cont web' lets it go on\n");
    assert_says("system_powerdown", "web is stopped; 'cont web' lets it go on\n");
    assert_says("cont", "web runs\n");
    assert_string_equal(desk.asked, "pause 0;resume 0;");
    desk.vm[0].preserved = true;
    assert_says("cont", "'system_reset web' starts it anew");
    desk.vm[0].ending = true;
    desk.vm[0].vm.stop_reason = STOP_KILLED;
    assert_says("cont", "web is ending: killed\n");
    assert_says("stop", "web is ending: killed\n");
    assert_says("info vms", "ending ");
    assert_string_equal(desk.asked, "pause 0;resume 0;");
}

static void vms_are_ended_and_started(void **state)
{
    desk_reset();
    assert_asks("system_reset db", "reset 1;");
    assert_asks("kill db", "reset 1;kill 1;");
    assert_asks("start old", "reset 1;kill 1;start 2;");
    assert_says("start web", "web has not ended; 'system_reset web' starts it anew\n");
    desk.vm[1].starting = true; // as one that crashes again and again mostly is
    assert_says("stop db", "db is being started\n");
    assert_says("start db", "db is being started\n");
    assert_asks("kill db", "reset 1;kill 1;start 2;kill 1;");
    assert_says("kill old", "old has ended; 'start old' starts it again\n");
    desk.refuses = true;
    assert_says("start old", "old: memory = 9M does not fit\n");
    assert_says("kill", "kill needs more: kill vm\n");
    assert_says("start", "start needs more: start vm\n");
}

static void the_power_button_may_not_be_heard(void **state)
{
    desk_reset();
    assert_says("system_powerdown",
                "web does not listen to its power button; 'kill web' ends it\n");
    desk.listens = true;
    assert_string_equal(desk_run("system_powerdown"), "");
    assert_string_equal(desk.asked, "button 0;button 0;");
}

static void a_vm_is_saved(void **state)
{
    desk_reset();
    desk_run("save web");
    assert_string_equal(desk.asked, "save 0;");
    desk.refuses = true;
    assert_non_null(strstr(desk_run("save db"), "this machine has none"));
    assert_non_null(strstr(desk_run("save old"), "old has ended"));
}

static void an_nmi_goes_to_all_vcpus(void **state)
{
    desk_reset();
    desk_run("nmi web");
    assert_int_equal(desk.vm[0].vcpu[0].requests, REQUEST_SIGNAL);
    assert_int_equal(desk.vm[0].vcpu[1].requests, REQUEST_SIGNAL);
    assert_int_equal(desk.vm[1].vcpu[0].requests, 0);
}

static void consoles_are_chosen_and_the_monitor_left(void **state)
{
    desk_reset();
    assert_asks("console db", "focus 1;");
    assert_null(strstr(desk.text, "(corbel)")); // no prompt: the console is another's
    desk_run("console zebra");
    assert_non_null(strstr(desk.all, "(corbel)"));
    assert_asks("quit", "focus 1;quit;");
}

static void the_terminals_size_is_told(void **state)
{
    static const char *const wrong[] = {"80",   "80x",  "x24",     "80x24x",  "80*24",
                                        "0x24", "80x0", "10000x1", "1x10000", "-1x1"};
    desk_reset();
    assert_asks("resize 132x43", "resize 132 43;");
    assert_asks("resize 9999x1", "resize 132 43;resize 9999 1;");
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        char line[40];
        snprintf(line, sizeof(line), "resize %s", wrong[i]);
        desk_run(line);
        assert_true(strlen(desk.text) > 10);
    }
    assert_says("resize 80", "give columns and rows: 'resize 80x24', each from 1 to 9999\n");
    assert_string_equal(desk.asked, "resize 132 43;resize 9999 1;");
}

static void the_guest_agent_is_asked(void **state)
{
    desk_reset();
    assert_asks("guest-ping", "ping 0;");
    assert_asks("guest-fsfreeze db freeze", "ping 0;freeze 1;");
    assert_asks("guest-fsfreeze db thaw", "ping 0;freeze 1;thaw 1;");
    assert_asks("guest-fsfreeze db status", "ping 0;freeze 1;thaw 1;status 1;");
    assert_says("guest-fsfreeze db melt", "freeze, thaw or status?");
    assert_says("guest-fsfreeze db", "guest-fsfreeze needs more: guest-fsfreeze vm WHAT");
    desk.refuses = true;
    assert_says("guest-ping db", "no agent runs in it\n");
    desk.vm[1].paused = true;
    assert_says("guest-ping db", "db is stopped; 'cont db' lets it go on\n");
    assert_string_equal(desk.asked, "ping 0;freeze 1;thaw 1;status 1;ping 1;");
}

static void wrong_words_are_answered_with_help(void **state)
{
    desk_reset();
    assert_says("inof vms", "inof: there is no such command; did you mean info?\n");
    assert_says("info vm", "info vm: there is no such command; did you mean info vms?\n");
    assert_says("frobnicate", "frobnicate: there is no such command; 'help' lists them\n");
    assert_says("p", "p: there is no such command; 'help' lists them\n");
    assert_says("xl list", "xl: there is no such command; 'help' lists them\n");
    assert_says("destroy db", "destroy: here it is 'kill'\n");
    assert_says("vms", "vms: here it is 'info vms'\n");
    assert_says("info status", "status: here it is 'info vms'\n");
    assert_says("info frobnicate", "'info' lists them\n");
    assert_says("log info now", "now: one word too many: log [level]\n");
    assert_says("info vms web", "web: one word too many: info vms \n");
    assert_says("info irq web now", "now: one word too many: info irq [vm]\n");
    assert_says("info exits -z", "info exits has no option -z: info exits [-c|-j]");
    assert_says("stop -a", "stop has no option -a: stop [vm]\n");
    assert_says("stop -", "an option is a '-' and a letter");
    assert_says("stop --all", "an option is a '-' and a letter");
    assert_says("a a a a a a a a a a a a a a a a a", "more than 16 words");
    assert_string_equal(desk_run(""), "");
    assert_string_equal(desk_run("    "), "");
    assert_string_equal(desk.asked, "");
}

static void help_names_every_command(void **state)
{
    static const char *const names[] = {
        "console",        "cont",   "cpu",   "help", "info",
        "kill",           "log",    "nmi",   "quit", "guest-ping",
        "guest-fsfreeze", "resize", "start", "stop", "system_powerdown",
        "system_reset",   "x",      "xp"};
    desk_reset();
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        char line[40];
        snprintf(line, sizeof(line), "\n%s ", names[i]);
        desk_run("help");
        assert_true(strstr(desk.text, line) || strncmp(desk.text, line + 1, strlen(line + 1)) == 0);
    }
    assert_says("help stop", "stop [vm]");
    assert_says("?", "system_reset");
    assert_says("help info", "info capabilities");
    assert_string_equal(desk_run("help info irq"),
                        "info irq [vm]                   interrupt controllers\n");
    assert_says("help stpo", "did you mean stop?");
    assert_says("info", "info vms");
}

static void help_fits_80_columns(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        desk_reset();
        const char *line = desk_run(i ? "info" : "help"), *end;
        for (; (end = strchr(line, '\n')); line = end + 1)
            if (end - line > 80)
                fail_msg("%.*s", (int)(end - line), line);
    }
}

static void words_are_completed(void **state)
{
    desk_reset();
    desk_type("sto\tw\t");
    assert_string_equal(desk.prompt.line.text, "stop web ");
    desk_type("\x15info ex\td\t");
    assert_string_equal(desk.prompt.line.text, "info exits db ");
    desk_type("\x15trace o\tn d\t");
    assert_string_equal(desk.prompt.line.text, "trace on db ");
    desk_type("\x15help info sc\t");
    assert_string_equal(desk.prompt.line.text, "help info sched ");
    desk_type("\x15help sta\t");
    assert_string_equal(desk.prompt.line.text, "help start ");
    desk_type("\x15nosuch \t");
    assert_string_equal(desk.prompt.line.text, "nosuch ");
    desk_type("\x15quit x\t");
    assert_string_equal(desk.prompt.line.text, "quit x");
    desk_type("\x15- - \t");
    desk_type("\x15system_\t");
    assert_string_equal(desk.prompt.line.text, "system_");
    desk.all[0] = 0;
    desk.all_length = 0;
    desk_type("\t");
    assert_non_null(strstr(desk.all, "system_powerdown  system_reset"));
}

static void the_log_is_shown_again(void **state)
{
    desk_reset();
    log_error("one\n");
    log_debug("more\n");
    log_info("two\n");
    assert_string_equal(desk_run("log"), "one\ntwo\n");
    assert_string_equal(desk_run("log debug"), "one\nmore\ntwo\n");
    assert_string_equal(desk_run("log error"), "one\n");
    assert_string_equal(desk_run("log more"), "the levels are error, warning, info and debug\n");
}

static void the_chosen_vcpu_is_remembered_for_its_vm(void **state)
{
    desk_reset();
    assert_says("cpu", "vCPU 0 of web\n");
    assert_says("cpu 1", "vCPU 1 of web\n");
    assert_says("cpu 2", "web has the vCPUs 0 to 1\n");
    assert_says("cpu x", "web has the vCPUs 0 to 1\n");
    assert_says("cpu", "vCPU 1 of web\n");
    prompt_enter(&desk.prompt, 1);
    assert_says("cpu", "vCPU 0 of db\n");
}

// Somebody who may take out db, and observe old.
static void who_is_not_the_operator_has_rights_over_vms(void **state)
{
    static const uint8_t rights[CONFIG_VMS] = {[1] = RIGHT_TAKE, [2] = RIGHT_OBSERVE};
    static const char *const machines[] = {
        "quit",        "log",        "console db", "resize 80x24",
        "trace on db", "info sched", "info mem",   "info capabilities"};
    desk_reset();
    desk.prompt.monitor.rights = rights;
    prompt_enter(&desk.prompt, 1);
    for (unsigned i = 0; i < ARRAY_LENGTH(machines); i++)
        assert_says(machines[i], ": it is the operator's\n");
    assert_null(strstr(desk_run("info vms"), "web"));
    assert_non_null(strstr(desk.text, "db") && strstr(desk.text, "old") ? desk.text : NULL);
    assert_null(strstr(desk_run("info network"), "lan"));
    assert_null(strstr(desk.text, "card 0"));
    assert_null(strstr(desk_run("help"), "quit"));
    assert_says("stop web", "web: there is no such VM; 'info vms' lists them\n");
    assert_says("info cpus 1", "1: there is no such VM");
    assert_null(strstr(desk_run("stop wb"), "web"));
    assert_says("start old", "this needs the right to operate the VM\n");
    assert_says("info uuid old", "old has ended");
    desk_type("stop w\t");
    assert_string_equal(desk.prompt.line.text, "stop w");
    desk_run("");
    assert_asks("xp 0", "");
    assert_asks("stop", "pause 1;");
}

static void each_command_needs_its_right(void **state)
{
    uint8_t rights[CONFIG_VMS] = {RIGHT_OBSERVE};
    static const char *const takes[] = {
        "x 0",       "xp 0",           "info registers", "info vcpu",
        "info vmcs", "info qtree web", "info trace",     "netdump web show"};
    static const char *const operates[] = {
        "stop", "cont",        "system_reset",     "system_powerdown",  "kill web",
        "nmi",  "balloon 96M", "set_link web off", "announce_self web", "guest-ping"};
    static const char *const observes[] = {"info cpus",        "info exits", "info irq", "info pci",
                                           "info network web", "info uuid",  "cpu 0"};
    desk_reset();
    desk.prompt.monitor.rights = rights;
    for (unsigned i = 0; i < ARRAY_LENGTH(takes); i++) {
        rights[0] = RIGHT_OPERATE;
        assert_says(takes[i], "this needs the right to take the VM out whole\n");
        rights[0] = RIGHT_TAKE;
        assert_null(strstr(desk_run(takes[i]), "right to"));
    }
    for (unsigned i = 0; i < ARRAY_LENGTH(operates); i++) {
        rights[0] = RIGHT_OBSERVE;
        assert_says(operates[i], "this needs the right to operate the VM\n");
    }
    assert_string_equal(desk.asked, "");
    for (unsigned i = 0; i < ARRAY_LENGTH(observes); i++) {
        rights[0] = RIGHT_NONE;
        desk_run(observes[i]);
        assert_true(strstr(desk.text, "right to observe") || strstr(desk.text, "no such VM"));
        rights[0] = RIGHT_OBSERVE;
        desk_run(observes[i]);
        assert_false(strstr(desk.text, "right to") || strstr(desk.text, "no such VM"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_are_listed_with_their_states),
        cmocka_unit_test(a_vm_is_named_by_its_name_or_number_or_not_at_all),
        cmocka_unit_test(a_wrong_vm_is_answered_with_help),
        cmocka_unit_test(vms_are_stopped_and_go_on),
        cmocka_unit_test(vms_are_ended_and_started),
        cmocka_unit_test(the_power_button_may_not_be_heard),
        cmocka_unit_test(a_vm_is_saved),
        cmocka_unit_test(an_nmi_goes_to_all_vcpus),
        cmocka_unit_test(consoles_are_chosen_and_the_monitor_left),
        cmocka_unit_test(the_terminals_size_is_told),
        cmocka_unit_test(the_guest_agent_is_asked),
        cmocka_unit_test(wrong_words_are_answered_with_help),
        cmocka_unit_test(help_names_every_command),
        cmocka_unit_test(help_fits_80_columns),
        cmocka_unit_test(words_are_completed),
        cmocka_unit_test(the_log_is_shown_again),
        cmocka_unit_test(the_chosen_vcpu_is_remembered_for_its_vm),
        cmocka_unit_test(who_is_not_the_operator_has_rights_over_vms),
        cmocka_unit_test(each_command_needs_its_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
