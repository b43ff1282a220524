// QMP: what a client says and what it is answered, over a stream, against the desk's machine half.

#include "tests/unit/support.h"

#include "tests/unit/qmp_client.h"

static void a_session_begins_with_negotiation(void **state)
{
    begin(0, RIGHT_OPERATE, RING);
    assert_string_equal(hear(), "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, "
                                "\"micro\": 0}, \"package\": \"Corbel under test\"}, "
                                "\"capabilities\": []}}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-status\"}"),
                        NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'"));
    assert_string_equal(ask("{\"execute\":\"nonsense\"}"),
                        NOT_FOUND("Expecting capabilities negotiation with 'qmp_capabilities'"));
    assert_string_equal(
        ask("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"),
        GENERIC("Capabilities are not available here"));
    assert_string_equal(ask("{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}"),
                        DONE);
    assert_string_equal(ask("{\"execute\":\"qmp_capabilities\"}"),
                        NOT_FOUND("Capabilities negotiation is already complete, command ignored"));
}

static void what_is_asked_is_answered(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    assert_string_equal(ask("{\"execute\":\"query-status\"}"),
                        "{\"return\": {\"status\": \"running\", \"singlestep\": false, "
                        "\"running\": true}}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-name\"}"),
                        "{\"return\": {\"name\": \"web\"}}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-memory-size-summary\"}"),
                        "{\"return\": {\"base-memory\": 268435456}}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-balloon\"}"),
                        "{\"return\": {\"actual\": 4096}}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-kvm\"}"),
                        "{\"return\": {\"enabled\": false, \"present\": false}}\r\n");
    assert_non_null(strstr(ask("{\"execute\":\"query-uuid\"}"), "{\"return\": {\"UUID\": \""));
    assert_non_null(strstr(ask("{\"execute\":\"query-cpus-fast\"}"),
                           "}, {\"cpu-index\": 1, \"qom-path\": \"/machine/unattached/device[1]\", "
                           "\"thread-id\": 2, "));
    assert_true(json_is_good((struct span){said, strlen(said)}));
    ask("{\"execute\":\"query-block\"}");
    assert_true(json_is_good((struct span){said, strlen(said)}));
    assert_non_null(strstr(said, "{\"filename\": \"ram:\", \"format\": \"raw\", "
                                 "\"virtual-size\": 1048576}"));
    assert_non_null(strstr(said, "{\"filename\": \"module:root.img\", \"format\": \"raw\", "
                                 "\"virtual-size\": 2097152}"));
    ask("{\"execute\":\"query-commands\"}");
    assert_non_null(strstr(said, "{\"return\": [{\"name\": \"qmp_capabilities\"}, {"));
    assert_non_null(strstr(said, "{\"name\": \"system_reset\"}]}\r\n"));
}

static void what_has_ended_can_be_asked_too(void **state)
{
    negotiate(2, RIGHT_OPERATE);
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"shutdown\""));
    assert_string_equal(ask("{\"execute\":\"query-cpus-fast\"}"), "{\"return\": []}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-block\"}"), "{\"return\": []}\r\n");
    assert_string_equal(ask("{\"execute\":\"query-name\"}"),
                        "{\"return\": {\"name\": \"old\"}}\r\n");
    static const char *const refused[] = {"cont", "stop", "system_powerdown", "inject-nmi"};
    for (unsigned i = 0; i < ARRAY_LENGTH(refused); i++) {
        char request[64];
        snprintf(request, sizeof(request), "{\"execute\":\"%s\"}", refused[i]);
        assert_string_equal(ask(request), GENERIC("Resetting the Virtual Machine is required"));
    }
    assert_string_equal(ask("{\"execute\":\"quit\"}"), DONE);
    assert_string_equal(desk.asked, "");
    assert_string_equal(ask("{\"execute\":\"system_reset\"}"), DONE);
    assert_string_equal(desk.asked, "start 2;");
    desk.refuses = true;
    assert_string_equal(ask("{\"execute\":\"system_reset\"}"),
                        GENERIC("old: memory = 9M does not fit"));
    desk.vm[2].starting = true;
    assert_string_equal(ask("{\"execute\":\"system_reset\"}"), GENERIC("The VM is being started"));
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"prelaunch\""));
}

