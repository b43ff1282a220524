// drivers/virt/net/switch.c, port.c, addresses.c, rate.c, pcap.c: who gets a frame, who does not,
// and what is counted.
#include "tests/unit/net_ports.h"

static void a_frame_goes_to_who_has_its_address(void **state)
{
    (void)state;
    for (unsigned length = 14; length <= 1514; length += 100) {
        assert_int_equal(send_to(0, mac_of(2), length), 1);
        assert_int_equal(last(2)->length, length);
        assert_memory_equal(last(2)->bytes, frame(), length);
        assert_true(card[2].is_shown);
        assert_got(BIT32(2));
    }
    assert_int_equal(card[2].interrupts, 16);
    assert_int_equal(card[2].port.received.frames, 16);
    assert_int_equal(card[0].port.sent.bytes, card[2].port.received.bytes);
    assert_int_equal(card[2].port.received.bytes, 16 * (14 + 1514) / 2);
    assert_int_equal(all_dropped(0) + all_dropped(2), 0);
}

static void groups_get_one_each(void **state)
{
    (void)state;
    send_to(1, BROADCAST, 60);
    assert_got(0x3d);
    send_to(1, GROUP, 60);
    assert_got(0x3d);
    // No more of it than a piece allows, and goes on where it was.
    make_frame(BROADCAST, mac_of(1), 1514);
    assert_int_equal(send_frame(1, 1514, 0, 1), 5); // one a piece
    assert_got(0x3d);
}

static void what_no_port_has_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(send_to(0, OUTSIDE, 60), 0);
    assert_int_equal(dropped(0, NET_DROP_UNKNOWN), 1);
    assert_int_equal(send_to(0, mac_of(0), 60), 0); // to itself
    assert_int_equal(dropped(0, NET_DROP_UNKNOWN), 2);
    assert_got(0);
}

static void a_source_is_the_ports(void **state)
{
    (void)state;
    make_frame(mac_of(1), mac_of(2), 60);
    assert_int_equal(send_frame(0, 60, 0, 1000), 0);
    assert_int_equal(dropped(0, NET_DROP_SOURCE), 1);
    make_frame(mac_of(1), BROADCAST, 60);
    assert_int_equal(send_frame(0, 60, 0, 1000), 0);
    assert_int_equal(dropped(0, NET_DROP_SOURCE), 2);
    assert_got(0);
}

static void lengths_have_bounds(void **state)
{
    (void)state;
    assert_int_equal(send_to(0, mac_of(1), 13), 0);
    assert_int_equal(send_to(0, mac_of(1), 1515), 0);
    assert_int_equal(send_to(0, mac_of(1), NET_LENGTH_MAX + 1), 0);
    assert_int_equal(dropped(0, NET_DROP_LENGTH), 3);
    lan.mtu = 9000;
    assert_int_equal(send_to(0, mac_of(1), 9014), 1);
    assert_int_equal(send_to(0, mac_of(1), 9015), 0);
    assert_got(2);
}

static void isolate(void)
{
    card[0].port.is_isolated = card[1].port.is_isolated = true;
}

static void isolated_ports_do_not_meet(void **state)
{
    (void)state;
    plug_cards(isolate);
    send_to(0, mac_of(1), 60);
    assert_int_equal(dropped(0, NET_DROP_ISOLATED), 1);
    assert_got(0);
    send_to(0, mac_of(2), 60);
    assert_got(4);
    send_to(2, mac_of(0), 60);
    assert_got(1);
    send_to(0, BROADCAST, 60);
    assert_got(0x3c);
}

// ---- VLANs ----

static void carry(struct net_port *port, unsigned vlan)
{
    port->is_trunk = true;
    port->trunk[vlan / 64] |= BIT(vlan % 64);
}

// 0 and 1: access to 10. 2: trunk of 10, 20, untagged plain. 3: access to 20. 4: trunk of 10 with
// native 20. 5: plain.
static void divide(void)
{
    card[0].port.vlan = card[1].port.vlan = 10;
    carry(&card[2].port, 10);
    carry(&card[2].port, 20);
    card[3].port.vlan = 20;
    carry(&card[4].port, 10);
    card[4].port.vlan = 20;
}

