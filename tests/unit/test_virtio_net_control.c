// drivers/virt/virtio/virtio_net_control.c: what drivers of network cards negotiate and ask for.
#include "tests/unit/virtio_cards.h"

// ---- what it is ----

static void it_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(get(&left, CONFIG, 4) | get(&left, CONFIG + 4, 2) << 32, LEFT_MAC);
    assert_int_equal(get(&left, CONFIG + 6, 2), 1);
    assert_int_equal(get(&left, CONFIG + 8, 2), PAIRS);
    assert_int_equal(get(&left, CONFIG + 10, 2), 1500);
    assert_int_equal(get(&left, CONFIG + 12, 4), 0);
    assert_int_equal(get(&left, 0x12, 2), 2 * PAIRS + 1);
    assert_int_equal(left.net.virtio.function.reset[0] >> 16, 0x1041);
}

static void features_need_others(void **state)
{
    (void)state;
    static const struct {
        uint64_t features;
        bool is_good;
    } cases[] = {
        {0, true},
        {NET_F_HOST_TSO4, false},
        {NET_F_HOST_TSO6 | NET_F_GUEST_CSUM, false},
        {NET_F_HOST_TSO6 | NET_F_CSUM, true},
        {NET_F_HOST_ECN | NET_F_CSUM, false},
        {NET_F_HOST_ECN | NET_F_CSUM | NET_F_HOST_TSO4, true},
        {NET_F_GUEST_TSO4, false},
        {NET_F_GUEST_TSO6 | NET_F_GUEST_CSUM, true},
        {NET_F_GUEST_ECN | NET_F_GUEST_CSUM, false},
        {NET_F_GUEST_ECN | NET_F_GUEST_CSUM | NET_F_GUEST_TSO6, true},
        {NET_F_MQ, false},
        {NET_F_CTRL_RX, false},
        {NET_F_CTRL_RX_EXTRA, false},
        {NET_F_CTRL_VLAN, false},
        {NET_F_CTRL_MAC, false},
        {NET_F_ANNOUNCE, false},
        {NET_F_GUEST_OFFLOADS, false},
        {COMMANDS | NET_F_MQ | OFFLOADS | NET_F_MTU, true},
        {BIT(10), false}, // UFO is not offered
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        if (negotiate(&left, PLAIN | cases[i].features) != cases[i].is_good)
            fail_msg("case %u", i);
    left.port.has_no_offloads = true;
    virtio_net_describe(&left.net, &left.port, 1);
    assert_false(negotiate(&left, PLAIN | NET_F_CSUM));
    assert_false(negotiate(&left, PLAIN | NET_F_CTRL_VQ | NET_F_MQ));
    assert_true(negotiate(&left, PLAIN));
}

// ---- commands ----

static void the_driver_says_which_frames_it_wants(void **state)
{
    static const uint8_t on = 1, off = 0;
    static const uint8_t table[] = {1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 9};
    const uint64_t group = 0x0900005e0001, other = 0x0800005e0001;
    (void)state;
    drive(&right, MERGE | COMMANDS);
    post(&right, 0, 40, 2048);
    assert_true(arrives(other)); // until it says something
    assert_int_equal(command(&right, 2, 0, 0, &off, 1), 0);
    assert_false(arrives(other));
    assert_true(arrives(BROADCAST) && arrives(RIGHT_MAC));
    assert_int_equal(command(&right, 2, 1, 0, table, sizeof(table)), 0);
    assert_true(arrives(group));
    assert_false(arrives(other));
    assert_int_equal(command(&right, 2, 0, 1, &on, 1), 0);
    assert_true(arrives(other));
    assert_int_equal(command(&right, 2, 0, 3, &on, 1), 0);
    assert_false(arrives(group));
    assert_int_equal(command(&right, 2, 0, 5, &on, 1), 0);
    assert_false(arrives(BROADCAST));
    assert_int_equal(command(&right, 2, 0, 4, &on, 1), 0);
    assert_false(arrives(RIGHT_MAC));
    assert_int_equal(command(&right, 2, 0, 0, &on, 1), 0);
    assert_true(arrives(RIGHT_MAC) && arrives(BROADCAST) && arrives(other));
    drive(&right, MERGE); // a reset forgets it all
    post(&right, 0, 4, 2048);
    assert_true(arrives(other));
}

static void wrong_commands_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned class, number, length;
        uint8_t bytes[12];
    } cases[] = {
        {0, 6, 1, {1}},
        {0, 0, 0, {0}},
        {1, 0, 4, {0}},
        {1, 0, 8, {0, 0, 0, 0, 1}},
        {1, 0, 8, {0xff, 0xff, 0xff, 0xff}},
        {1, 2, 6, {0}},
        {1, 1, 6, {2, 2, 2, 2, 2, 2}}, // not its address
        {1, 1, 5, {0x52, 0x54, 0, 0, 0}},
        {2, 2, 2, {5}},
        {2, 0, 1, {5}},
        {2, 0, 2, {0, 0x10}},
        {3, 1, 0, {0}},
        {4, 0, 2, {1, 0}}, // no pairs negotiated
        {5, 0, 8, {0x80}}, // not negotiated
        {5, 0, 7, {0}},
        {5, 1, 8, {0}},
        {6, 0, 0, {0}},
        {255, 255, 0, {0}},
    };
    drive(&right, MERGE | COMMANDS);
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        if (command(&right, 2, cases[i].class, cases[i].number, cases[i].bytes, cases[i].length) !=
            1)
            fail_msg("case %u", i);
    assert_false(needs_reset(&right));
    drive(&right, MERGE | NET_F_CTRL_VQ); // what was not negotiated
    for (unsigned class = 0; class < 6; class ++)
        assert_int_equal(command(&right, 2, class, 0, "\1\0\0\0\0\0\0\0", 8), 1);
}

