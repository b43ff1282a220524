// vm/config/config_net.c: switches, the cards of VMs, and the line that each mistake gets.

#include "tests/unit/support.h"

#include "vm/config/config.h"

static struct vm_config vms[CONFIG_VMS];
static struct config_switches switches;
static struct notes errors;
static unsigned count;

static status_t parse(const char *text)
{
    memset(vms, 0xa5, sizeof(vms));
    memset(&switches, 0xa5, sizeof(switches));
    return config_parse(text, strlen(text), vms, CONFIG_VMS, false, &count, &switches, &errors);
}

static void assert_mac(const struct config_net *net, const char *expected)
{
    char text[18];
    snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0], net->mac[1],
             net->mac[2], net->mac[3], net->mac[4], net->mac[5]);
    assert_string_equal(text, expected);
}

static void switches_and_cards_are_stored(void **state)
{
    assert_int_equal(parse("[vm a]\n"
                           "net = lan, mac=52:54:00:aB:cD:01, isolated, rate = 100M, vlan=10\n"
                           "net = dmz,trunk=10/20-30 / 4094,queues=8,offloads=off\n"
                           "[switch lan]\n"
                           "[ switch  dmz ]  # behind\n"
                           "isolated = yes\n"
                           "mtu = 9000\n"
                           "[vm b]\n"
                           "net = lan\n"),
                     STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(switches.count, 2);
    assert_string_equal(switches.at[0].name, "lan");
    assert_int_equal(switches.at[0].mtu, 1500);
    assert_false(switches.at[0].is_isolated);
    assert_string_equal(switches.at[1].name, "dmz");
    assert_int_equal(switches.at[1].mtu, 9000);
    assert_int_equal(switches.at[1].line, 5);
    assert_true(switches.at[1].is_isolated);

    const struct config_net *net = vms[0].net;
    assert_int_equal(vms[0].net_count, 2);
    assert_string_equal(net[0].network, "lan");
    assert_int_equal(net[0].line, 2);
    assert_mac(&net[0], "52:54:00:ab:cd:01");
    assert_true(net[0].is_isolated);
    assert_int_equal(net[0].rate, 100000000);
    assert_int_equal(net[0].vlan, 10);
    assert_int_equal(net[0].trunk_count, 0);
    assert_int_equal(net[0].queues, 0);
    assert_false(net[0].no_offloads);
    assert_string_equal(net[1].network, "dmz");
    assert_false(net[1].is_isolated);
    assert_int_equal(net[1].trunk_count, 3);
    assert_int_equal(net[1].trunk[0].first, 10);
    assert_int_equal(net[1].trunk[0].last, 10);
    assert_int_equal(net[1].trunk[1].first, 20);
    assert_int_equal(net[1].trunk[1].last, 30);
    assert_int_equal(net[1].trunk[2].last, 4094);
    assert_int_equal(net[1].queues, 8);
    assert_int_equal(net[1].vlan, 0);
    assert_true(net[1].no_offloads);
}

static void an_address_is_made_of_the_vms_name(void **state)
{
    assert_int_equal(parse("[switch lan]\n[vm a]\nnet = lan\nnet = lan\n[vm b]\nnet = lan"),
                     STATUS_OK);
    struct config_net a[2] = {vms[0].net[0], vms[0].net[1]}, b = vms[1].net[0];
    assert_memory_equal(a[0].mac, "\x52\x54", 3);
    assert_memory_not_equal(a[0].mac, a[1].mac, 6);
    assert_memory_not_equal(a[0].mac, b.mac, 6);
    // Whatever else there is, and in whatever order.
    assert_int_equal(parse("[vm c]\n[vm b]\nnet = two\n[vm a]\nnet = two\n[switch two]"),
                     STATUS_OK);
    assert_memory_equal(vms[1].net[0].mac, b.mac, 6);
    assert_memory_equal(vms[2].net[0].mac, a[0].mac, 6);
    // Unless somebody has it.
    char text[200];
    snprintf(text, sizeof(text),
             "[switch lan]\n[vm a]\nnet = lan\n[vm x]\nnet = lan,mac=52:54:00:%02x:%02x:%02x",
             a[0].mac[3], a[0].mac[4], a[0].mac[5]);
    assert_int_equal(parse(text), STATUS_OK);
    assert_memory_equal(vms[1].net[0].mac, a[0].mac, 6);
    assert_memory_not_equal(vms[0].net[0].mac, a[0].mac, 6);
    assert_memory_equal(vms[0].net[0].mac, a[0].mac, 3);
}

#define LAN "[switch lan]\n[vm a]\n"

static void each_mistake_has_its_line(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"[switch lan]", "vms.conf:1: no VM is described; write [vm NAME] and its keys"},
        {"[vm a]\n[switch]", "vms.conf:2: the section has no name; write [switch NAME]"},
        {"[vm a]\n[switch l/n]",
         "vms.conf:2: the name \"l/n\" may have letters, digits, '.', '-' and '_' only"},
        {"[switch lan]\n[switch lan]\n[vm a]",
         "vms.conf:2: a switch \"lan\" is on line 1 already; choose another name"},
        {"[vm a]\n[switch lan]\nmut = 1",
         "vms.conf:3: unknown key of a switch \"mut\"; did you mean \"mtu\"?"},
        {"[vm a]\n[switch lan]\ncpus = 1",
         "vms.conf:3: unknown key of a switch \"cpus\"; remove the line"},
        {"[vm a]\n[switch lan]\nmtu = 67", "vms.conf:3: mtu = 67: give a number from 68 to 65535"},
        {"[vm a]\n[switch lan]\nisolated = maybe",
         "vms.conf:3: isolated = maybe: give one of: on, off"},
        {"[vm a]\n[switch lan]\nmtu = 100\nisolated = on\n[switch dmz]\nmtu = 100\nmtu = 200",
         "vms.conf:7: mtu is set twice in this section; remove one of the lines"},
        {"[vm a]\n[switch lan]\nisolated = on\nisolated = on",
         "vms.conf:4: isolated is set twice in this section; remove one of the lines"},
        {LAN "net =", "vms.conf:3: VM a: net: give the name of a switch, of up to 31 letters: "
                      "net = lan"},
        {"[vm a]\nnet = lan",
         "vms.conf:2: VM a: net: unknown switch \"lan\"; no switch is described: add [switch lan]"},
        {LAN "net = lann", "vms.conf:3: VM a: net: unknown switch \"lann\"; did you mean \"lan\"?"},
        {"[switch dmz]\n" LAN "net = office",
         "vms.conf:4: VM a: net: unknown switch \"office\"; there are: dmz, lan"},
        {LAN "net = lan\nnet = lan\nnet = lan\nnet = lan\nnet = lan",
         "vms.conf:7: VM a: net: more than 4 network cards; remove some"},
        {LAN "net = lan,rat=1M",
         "vms.conf:3: VM a: net: unknown option \"rat\"; did you mean \"rate\"?"},
        {LAN "net = lan,model=e1000",
         "vms.conf:3: VM a: net: unknown option \"model\"; there are mac=, isolated, rate=, "
         "vlan=, trunk=, queues=, offloads="},
        {LAN "net = lan,mac=52:54:00:12:34",
         "vms.conf:3: VM a: net: mac=52:54:00:12:34: write six bytes: mac=52:54:00:12:34:56"},
        {LAN "net = lan,mac=52-54-00-12-34-56",
         "vms.conf:3: VM a: net: mac=52-54-00-12-34-56: write six bytes: mac=52:54:00:12:34:56"},
        {LAN "net = lan,mac=53:54:00:12:34:56",
         "vms.conf:3: VM a: net: mac=53:54:00:12:34:56 is the address of a group: the first byte "
         "must be even, as in 52:54:00:12:34:56"},
        {LAN "net = lan,mac=00:00:00:00:00:00",
         "vms.conf:3: VM a: net: mac=00:00:00:00:00:00 is no card's address; leave it out, and the "
         "card gets one"},
        {LAN "net = lan,isolated=yes",
         "vms.conf:3: VM a: net: isolated=yes: isolated takes no value"},
        {LAN "net = lan,rate=100000000",
         "vms.conf:3: VM a: net: rate=100000000: bits a second, with a unit: K, M or G, as in "
         "rate=100M"},
        {LAN "net = lan,rate=", "vms.conf:3: VM a: net: rate=: bits a second, with a unit: K, M or "
                                "G, as in rate=100M"},
        {LAN "net = lan,rate=M", "vms.conf:3: VM a: net: rate=M: give bits a second from 64K to "
                                 "1000G, as in rate=100M"},
        {LAN "net = lan,rate=63K", "vms.conf:3: VM a: net: rate=63K: give bits a second from 64K "
                                   "to 1000G, as in rate=100M"},
        {LAN "net = lan,rate=1001G", "vms.conf:3: VM a: net: rate=1001G: give bits a second from "
                                     "64K to 1000G, as in rate=100M"},
        {LAN "net = lan,vlan=0", "vms.conf:3: VM a: net: vlan=0: give a number from 1 to 4094"},
        {LAN "net = lan,vlan=4095",
         "vms.conf:3: VM a: net: vlan=4095: give a number from 1 to 4094"},
        {LAN "net = lan,trunk=30-20",
         "vms.conf:3: VM a: net: trunk=30-20 is no list of VLANs; write numbers from 1 to 4094: "
         "trunk=10/20-30"},
        {LAN "net = lan,trunk=1/2/3/4/5/6/7/8/9",
         "vms.conf:3: VM a: net: trunk=1/2/3/4/5/6/7/8/9: more than 8 ranges; join some"},
        {LAN "net = lan,trunk",
         "vms.conf:3: VM a: net: trunk= is empty; write numbers of VLANs: trunk=10/20-30"},
        {LAN "net = lan,queues=9", "vms.conf:3: VM a: net: queues=9: give a number from 1 to 8"},
        {LAN "net = lan,offloads=tso", "vms.conf:3: VM a: net: offloads=tso: give one of: on, off"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(parse(cases[i].text), STATUS_INVALID);
        assert_string_equal(errors.line[0].text, cases[i].line);
        assert_int_equal(errors.count, 1);
    }
}