static void each_state_has_its_name(void **state)
{
    negotiate(0, RIGHT_OBSERVE);
    desk.vm[0].paused = true;
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"paused\", \"singlestep\": "
                                                                  "false, \"running\": false"));
    desk.vm[0].preserved = true;
    desk.vm[0].vm.stop_reason = STOP_GUEST_PANIC;
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"guest-panicked\""));
    desk.vm[0].vm.stop_reason = STOP_TRIPLE_FAULT;
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"shutdown\""));
    desk.vm[0].vm.stop_reason = STOP_UNEMULATED;
    assert_non_null(strstr(ask("{\"execute\":\"query-status\"}"), "\"internal-error\""));
}

static void orders_are_carried_out_and_their_events_told(void **state)
{
    negotiate(1, RIGHT_OPERATE);
    assert_string_equal(ask("{\"execute\":\"stop\"}"), DONE STAMP "\"event\": \"STOP\"}\r\n");
    assert_string_equal(ask("{\"execute\":\"stop\"}"), DONE);
    assert_string_equal(ask("{\"execute\":\"system_powerdown\"}"), GENERIC("The VM is stopped"));
    assert_string_equal(ask("{\"execute\":\"cont\"}"), DONE STAMP "\"event\": \"RESUME\"}\r\n");
    assert_string_equal(ask("{\"execute\":\"cont\"}"), DONE);
    assert_string_equal(ask("{\"execute\":\"system_powerdown\"}"),
                        GENERIC("The guest does not listen to its power button"));
    desk.listens = true;
    assert_string_equal(ask("{\"execute\":\"system_powerdown\"}"),
                        DONE STAMP "\"event\": \"POWERDOWN\"}\r\n");
    assert_string_equal(ask("{\"execute\":\"system_reset\"}"),
                        DONE STAMP "\"event\": \"RESET\", \"data\": {\"guest\": false, \"reason\": "
                                   "\"host-qmp-system-reset\"}}\r\n");
    assert_string_equal(ask("{\"execute\":\"inject-nmi\"}"), DONE);
    assert_true(desk.vm[1].vcpu[0].signals);
    assert_string_equal(ask("{\"execute\":\"quit\"}"),
                        DONE STAMP "\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, "
                                   "\"reason\": \"host-qmp-quit\"}}\r\n");
    assert_string_equal(desk.asked, "pause 1;resume 1;button 1;button 1;reset 1;kill 1;");
    assert_int_equal(rouses, 5);
}

static void what_a_vm_is_given_can_be_changed(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    assert_string_equal(ask("{\"execute\":\"balloon\",\"arguments\":{\"value\":100663296}}"), DONE);
    assert_int_equal(desk.balloon, 100663296);
    assert_string_equal(ask("{\"execute\":\"balloon\",\"arguments\":{\"value\":268435457}}"),
                        GENERIC("Parameter 'value' expects a size up to 268435456"));
    assert_string_equal(
        ask("{\"execute\":\"set_link\",\"arguments\":{\"name\":\"net1\",\"up\":false}}"), DONE);
    assert_string_equal(desk.asked, "down 0.1;");
    assert_string_equal(
        ask("{\"execute\":\"set_link\",\"arguments\":{\"up\":true,\"name\":\"net2\"}}"),
        "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'net2' not found\"}}\r\n");
    negotiate(1, RIGHT_OPERATE);
    assert_non_null(strstr(ask("{\"execute\":\"balloon\",\"arguments\":{\"value\":4096}}"),
                           "\"DeviceNotActive\""));
}