static void vlans_are_filtered(void **state)
{
    fresh(state);
    right.port.is_trunk = left.port.is_trunk = true;
    right.port.trunk[0] = left.port.trunk[0] = BIT(5) | BIT(6);
    drive(&left, MERGE);
    drive(&right, MERGE | COMMANDS);
    post(&right, 0, 8, 2048);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 64);
    memcpy(frame(&left) + 12, "\x81\x00\x00\x05", 4);
    send_frame(&left, 1, 64);
    assert_int_equal(right.port.dropped[NET_DROP_TO_FILTER], 1);
    assert_int_equal(command(&right, 2, 2, 0, "\5\0", 2), 0);
    send_frame(&left, 1, 64);
    assert_received(&right, 0, &left, 64);
    assert_int_equal(command(&right, 2, 2, 1, "\5\0", 2), 0);
    send_frame(&left, 1, 64);
    assert_int_equal(right.port.dropped[NET_DROP_TO_FILTER], 2);
}

static void an_address_may_follow_the_driver(void **state)
{
    (void)state;
    const uint64_t mac = 0x070707070702;
    drive(&right, MERGE | COMMANDS);
    post(&right, 0, 8, 2048);
    assert_int_equal(command(&right, 2, 1, 1, &(uint64_t){RIGHT_MAC}, 6), 0);
    right.port.may_change_mac = true;
    assert_int_equal(command(&right, 2, 1, 1, &mac, 6), 0);
    assert_int_equal(get(&right, CONFIG, 4), 0x07070702);
    assert_true(arrives(mac));
    assert_false(arrives(RIGHT_MAC));
    drive(&right, MERGE);
    post(&right, 0, 8, 2048);
    assert_int_equal(get(&right, CONFIG, 4), (uint32_t)RIGHT_MAC);
    assert_true(arrives(RIGHT_MAC));
    assert_false(arrives(mac));
}

static void offloads_may_be_refused_later(void **state)
{
    (void)state;
    drive(&left, MERGE | OFFLOADS);
    drive(&right, MERGE | COMMANDS | OFFLOADS);
    post(&right, 0, 8, 2048);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 100);
    left.ram[SEND_AT] = 1;
    left.ram[SEND_AT + 6] = 34;
    send_frame(&left, 1, 100);
    assert_int_equal(receive_frame(&right, 0, got), 112);
    assert_int_equal(got[0], 1);
    assert_int_equal(command(&right, 2, 5, 0, &(uint64_t){0}, 8), 0);
    send_frame(&left, 1, 100);
    assert_int_equal(receive_frame(&right, 0, got), 112);
    assert_int_equal(got[0], 0);
    assert_memory_not_equal(got + 12 + 34, frame(&left) + 34, 2);
    // Segments without sums are none.
    assert_int_equal(command(&right, 2, 5, 0, &(uint64_t){NET_F_GUEST_TSO4}, 8), 0);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 2000);
    memcpy(frame(&left) + 12, "\x08\x00\x45\x00", 4);
    frame(&left)[23] = 6;
    frame(&left)[46] = 0x50;
    memcpy(left.ram + SEND_AT, &(struct net_offload){1, 1, 54, 1460, 34, 16, 0}, NET_OFFLOAD);
    send_frame(&left, 1, 2000);
    assert_int_equal(receive_frame(&right, 0, got), 12 + 1514);
}

// Between the pieces of a frame its chain stays; a command waits for it.
static void a_command_waits_for_a_frame(void **state)
{
    (void)state;
    drive(&right, MERGE | COMMANDS);
    right.net.is_active = true;
    assert_int_equal(command(&right, 2, 0, 0, "", 1), 0xee);
    right.net.is_active = false;
    tick_until_quiet(&right);
    assert_int_equal(right.ram[0x79000], 0);
}

