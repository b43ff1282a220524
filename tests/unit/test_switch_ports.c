// drivers/virt/net/port.c, rate.c, pcap.c: what a port is, and what it may do.
#include "tests/unit/net_ports.h"

// ---- ports ----

static void an_address_is_one_ports(void **state)
{
    (void)state;
    struct explanation why;
    struct net_port other = {.name = "g", .mac = mac_of(3)};
    assert_int_equal(net_port_add(&lan, &other, &why), STATUS_OVERLAP);
    assert_non_null(strstr(why.text, "lan"));
    assert_false(net_port_set_address(&card[0].port, OUTSIDE));
    card[0].port.may_change_mac = true;
    assert_false(net_port_set_address(&card[0].port, mac_of(1)));
    assert_false(net_port_set_address(&card[0].port, BROADCAST));
    assert_true(net_port_set_address(&card[0].port, OUTSIDE));
    send_to(1, OUTSIDE, 60);
    assert_got(1);
    assert_int_equal(send_to(1, mac_of(0), 60), 0);
    send_to(0, mac_of(1), 60); // from its new one
    assert_got(2);
    assert_true(net_port_set_address(&card[0].port, mac_of(0)));
    send_to(1, mac_of(0), 60);
    assert_got(1);
}

static void there_are_so_many_ports(void **state)
{
    static struct net_port more[NET_PORTS];
    struct explanation why;
    (void)state;
    memset(more, 0, sizeof(more));
    for (unsigned i = PORTS; i < NET_PORTS; i++) {
        more[i] = (struct net_port){.name = "more", .mac = 0x1002 + (uint64_t)i * 0x10000};
        assert_int_equal(net_port_add(&lan, &more[i], &why), STATUS_OK);
    }
    more[0] = (struct net_port){.name = "more", .mac = 0x2002};
    assert_int_equal(net_port_add(&lan, &more[0], &why), STATUS_FULL);
    send_to(0, BROADCAST, 60);
    assert_got(0x3e);
    assert_int_equal(more[200].dropped[NET_DROP_TO_LINK], 1); // no device
}

static void a_link_can_be_down(void **state)
{
    (void)state;
    assert_true(card[1].is_up && net_port_is_up(&card[1].port));
    net_port_set_link(&card[1].port, false);
    assert_false(card[1].is_up || net_port_is_up(&card[1].port));
    send_to(0, mac_of(1), 60);
    assert_int_equal(dropped(1, NET_DROP_TO_LINK), 1);
    assert_int_equal(send_to(1, mac_of(0), 60), 0);
    assert_int_equal(dropped(1, NET_DROP_LINK), 1);
    assert_got(0);
    net_port_set_link(&card[1].port, true);
    assert_true(card[1].is_up);
    send_to(0, mac_of(1), 60);
    assert_got(2);
    net_port_announce(&card[1].port);
    assert_int_equal(card[1].announced, 1);
}

static void a_device_that_left_gets_nothing(void **state)
{
    (void)state;
    net_port_disconnect(&card[1].port);
    send_to(0, mac_of(1), 60);
    assert_int_equal(dropped(1, NET_DROP_TO_LINK), 1);
    assert_int_equal(send_to(1, mac_of(0), 60), 0);
    assert_int_equal(dropped(1, NET_DROP_LINK), 1);
    net_port_announce(&card[1].port);
    net_port_set_link(&card[1].port, false);
    assert_got(0);
    connect_card(1);
    assert_false(card[1].is_up); // it learns at once
    assert_int_equal(card[1].announced, 0);
}

static void who_leaves_sends_nothing_more(void **state)
{
    (void)state;
    uint64_t left = 1;
    make_frame(0xffffffffffffULL, mac_of(0), 60);
    make_chain(60, 100);
    assert_true(net_packet_take(&packet, &sender, &chain));
    assert_true(net_send(&card[0].port, &packet, 0));
    assert_false(net_send_on(&card[0].port, &packet, &left));
    assert_got(2);
    net_port_disconnect(&card[0].port);
    left = 100000;
    assert_true(net_send_on(&card[0].port, &packet, &left));
    assert_got(0);
}

static void who_takes_nothing_loses_it(void **state)
{
    (void)state;
    card[1].has_no_buffers = true;
    card[2].wants_none = true;
    assert_int_equal(send_to(0, BROADCAST, 60), 1);
    assert_int_equal(dropped(1, NET_DROP_TO_BUFFERS), 1);
    assert_int_equal(dropped(2, NET_DROP_TO_FILTER), 1);
    assert_got(0x38);
    assert_int_equal(all_dropped(0), 0);
}

// ---- limits ----

