// drivers/virt/net/offload.c: checksums and segments for receivers that do not take a frame as it
// was sent, by code that does the same byte by byte.
#include "tests/unit/net_ports.h"

#define SUM  BIT(0)
#define TSO4 BIT(11)
#define TSO6 BIT(12)
#define ECN  BIT(13)
#define ALL  (SUM | TSO4 | TSO6 | ECN)

enum { UDP = 17, TCP = 6 };

// ---- the other code ----

static unsigned be16(const uint8_t *at)
{
    return (unsigned)(at[0] << 8 | at[1]);
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)be16(at) << 16 | be16(at + 2);
}

static void put_be16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static unsigned words(unsigned sum, const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        sum += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

// Of pseudo header and all that follows the IP header (of `skip` more bytes): ffff if it is right.
static unsigned transport_sum(const uint8_t *ip, unsigned length, unsigned skip, unsigned protocol)
{
    bool is_6 = ip[0] >> 4 == 6;
    unsigned header = (is_6 ? 40U : (ip[0] & 15U) * 4) + skip;
    unsigned sum = words(0, ip + (is_6 ? 8 : 12), is_6 ? 32 : 8);
    sum += protocol + (length - header);
    sum = (sum & 0xffff) + (sum >> 16);
    return words(sum, ip + header, length - header);
}

// ---- frames ----

static struct shape {
    unsigned version, options, protocol, payload;
} shape;

static unsigned network_bytes(void)
{
    return shape.version == 4 ? 20 + shape.options : 40 + shape.options;
}

static unsigned transport_bytes(void)
{
    return shape.protocol == TCP ? 32 : 8; // TCP with a time stamp
}

static unsigned headers(void)
{
    return NET_ETHERNET + network_bytes() + transport_bytes();
}

static void make_ip(uint8_t *ip, unsigned length)
{
    memset(ip, 0, network_bytes());
    if (shape.version == 4) {
        ip[0] = (uint8_t)(0x40 | network_bytes() / 4);
        put_be16(ip + 2, length);
        put_be16(ip + 4, 0xfffe); // its number runs over
        ip[8] = 64;
        ip[9] = (uint8_t)shape.protocol;
        for (unsigned i = 12; i < 20; i++)
            ip[i] = (uint8_t)(i * 29);
        put_be16(ip + 10, ~words(0, ip, network_bytes()) & 0xffff);
    } else {
        ip[0] = 0x60;
        put_be16(ip + 4, length - 40);
        ip[6] = shape.options ? 0 : (uint8_t)shape.protocol; // hop-by-hop in front
        ip[7] = 64;
        for (unsigned i = 8; i < 40; i++)
            ip[i] = (uint8_t)(i * 31);
        if (shape.options) {
            ip[40] = (uint8_t)shape.protocol;
            ip[41] = (uint8_t)(shape.options / 8 - 1);
        }
    }
}

// As a driver leaves it: the pseudo header's sum in the field. Returns its length.
static unsigned make_packet(struct shape of, uint64_t to, unsigned segment, bool is_ecn)
{
    shape = of;
    unsigned length = headers() + shape.payload, at = NET_ETHERNET + network_bytes();
    make_frame(to, mac_of(0), length);
    uint8_t *ip = frame() + NET_ETHERNET, *transport = frame() + at;
    put_be16(frame() + 12, shape.version == 4 ? 0x0800 : 0x86dd);
    make_ip(ip, length - NET_ETHERNET);
    unsigned field = shape.protocol == TCP ? 16 : 6;
    if (shape.protocol == TCP) {
        transport[12] = 0x80;
        transport[13] = 0x80 | 0x18 | 0x01; // CWR, ACK, PSH, FIN
    }
    bool is_6 = shape.version == 6;
    unsigned sum = words(0, ip + (is_6 ? 8 : 12), is_6 ? 32 : 8) + shape.protocol + (length - at);
    put_be16(transport + field, (sum & 0xffff) + (sum >> 16));
    offload = (struct net_offload){.flags = NET_NEEDS_SUM,
                                   .sum_start = (uint16_t)at,
                                   .sum_offset = (uint16_t)field,
                                   .segment = (uint16_t)segment};
    if (segment)
        offload.kind =
            (uint8_t)((is_6 ? NET_KIND_TCP6 : NET_KIND_TCP4) | (is_ecn ? NET_KIND_ECN : 0));
    return length;
}

// ---- sums ----

static void assert_sums(const struct kept *got, unsigned tag)
{
    const uint8_t *ip = got->bytes + NET_ETHERNET + tag;
    unsigned length = got->length - NET_ETHERNET - tag;
    assert_int_equal(got->offload.flags | got->offload.kind, 0);
    if (shape.version == 4) {
        assert_int_equal(words(0, ip, network_bytes()), 0xffff);
        assert_int_equal(be16(ip + 2), length);
    } else {
        assert_int_equal(be16(ip + 4), length - 40);
    }
    assert_int_equal(
        transport_sum(ip, length, shape.version == 6 ? shape.options : 0, shape.protocol), 0xffff);
}

static void sums_are_done_for_who_takes_none(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4 * 300; i++) {
        unsigned length = make_packet(
            (struct shape){i & 1 ? 4 : 6, i % 3 * 8, i & 2 ? TCP : UDP, i}, mac_of(1), 0, false);
        assert_int_equal(send_frame(0, length, SUM, 1 << 20), 1);
        assert_int_equal(last(1)->length, length);
        assert_sums(last(1), 0);
        // But for the field it is what was sent.
        unsigned field = offload.sum_start + offload.sum_offset;
        assert_memory_equal(last(1)->bytes, frame(), field);
        assert_memory_equal(last(1)->bytes + field + 2, frame() + field + 2, length - field - 2);
    }
    assert_int_equal(all_dropped(0) + all_dropped(1), 0);
}