// ---- pairs of queues ----

// A UDP packet of a flow; the sum is not looked at.
static void make_flow(struct side *side, uint64_t to, uint64_t from, unsigned a, unsigned b)
{
    make_frame(side, to, from, 100);
    memcpy(frame(side) + 12, "\x08\x00\x45\x00", 4);
    frame(side)[23] = 17;
    memset(frame(side) + 26, 0, 8);
    frame(side)[34] = (uint8_t)(a >> 8);
    frame(side)[35] = (uint8_t)a;
    frame(side)[36] = (uint8_t)(b >> 8);
    frame(side)[37] = (uint8_t)b;
}

static void a_flow_comes_to_the_pair_that_sends_it(void **state)
{
    (void)state;
    drive(&right, MERGE | NET_F_CTRL_VQ | NET_F_MQ);
    assert_int_equal(command(&right, CONTROL, 4, 0, "\0\0", 2), 1);
    assert_int_equal(command(&right, CONTROL, 4, 0, "\5\0", 2), 1);
    assert_int_equal(command(&right, CONTROL, 4, 0, "\3\0", 2), 0);
    for (unsigned i = 0; i < 3; i++)
        post(&right, 2 * i, 8, 2048);
    post(&left, 0, 8, 2048);
    for (unsigned pair = 0; pair < 3; pair++) {
        make_flow(&right, LEFT_MAC, RIGHT_MAC, 1000 + pair, 80);
        send_frame(&right, 2 * pair + 1, 100);
        assert_received(&left, 0, &right, 100);
    }
    for (unsigned pair = 0; pair < 3; pair++) {
        make_flow(&left, RIGHT_MAC, LEFT_MAC, 80, 1000 + pair);
        send_frame(&left, 1, 100);
        assert_received(&right, 2 * pair, &left, 100);
    }
    // Fewer of them: what was the third's comes to the first. Its sender is not looked at.
    assert_int_equal(command(&right, CONTROL, 4, 0, "\2\0", 2), 0);
    send_frame(&left, 1, 100);
    assert_received(&right, 0, &left, 100);
    describe(&right, 5, 0, SEND_AT, 100, 0, 0);
    offer(&right, 5, 0);
    uint64_t before = right.port.sent.frames;
    notify(&right, 5);
    assert_int_equal(right.port.sent.frames, before);
}

// ---- link ----

static void the_driver_hears_of_its_link(void **state)
{
    (void)state;
    drive(&right, MERGE | COMMANDS);
    uint64_t generation = get(&right, 0x15, 1);
    net_port_set_link(&right.port, false);
    assert_int_equal(get(&right, CONFIG + 6, 2), 0);
    assert_int_equal(get(&right, ISR, 1), 2);
    assert_int_not_equal(get(&right, 0x15, 1), generation);
    net_port_set_link(&right.port, false);
    assert_int_equal(get(&right, ISR, 1), 0); // nothing new
    post(&right, 0, 8, 2048);
    assert_false(arrives(RIGHT_MAC));
    net_port_set_link(&right.port, true);
    assert_int_equal(get(&right, ISR, 1), 2);
    assert_int_equal(get(&right, CONFIG + 6, 2), 1);
    assert_true(arrives(RIGHT_MAC));
    net_port_announce(&right.port);
    assert_int_equal(get(&right, ISR, 1), 3);
    assert_int_equal(get(&right, CONFIG + 6, 2), 3);
    assert_int_equal(command(&right, 2, 3, 0, "", 0), 0);
    assert_int_equal(get(&right, CONFIG + 6, 2), 1);
}

static void a_card_that_left_gets_nothing(void **state)
{
    (void)state;
    post(&right, 0, 8, 2048);
    virtio_net_disconnect(&right.net);
    assert_false(arrives(RIGHT_MAC));
    assert_int_equal(used(&right, 0)[1], 0);
    virtio_net_connect(&right.net, &right.beside);
    assert_true(arrives(RIGHT_MAC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_says_what_it_is, fresh),
        cmocka_unit_test_setup(features_need_others, fresh),
        cmocka_unit_test_setup(the_driver_says_which_frames_it_wants, driven),
        cmocka_unit_test_setup(wrong_commands_are_refused, driven),
        cmocka_unit_test(vlans_are_filtered),
        cmocka_unit_test_setup(an_address_may_follow_the_driver, driven),
        cmocka_unit_test_setup(offloads_may_be_refused_later, driven),
        cmocka_unit_test_setup(a_command_waits_for_a_frame, driven),
        cmocka_unit_test_setup(a_flow_comes_to_the_pair_that_sends_it, driven),
        cmocka_unit_test_setup(the_driver_hears_of_its_link, driven),
        cmocka_unit_test_setup(a_card_that_left_gets_nothing, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