static void news_are_told_to_who_is_there(void **state)
{
    struct news *news = &desk.vm[0].news;
    begin(0, RIGHT_OBSERVE, RING);
    news_add(news, &(struct news_item){.kind = NEWS_STOP});
    assert_int_equal(rouses, 0);
    hear();
    assert_string_equal(ask("{\"execute\":\"qmp_capabilities\"}"), DONE);
    news_add(news, &(struct news_item){.kind = NEWS_GUEST_PANICKED, .is_preserved = true});
    news_add(news, &(struct news_item){.kind = NEWS_BALLOON_CHANGE, .value = 123});
    news_add(&desk.vm[1].news, &(struct news_item){.kind = NEWS_STOP});
    assert_int_equal(rouses, 2);
    assert_string_equal(hear(), "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": "
                                "\"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}\r\n"
                                "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": "
                                "\"BALLOON_CHANGE\", \"data\": {\"actual\": 123}}\r\n");
    for (unsigned i = 0; i < NEWS_KEPT + 5; i++)
        news_add(news, &(struct news_item){.kind = NEWS_RESET, .cause = NEWS_GUEST_RESET});
    hear();
    assert_non_null(
        strstr(said, "\"event\": \"__org.corbel_EVENTS_MISSED\", \"data\": {\"count\": 5}}"));
    unsigned told = 0;
    for (const char *at = said; (at = strstr(at, "\"guest-reset\"")); at++)
        told++;
    assert_int_equal(told, NEWS_KEPT);
    qmp_end(&qmp);
    assert_null(news->readers);
}

static void ids_come_back(void **state)
{
    negotiate(0, RIGHT_OPERATE);
    assert_string_equal(ask("{\"execute\":\"query-name\",\"id\":{ \"a\" :\n[1, \"x y\"]}}"),
                        "{\"return\": {\"name\": \"web\"}, \"id\": {\"a\":[1,\"x y\"]}}\r\n");
    assert_string_equal(
        ask("{\"id\":7,\"execute\":\"nosuch\"}"),
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nosuch "
        "has not been found\"}, \"id\": 7}\r\n");
    assert_non_null(
        strstr(ask("{\"id\":\"q\",\"execute\":\"query-block\"}"), "}}}], \"id\": \"q\"}\r\n"));
    char request[QMP_REQUEST];
    memset(request, 'x', sizeof(request));
    memcpy(request, "{\"id\":\"", 7);
    strcpy(request + QMP_ID + 6, "\",\"execute\":\"query-name\"}");
    assert_string_equal(ask(request), GENERIC("QMP input member 'id' is too long"));
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"nonsense\n", GENERIC("Invalid JSON syntax")},
        {"{\"execute\"}", GENERIC("Invalid JSON syntax")},
        {"[1]", GENERIC("QMP input must be a JSON object")},
        {"{}", GENERIC("QMP input lacks member 'execute'")},
        {"{\"execute\":1}", GENERIC("QMP input member 'execute' must be a string")},
        {"{\"execute\":\"stop\",\"argument\":{}}",
         GENERIC("QMP input member 'argument' is unexpected")},
        {"{\"exec-oob\":\"stop\"}", GENERIC("QMP input member 'exec-oob' is unexpected")},
        {"{\"execute\":\"stop\",\"arguments\":[]}",
         GENERIC("QMP input member 'arguments' must be an object")},
        {"{\"execute\":\"stop\",\"arguments\":{\"now\\\"\":1}}",
         GENERIC("Parameter 'now\\\"' is unexpected")},
        {"{\"execute\":\"balloon\"}", GENERIC("Parameter 'value' is missing")},
        {"{\"execute\":\"balloon\",\"arguments\":{\"value\":-1}}",
         GENERIC("Invalid parameter type for 'value', expected: integer")},
        {"{\"execute\":\"set_link\",\"arguments\":{\"name\":\"net0\",\"up\":1}}",
         GENERIC("Invalid parameter type for 'up', expected: boolean")},
        {"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":null}}",
         GENERIC("Invalid parameter type for 'command-line', expected: string")},
        {"{\"execute\":\"stop\\u001b[2J\"}",
         NOT_FOUND("The command stop\\u001b[2J has not been found")},
        {"{\"execute\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         NOT_FOUND("The command ... has not been found")},
        {" \r\n\t\n", ""},
    };
    negotiate(0, RIGHT_OPERATE);
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_string_equal(ask(cases[i].request), cases[i].answer);
    assert_string_equal(desk.asked, "");
}