// UDP's sum is never zero.
static void a_sum_of_zero_is_written_as_ones(void **state)
{
    (void)state;
    unsigned length = make_packet((struct shape){4, 0, UDP, 32}, mac_of(1), 0, false);
    uint8_t *payload = frame() + headers();
    memset(payload, 0, 32);
    put_be16(payload, ~words(0, frame() + 34, length - 34) & 0xffff);
    assert_int_equal(send_frame(0, length, SUM, 1000), 1);
    assert_int_equal(be16(last(1)->bytes + 40), 0xffff);
    assert_sums(last(1), 0);
}

static void who_takes_them_gets_them_as_they_are(void **state)
{
    (void)state;
    card[1].accepts = NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4 | NET_ACCEPTS_TCP6;
    unsigned length = make_packet((struct shape){4, 0, TCP, 60000}, mac_of(1), 1448, false);
    offload.flags |= 0xfe; // what is no sender's
    offload.headers = 77;
    offload.buffers = 9;
    assert_int_equal(send_frame(0, length, ALL, 1 << 20), 1);
    assert_int_equal(card[1].count, 1);
    assert_int_equal(last(1)->length, length);
    assert_memory_equal(last(1)->bytes, frame(), length);
    assert_int_equal(last(1)->offload.flags, NET_NEEDS_SUM);
    assert_int_equal(last(1)->offload.kind, NET_KIND_TCP4);
    assert_int_equal(last(1)->offload.segment, 1448);
    assert_int_equal(last(1)->offload.headers, headers());
    assert_int_equal(last(1)->offload.sum_start, 34);
    assert_int_equal(last(1)->offload.sum_offset, 16);
}

// ---- segments ----

// What was kept since `from` is the frame cut into TCP segments.
static void assert_segments(unsigned number, unsigned segment, bool is_summed, unsigned tag)
{
    const uint8_t *tcp = frame() + NET_ETHERNET + network_bytes();
    unsigned count = (shape.payload + segment - 1) / segment, done = 0;
    assert_int_equal(card[number].count, count);
    for (unsigned i = 0; i < count; i++) {
        const struct kept *got = &kept[number][i % KEPT];
        unsigned part = MIN(segment, shape.payload - done), head = headers() + tag;
        const uint8_t *ip = got->bytes + NET_ETHERNET + tag, *at = ip + network_bytes();
        assert_int_equal(got->length, head + part);
        assert_memory_equal(got->bytes + head, frame() + headers() + done, part);
        assert_memory_equal(got->bytes, frame(), 12);
        assert_int_equal(be32(at + 4), (uint32_t)(be32(tcp + 4) + done));
        assert_memory_equal(at + 20, tcp + 20, 12);
        assert_int_equal(at[13], 0x10 | (i == 0 ? 0x80 : 0) | (i == count - 1 ? 0x09 : 0));
        if (shape.version == 4)
            assert_int_equal(be16(ip + 4), (0xfffe + i) & 0xffff);
        if (is_summed) {
            assert_sums(got, tag);
        } else {
            assert_int_equal(got->offload.flags, NET_NEEDS_SUM);
            assert_int_equal(got->offload.kind, NET_KIND_PLAIN);
            assert_int_equal(got->offload.sum_start, NET_ETHERNET + network_bytes() + tag);
        }
        done += part;
    }
}