static void a_rate_holds(void **state)
{
    (void)state;
    struct net_rate rate;
    uint64_t passed = 0, start = 1000000000000, at = start;
    net_rate_set(&rate, 1000000, 5000);
    for (; at < start + 2000000000; at += 100000)
        while (!net_rate_wait(&rate, at)) {
            net_rate_take(&rate, at, 1500);
            passed += 1500;
        }
    assert_in_range(passed, 2000000, 2000000 + 5000 + 1500);
    uint64_t wait = net_rate_wait(&rate, at);
    assert_in_range(wait, 1, 1500000);
    assert_int_equal(net_rate_wait(&rate, at + wait - 1), 1);
    assert_int_equal(net_rate_wait(&rate, at + wait), 0);
    net_rate_set(&rate, 0, 0);
    net_rate_take(&rate, at, 1 << 20);
    assert_int_equal(net_rate_wait(&rate, at), 0);
    assert_false(net_rate_is_set(&rate));
    net_rate_set(&rate, 12500000000, 1 << 20); // 100 Gbit/s
    net_rate_take(&rate, at, 1 << 20);
    net_rate_take(&rate, at, 1 << 20);
    assert_in_range(net_rate_wait(&rate, at), 80000, 84000);
}

static void limit(void)
{
    net_rate_set(&card[0].port.sent_frames, 1000, 10);
    net_rate_set(&card[1].port.received_bytes, 60000, 600);
    net_rate_set(&card[2].port.flooded, 100, 5);
}

static void limits_hold_a_port(void **state)
{
    (void)state;
    plug_cards(limit);
    unsigned sent = 0;
    for (; !net_port_wait(&card[0].port); sent++)
        send_to(0, mac_of(3), 60);
    assert_int_equal(sent, 11); // the burst, and the one that uses it up
    assert_in_range(net_port_wait(&card[0].port), 1, 1000000);
    time_now += net_port_wait(&card[0].port);
    assert_int_equal(net_port_wait(&card[0].port), 0);
    card[3].count = 0;
    for (unsigned i = 0; i < 20; i++)
        send_to(4, mac_of(1), 60);
    assert_int_equal(card[1].count, 11);
    assert_int_equal(dropped(1, NET_DROP_TO_RATE), 9);
    for (unsigned i = 0; i < 20; i++)
        send_to(2, BROADCAST, 60);
    assert_int_equal(dropped(2, NET_DROP_FLOOD), 14);
    assert_int_equal(card[3].count, 6);
    assert_int_equal(net_port_wait(&card[2].port), 0);
}

// ---- captures ----

static uint8_t file[4096];
static unsigned file_size;

static void record(struct net_capture *capture, const uint8_t *header,
                   const struct net_packet *from, uint32_t captured)
{
    assert_true(captured <= capture->snap);
    memcpy(file + file_size, header, NET_PCAP_RECORD);
    assert_true(net_packet_read(from, 0, file + file_size + NET_PCAP_RECORD, captured));
    file_size += NET_PCAP_RECORD + captured;
}

static void both_directions_are_captured(void **state)
{
    (void)state;
    static struct net_capture capture = {.snap = 100, .record = record};
    uint32_t words[6];
    net_pcap_file(file, capture.snap);
    file_size = NET_PCAP_FILE;
    net_port_capture(&card[0].port, &capture);
    send_to(0, mac_of(1), 60);
    send_to(1, mac_of(0), 500);
    send_to(1, mac_of(2), 500);
    net_port_capture(&card[0].port, NULL);
    send_to(0, mac_of(1), 60);
    assert_int_equal(file_size, 24 + 16 + 60 + 16 + 100);
    memcpy(words, file, 24);
    assert_int_equal(words[0], 0xa1b23c4d);
    assert_int_equal(words[1], 2 | 4 << 16);
    assert_int_equal(words[4], 100);
    assert_int_equal(words[5], 1);
    memcpy(words, file + 24, 16);
    assert_int_equal(words[0], 1700000000);
    assert_int_equal(words[1], 123456789);
    assert_int_equal(words[2], 60);
    assert_int_equal(words[3], 60);
    memcpy(words, file + 100, 16);
    assert_int_equal(words[2], 100);
    assert_int_equal(words[3], 500);
    assert_memory_equal(file + 116, last(0)->bytes, 100);
}

static void each_reason_has_a_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NET_DROPS; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(net_drop_text(i), net_drop_text(j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_address_is_one_ports, plain),
        cmocka_unit_test_setup(there_are_so_many_ports, plain),
        cmocka_unit_test_setup(a_link_can_be_down, plain),
        cmocka_unit_test_setup(a_device_that_left_gets_nothing, plain),
        cmocka_unit_test_setup(who_leaves_sends_nothing_more, plain),
        cmocka_unit_test_setup(who_takes_nothing_loses_it, plain),
        cmocka_unit_test(a_rate_holds),
        cmocka_unit_test(limits_hold_a_port),
        cmocka_unit_test_setup(both_directions_are_captured, plain),
        cmocka_unit_test(each_reason_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