static void the_text_monitor_is_that_of_the_vm_alone(void **state)
{
#define HMP(line)                                                                                  \
    "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"" line "\"}}"
    negotiate(1, RIGHT_OPERATE);
    assert_string_equal(ask(HMP("stop")),
                        "{\"return\": \"db is stopped; 'cont db' lets it go on\\n\"}\r\n" STAMP
                        "\"event\": \"STOP\"}\r\n");
    assert_string_equal(ask(HMP("stop web")),
                        "{\"return\": \"web: there is no such VM; 'info vms' lists them\\n\"}\r\n");
    assert_string_equal(ask(HMP("quit")), "{\"return\": \"quit: it is the operator's\\n\"}\r\n");
    assert_string_equal(ask(HMP("xp 0")),
                        "{\"return\": \"this needs the right to take the VM out whole\\n\"}\r\n");
    assert_null(strstr(ask(HMP("info vms")), "web"));
    assert_non_null(strstr(said, "db"));
    assert_string_equal(desk.asked, "pause 1;");
    negotiate(0, RIGHT_TAKE);
    ask("{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info vmcs\","
        "\"cpu-index\":1}}");
    assert_string_equal(said, "{\"return\": \"VMCS of vCPU 1\\n\"}\r\n");
    ask("{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info vmcs\","
        "\"cpu-index\":2}}");
    assert_string_equal(said, GENERIC("Parameter 'cpu-index' expects a CPU number"));
    char request[QMP_REQUEST] = "";
    snprintf(request, sizeof(request),
             "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"%0300d\"}}",
             0);
    assert_string_equal(ask(request), GENERIC("Parameter 'command-line' is longer than 255 bytes"));
}

static void a_long_text_is_cut_where_the_room_ends(void **state)
{
    negotiate(0, RIGHT_TAKE);
    ask("{\"id\":1,\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"xp "
        "/900xb 0\"}}");
    assert_true(json_is_good((struct span){said, strlen(said)}));
    assert_null(strstr(said, "cut"));
    begin(0, RIGHT_TAKE, 256);
    hear();
    ask("{\"execute\":\"qmp_capabilities\"}");
    ask("{\"id\":1,\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"xp "
        "/900xb 0\"}}");
    assert_true(json_is_good((struct span){said, strlen(said)}));
    assert_non_null(strstr(said, "\\n... (cut: it is too long)\\n\", \"id\": 1}\r\n"));
    assert_non_null(strstr(ask("{\"execute\":\"query-block\"}"), "2097152}}}]}\r\n")); // in pieces
}

static void rights_are_kept(void **state)
{
    static const char *const orders[] = {"stop",       "cont", "system_powerdown", "system_reset",
                                         "inject-nmi", "quit", "balloon",          "set_link"};
    negotiate(0, RIGHT_OBSERVE);
    for (unsigned i = 0; i < ARRAY_LENGTH(orders); i++) {
        char request[64];
        snprintf(request, sizeof(request), "{\"execute\":\"%s\"}", orders[i]);
        assert_non_null(strstr(ask(request), "needs the right to operate the VM"));
    }
    assert_string_equal(desk.asked, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_begins_with_negotiation),
        cmocka_unit_test(what_is_asked_is_answered),
        cmocka_unit_test(what_has_ended_can_be_asked_too),
        cmocka_unit_test(each_state_has_its_name),
        cmocka_unit_test(orders_are_carried_out_and_their_events_told),
        cmocka_unit_test(what_a_vm_is_given_can_be_changed),
        cmocka_unit_test(news_are_told_to_who_is_there),
        cmocka_unit_test(ids_come_back),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_text_monitor_is_that_of_the_vm_alone),
        cmocka_unit_test(a_long_text_is_cut_where_the_room_ends),
        cmocka_unit_test(rights_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