static void long_frames_are_cut(void **state)
{
    (void)state;
    static const struct {
        struct shape shape;
        unsigned segment, accepts;
        bool is_ecn;
    } cases[] = {
        {{4, 0, TCP, 60000}, 1448, 0, false},
        {{4, 0, TCP, 60000}, 1448, NET_ACCEPTS_SUM, false},
        {{4, 8, TCP, 2881}, 1440, NET_ACCEPTS_SUM | NET_ACCEPTS_TCP6, false},
        {{4, 0, TCP, 2896}, 1448, NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4, true}, // ECN is not taken
        {{4, 0, TCP, 1}, 1448, 0, false},
        {{4, 0, TCP, 1001}, 501, 0, true},
        {{6, 0, TCP, 60001}, 1428, 0, false},
        {{6, 8, TCP, 9999}, 1111, NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4, false},
        {{6, 0, TCP, 33}, 1, 0, false},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        card[1].count = 0;
        card[1].accepts = cases[i].accepts;
        unsigned length = make_packet(cases[i].shape, mac_of(1), cases[i].segment, cases[i].is_ecn);
        assert_true(send_frame(0, length, ALL, 1 << 20) > 0);
        assert_segments(1, cases[i].segment, !(cases[i].accepts & NET_ACCEPTS_SUM), 0);
    }
    assert_int_equal(all_dropped(0) + all_dropped(1), 0);
}

static void cutting_goes_on_where_it_was(void **state)
{
    (void)state;
    unsigned length = make_packet((struct shape){6, 0, TCP, 60001}, mac_of(1), 1428, false);
    unsigned pieces = send_frame(0, length, ALL, 20000);
    assert_in_range(pieces, 10, 15);
    assert_segments(1, 1428, true, 0);
    assert_int_equal(card[1].interrupts, pieces);
}

static void tag_one(void)
{
    card[0].port.vlan = card[2].port.vlan = 7;
    card[1].port.is_trunk = true;
    card[1].port.trunk[0] = BIT(7);
}

// To everybody: one takes it whole, with a tag; one takes none of it; the frame is the same.
static void many_get_it_as_each_takes_it(void **state)
{
    (void)state;
    plug_cards(tag_one);
    card[1].accepts = NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4;
    unsigned length = make_packet((struct shape){4, 0, TCP, 4000}, 0xffffffffffffULL, 1448, false);
    assert_true(send_frame(0, length, ALL, 1 << 20) > 0);
    assert_int_equal(last(1)->length, length + 4);
    assert_int_equal(last(1)->offload.sum_start, 38);
    assert_memory_equal(last(1)->bytes + 16, frame() + 12, length - 12);
    assert_segments(2, 1448, true, 0);
    card[1].accepts = 0;
    card[1].count = 0;
    assert_true(send_frame(0, length, ALL, 1 << 20) > 0);
    assert_segments(1, 1448, true, 4);
    // From a trunk: the tag is in front of what is left to do.
    card[0].count = card[2].count = 0;
    length = make_packet((struct shape){4, 0, TCP, 3000}, mac_of(2), 1448, false);
    put_mac(frame() + 6, mac_of(1));
    memmove(frame() + 16, frame() + 12, length);
    memcpy(frame() + 12, "\x81\x00\x00\x07", 4);
    offload.sum_start += 4;
    assert_true(send_frame(1, length + 4, ALL, 1 << 20) > 0);
    memmove(frame() + 12, frame() + 16, length);
    assert_segments(2, 1448, true, 0);
}

// ---- what is no offload ----