static void tag_frame(unsigned tag)
{
    frame()[12] = 0x81;
    frame()[13] = 0;
    frame()[14] = (uint8_t)(tag >> 8);
    frame()[15] = (uint8_t)tag;
}

static void assert_tag(unsigned number, unsigned tag, unsigned length)
{
    const struct kept *got = last(number);
    assert_int_equal(got->length, length);
    if (tag)
        assert_true(got->bytes[12] == 0x81 && got->bytes[13] == 0 &&
                    (got->bytes[14] << 8 | got->bytes[15]) == (int)tag);
    else
        assert_int_not_equal(got->bytes[12], 0x81);
}

static void vlans_are_apart(void **state)
{
    (void)state;
    plug_cards(divide);
    send_to(0, BROADCAST, 1514);
    assert_tag(1, 0, 1514);
    assert_memory_equal(last(1)->bytes, frame(), 1514);
    assert_tag(2, 10, 1518);
    assert_memory_equal(last(2)->bytes, frame(), 12);
    assert_memory_equal(last(2)->bytes + 16, frame() + 12, 1502);
    assert_tag(4, 10, 1518);
    assert_got(0x16);
    make_frame(BROADCAST, mac_of(2), 1518);
    tag_frame(0xa014); // 20 with priority 5
    assert_int_equal(send_frame(2, 1518, 0, 1 << 20), 1);
    assert_tag(3, 0, 1514);
    assert_memory_equal(last(3)->bytes + 12, frame() + 16, 1502);
    assert_tag(4, 0, 1514);
    assert_got(0x18);
    make_frame(mac_of(4), mac_of(2), 60);
    tag_frame(0x600a);
    assert_int_equal(send_frame(2, 60, 0, 1000), 1);
    assert_tag(4, 0x600a, 60); // the priority stays
    assert_memory_equal(last(4)->bytes, frame(), 60);
    assert_got(0x10);
    send_to(2, BROADCAST, 60); // without a tag
    assert_got(0x20);
    send_to(5, mac_of(0), 60);
    assert_int_equal(dropped(5, NET_DROP_VLAN), 1);
    assert_got(0);
}

static void tags_are_for_trunks(void **state)
{
    (void)state;
    static const struct {
        unsigned from, tag;
        bool passes;
    } cases[] = {{0, 10, false},    {5, 10, false}, {2, 30, false}, {2, 4095, false},
                 {0, 0xe000, true}, {4, 20, true},  {4, 10, true}};
    plug_cards(divide);
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        make_frame(BROADCAST, mac_of(cases[i].from), 60);
        tag_frame(cases[i].tag);
        assert_int_equal(send_frame(cases[i].from, 60, 0, 1 << 20) > 0, cases[i].passes);
    }
    assert_int_equal(dropped(0, NET_DROP_VLAN) + dropped(5, NET_DROP_VLAN), 2);
    assert_int_equal(dropped(2, NET_DROP_VLAN), 2);
}

// A frame of 10 with a tag of 20 behind that of its priority: a trunk whose own VLAN is 10 would
// take it for one of 20.
static void native_ten(void)
{
    divide();
    card[2].port.vlan = 10;
}

static void a_tag_behind_a_tag_leads_nowhere(void **state)
{
    (void)state;
    plug_cards(native_ten);
    make_frame(BROADCAST, mac_of(0), 64);
    tag_frame(0);
    frame()[16] = 0x81;
    frame()[17] = 0;
    frame()[18] = 0;
    frame()[19] = 20;
    assert_int_equal(send_frame(0, 64, 0, 1 << 20), 1);
    assert_got(0x12); // an access port has it, and a trunk behind a tag of 10
    assert_int_equal(dropped(2, NET_DROP_TO_TAG), 1);
}

// ---- uplinks ----

static void lead_out(void)
{
    card[4].port.is_uplink = card[5].port.is_uplink = true;
}

static void learn(unsigned number, uint64_t address)
{
    make_frame(mac_of(0), address, 60);
    assert_int_equal(send_frame(number, 60, 0, 1000), 1);
    assert_got(1);
}