static void one_address_is_one_cards(void **state)
{
    assert_int_equal(parse("[switch lan]\n[switch dmz]\n"
                           "[vm a]\nnet = lan,mac=52:54:00:00:00:01\n"
                           "[vm b]\nnet = dmz,mac=52:54:00:00:00:01\n"
                           "[vm c]\nnet = lan,mac=52:54:00:00:00:02\n"),
                     STATUS_INVALID);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.line[0].text,
                        "vms.conf:6: VM b: net: mac=52:54:00:00:00:01 is on line 4 already, of VM "
                        "a; choose another address or leave it out");
    assert_int_equal(count, 2);
    assert_string_equal(vms[0].name, "a");
    assert_string_equal(vms[1].name, "c");
    assert_mac(&vms[1].net[0], "52:54:00:00:00:02");
    assert_int_equal(parse(LAN "net = lan,mac=52:54:00:00:00:01\nnet = lan,mac=52:54:00:00:00:01"),
                     STATUS_INVALID);
    assert_int_equal(errors.count, 1);
    assert_int_equal(count, 0);
}

static void a_switch_with_a_mistake_is_still_one(void **state)
{
    assert_int_equal(parse("[switch lan]\nmtu = 1\n[vm a]\nnet = lan"), STATUS_INVALID);
    assert_int_equal(errors.count, 1);
    assert_int_equal(count, 1);
    assert_int_equal(switches.at[0].mtu, 1500);
}

static void the_number_of_switches_is_bounded(void **state)
{
    char text[1000] = "[vm a]\n";
    for (unsigned i = 0; i <= CONFIG_SWITCHES; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "[switch s%u]\nmtu = 100\n", i);
    assert_int_equal(parse(text), STATUS_INVALID);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.line[0].text,
                        "vms.conf:34: switch \"s16\" is one too many; at most 16 are possible");
    assert_int_equal(switches.count, CONFIG_SWITCHES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_and_cards_are_stored),
        cmocka_unit_test(an_address_is_made_of_the_vms_name),
        cmocka_unit_test(each_mistake_has_its_line),
        cmocka_unit_test(one_address_is_one_cards),
        cmocka_unit_test(a_switch_with_a_mistake_is_still_one),
        cmocka_unit_test(the_number_of_switches_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