static void what_does_not_fit_is_dropped(void **state)
{
    (void)state;
    static const struct {
        uint64_t features;
        struct net_offload offload; // what differs; sum_start and the like are added
        unsigned at, byte;          // ... of the frame
    } cases[] = {
        {0, {0}, 0, 0},                                   // no sums negotiated
        {SUM, {.segment = 100}, 0, 0},                    // no TSO
        {SUM | TSO6, {.segment = 100}, 0, 0},             // another's
        {ALL, {.kind = 3, .segment = 100}, 0, 0},         // UFO
        {ALL, {.kind = 5, .segment = 100}, 0, 0},         // USO
        {ALL, {.kind = 2, .segment = 100}, 0, 0},         // none
        {SUM | TSO4, {.kind = 0x81, .segment = 9}, 0, 0}, // ECN
        {ALL, {.kind = 4, .segment = 100}, 0, 0},         // IPv6 over IPv4
        {ALL, {.kind = 1, .segment = 0}, 0, 0},
        {ALL, {.kind = 1, .segment = 9, .sum_start = 1}, 0, 0},
        {ALL, {.kind = 1, .segment = 9, .sum_offset = 1}, 0, 0},
        {ALL, {.kind = 1, .segment = 9}, 14, 0x46}, // IP header's length
        {ALL, {.kind = 1, .segment = 9}, 14, 0x65}, // version
        {ALL, {.kind = 1, .segment = 9}, 12, 0x86}, // protocol of the frame
        {ALL, {.kind = 1, .segment = 9}, 23, UDP},
        {ALL, {.kind = 1, .segment = 9}, 46, 0x40}, // TCP header's length
        {ALL, {.kind = 1, .segment = 9}, 46, 0xf0}, // ... all there is
        {SUM, {.sum_start = 0xffff - 34}, 0, 0},
        {SUM, {.sum_offset = 0xffff - 16}, 0, 0},
        {SUM, {.sum_start = 41}, 0, 0}, // behind its end by a byte
    };
    card[1].accepts = NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4;
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        unsigned length = make_packet((struct shape){4, 0, TCP, 26}, mac_of(1), 0, false);
        offload.kind = cases[i].offload.kind;
        offload.segment = cases[i].offload.segment;
        if (cases[i].offload.segment && !offload.kind && cases[i].features != ALL)
            offload.kind = NET_KIND_TCP4;
        offload.sum_start = (uint16_t)(offload.sum_start + cases[i].offload.sum_start);
        offload.sum_offset = (uint16_t)(offload.sum_offset + cases[i].offload.sum_offset);
        if (cases[i].at)
            frame()[cases[i].at] = (uint8_t)cases[i].byte;
        if (send_frame(0, length, cases[i].features, 1 << 20) ||
            dropped(0, NET_DROP_OFFLOAD) != i + 1)
            fail_msg("case %u passed", i);
    }
    assert_int_equal(card[1].count, 0);
    // Segments without a sum; and segments that are too long for the network.
    unsigned length = make_packet((struct shape){4, 0, TCP, 3000}, mac_of(1), 1448, false);
    offload.flags = 0;
    assert_int_equal(send_frame(0, length, ALL, 1 << 20), 0);
    assert_int_equal(dropped(0, NET_DROP_OFFLOAD), ARRAY_LENGTH(cases) + 1);
    offload.flags = 1;
    offload.segment = 1449;
    assert_int_equal(send_frame(0, length, ALL, 1 << 20), 0);
    assert_int_equal(dropped(0, NET_DROP_LENGTH), 1);
}

static void longer_than_ip_is_refused(void **state)
{
    (void)state;
    card[1].accepts = NET_ACCEPTS_SUM | NET_ACCEPTS_TCP4;
    for (unsigned more = 0; more < 2; more++) {
        struct shape most = {4, 0, TCP, NET_LENGTH_MAX - 66 + more};
        unsigned length = make_packet(most, mac_of(1), 1448, false);
        assert_int_equal(send_frame(0, length, ALL, 1 << 20), !more);
    }
    assert_int_equal(dropped(0, NET_DROP_LENGTH), 1);
}

// What is behind what was copied cannot be written, nor relied on.
static void far_fields_are_refused(void **state)
{
    (void)state;
    make_frame(mac_of(1), mac_of(0), 1000);
    offload = (struct net_offload){.flags = 1, .sum_start = 200, .sum_offset = 54};
    assert_int_equal(send_frame(0, 1000, SUM, 1 << 20), 1);
    offload.sum_offset = 55;
    assert_int_equal(send_frame(0, 1000, SUM, 1 << 20), 0);
    assert_int_equal(dropped(0, NET_DROP_OFFLOAD), 1);
    for (unsigned more = 0; more < 2; more++) { // IPv6 with headers up to TCP's, which ends there
        make_frame(mac_of(1), mac_of(0), 1000);
        put_be16(frame() + 12, 0x86dd);
        frame()[14] = 0x60;
        frame()[200 + 12] = more ? 0xf0 : 0xe0;
        offload = (struct net_offload){1, NET_KIND_TCP6, 0, 500, 200, 16, 0};
        assert_int_equal(send_frame(0, 1000, ALL, 1 << 20), !more);
    }
    assert_int_equal(dropped(0, NET_DROP_OFFLOAD), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sums_are_done_for_who_takes_none, plain),
        cmocka_unit_test_setup(a_sum_of_zero_is_written_as_ones, plain),
        cmocka_unit_test_setup(who_takes_them_gets_them_as_they_are, plain),
        cmocka_unit_test_setup(long_frames_are_cut, plain),
        cmocka_unit_test_setup(cutting_goes_on_where_it_was, plain),
        cmocka_unit_test_setup(many_get_it_as_each_takes_it, plain),
        cmocka_unit_test_setup(what_does_not_fit_is_dropped, plain),
        cmocka_unit_test_setup(longer_than_ip_is_refused, plain),
        cmocka_unit_test_setup(far_fields_are_refused, plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