static void what_is_unknown_lies_behind_an_uplink(void **state)
{
    (void)state;
    plug_cards(lead_out);
    send_to(0, OUTSIDE, 60);
    assert_got(0x30);
    learn(5, OUTSIDE);
    send_to(0, OUTSIDE, 60);
    assert_got(0x20);
    learn(4, OUTSIDE); // it moved
    send_to(0, OUTSIDE, 60);
    assert_got(0x10);
    time_now += 299ULL * 1000000000;
    send_to(0, OUTSIDE, 60);
    assert_got(0x10);
    time_now += 3ULL * 1000000000;
    send_to(0, OUTSIDE, 60); // forgotten
    assert_got(0x30);
    make_frame(OUTSIDE, OUTSIDE + 2, 60);
    assert_int_equal(send_frame(4, 60, 0, 1 << 20), 1);
    assert_got(0x20);
}

static void nobody_outside_is_a_vm(void **state)
{
    (void)state;
    plug_cards(lead_out);
    make_frame(mac_of(0), mac_of(1), 60);
    assert_int_equal(send_frame(4, 60, 0, 1000), 0);
    assert_int_equal(dropped(4, NET_DROP_SOURCE), 1);
    make_frame(mac_of(0), BROADCAST, 60);
    assert_int_equal(send_frame(4, 60, 0, 1000), 0);
    send_to(0, mac_of(1), 60);
    assert_got(2);
}

// More addresses than there is room for: the oldest go, those of VMs stay.
static void many_addresses_are_borne(void **state)
{
    (void)state;
    plug_cards(lead_out);
    for (uint64_t i = 1; i <= 20000; i++) {
        time_now += 1000000;
        make_frame(mac_of(0), i << 8 | 2, 60);
        assert_int_equal(send_frame(5, 60, 0, 1000), 1);
    }
    card[0].count = 0;
    send_to(0, 20000 << 8 | 2, 60);
    assert_got(0x20);
    send_to(0, 1 << 8 | 2, 60);
    assert_got(0x30);
    for (unsigned i = 1; i < PORTS; i++) {
        send_to(0, mac_of(i), 60);
        assert_got(BIT32(i));
    }
}

// A set that is full of VMs takes no more, and keeps those.
static void known_addresses_stay(void **state)
{
    (void)state;
    static struct net_addresses all;
    bool is_in[4000];
    unsigned refused = 0;
    memset(&all, 0, sizeof(all));
    for (unsigned i = 0; i < ARRAY_LENGTH(is_in); i++) {
        uint64_t address = 0x5452 | (uint64_t)i << 32;
        is_in[i] = net_address_put(&all, address, i % NET_PORTS, NET_ADDRESS_KNOWN);
        refused += !is_in[i];
    }
    assert_in_range(refused, ARRAY_LENGTH(is_in) - 2048, ARRAY_LENGTH(is_in) - 1);
    for (unsigned i = 0; i < ARRAY_LENGTH(is_in); i++) {
        uint32_t seen;
        unsigned port = net_address_find(&all, 0x5452 | (uint64_t)i << 32, &seen);
        assert_int_equal(port, is_in[i] ? i % NET_PORTS : NET_NOWHERE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_frame_goes_to_who_has_its_address, plain),
        cmocka_unit_test_setup(groups_get_one_each, plain),
        cmocka_unit_test_setup(what_no_port_has_is_dropped, plain),
        cmocka_unit_test_setup(a_source_is_the_ports, plain),
        cmocka_unit_test_setup(lengths_have_bounds, plain),
        cmocka_unit_test(isolated_ports_do_not_meet),
        cmocka_unit_test(vlans_are_apart),
        cmocka_unit_test(tags_are_for_trunks),
        cmocka_unit_test(a_tag_behind_a_tag_leads_nowhere),
        cmocka_unit_test(what_is_unknown_lies_behind_an_uplink),
        cmocka_unit_test(nobody_outside_is_a_vm),
        cmocka_unit_test(many_addresses_are_borne),
        cmocka_unit_test(known_addresses_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
