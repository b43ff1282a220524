// A switch with ports whose devices keep what they receive, and a sender's memory with a frame.
#pragma once

#include "tests/unit/support.h"

#include "drivers/virt/net/pcap.h"
#include "drivers/virt/net/switch.h"

#define PORTS    6
#define KEPT     64
#define FRAME_AT 0x1001 // at an odd address

struct kept {
    uint32_t length;
    struct net_offload offload;
    uint8_t bytes[NET_LENGTH_MAX];
};

// A device of a test.
struct card {
    struct net_port port;
    uint32_t accepts;
    bool wants_none, has_no_buffers, is_up, is_shown;
    unsigned announced, interrupts, count;
};

static struct net_switch lan;
static struct card card[PORTS];
static struct kept kept[PORTS][KEPT];
static uint64_t time_now;
static unsigned windows; // that are open
static const struct net_port *opened_from, *opened_to;

static struct gmem sender, beside;
static struct gmem_piece sender_pieces[1];
static _Alignas(4096) uint8_t sender_ram[0x20000];
static struct virtio_chain chain;
static struct net_packet packet;
static struct net_offload offload;

static uint64_t now(void)
{
    return time_now;
}

static void open_window(struct net_port *from, struct net_port *to)
{
    assert_int_equal(windows++, 0);
    opened_from = from;
    opened_to = to;
}

static void close_window(struct net_port *from, struct net_port *to)
{
    assert_int_equal(windows--, 1);
    assert_true(from == opened_from && to == opened_to);
}

static bool wants(void *device, const struct net_packet *of, bool is_tagged, uint32_t *accepts)
{
    const struct card *to = device;
    *accepts = to->accepts;
    assert_int_equal(windows, 0);
    return !to->wants_none && net_packet_length(of) && (!is_tagged || of->vlan);
}

static bool receive(void *device, struct net_packet *from)
{
    struct card *to = device;
    struct kept *place = &kept[to - card][to->count % KEPT];
    assert_int_equal(windows, 1);
    assert_ptr_equal(from->memory, &beside);
    if (to->has_no_buffers)
        return false;
    place->length = net_packet_length(from);
    place->offload = from->offload;
    assert_true(net_packet_read(from, 0, place->bytes, place->length));
    to->count++;
    to->is_shown = false;
    return true;
}

static void show(void *device)
{
    assert_int_equal(windows, 1);
    ((struct card *)device)->is_shown = true;
}

static void interrupt(void *device)
{
    assert_int_equal(windows, 0);
    ((struct card *)device)->interrupts++;
}

static void link_changed(void *device, bool is_up)
{
    ((struct card *)device)->is_up = is_up;
}

static void announce(void *device)
{
    ((struct card *)device)->announced++;
}

static const struct net_device_class card_class = {wants,     receive,      show,
                                                   interrupt, link_changed, announce};

static inline uint64_t mac_of(unsigned number)
{
    return 0x000000005452ULL | (uint64_t)(number + 1) << 40;
}

static inline void connect_card(unsigned number)
{
    net_port_connect(&card[number].port, &card_class, &card[number], NULL, &beside);
}

// Ports 0 to PORTS - 1; `prepare` may say what they are.
static inline void plug_cards(void (*prepare)(void))
{
    static const struct net_host host = {now, open_window, close_window};
    static const char *const names[PORTS] = {"a", "b", "c", "d", "e", "f"};
    struct explanation why;
    memset(&lan, 0, sizeof(lan));
    memset(card, 0, sizeof(card));
    memset(sender_pieces, 0, sizeof(sender_pieces));
    lan.name = "lan";
    lan.host = &host;
    time_now = 1700000000123456789;
    gmem_init(&sender, sender_pieces, 1);
    gmem_add(&sender, gpa(0), sender_ram, sizeof(sender_ram));
    gmem_beside(&beside, &sender, 0);
    offload = (struct net_offload){0};
    for (unsigned i = 0; i < PORTS; i++)
        card[i].port = (struct net_port){.name = names[i], .mac = mac_of(i)};
    if (prepare)
        prepare();
    for (unsigned i = 0; i < PORTS; i++) {
        assert_int_equal(net_port_add(&lan, &card[i].port, &why), STATUS_OK);
        connect_card(i);
    }
}

// ---- frames ----

static inline uint8_t *frame(void)
{
    return sender_ram + FRAME_AT + NET_OFFLOAD;
}

static inline void put_mac(uint8_t *at, uint64_t mac)
{
    memcpy(at, &mac, 6);
}

// Of no protocol, filled.
static inline void make_frame(uint64_t to, uint64_t from, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        frame()[i] = (uint8_t)(i * 7 + 3);
    put_mac(frame(), to);
    put_mac(frame() + 6, from);
    frame()[12] = 0x88;
    frame()[13] = 0xb5;
}

// In segments of that size, across its header.
static inline void make_chain(unsigned length, unsigned segment)
{
    memcpy(sender_ram + FRAME_AT, &offload, sizeof(offload));
    chain.out = chain.in = 0;
    chain.out_bytes = NET_OFFLOAD + length;
    for (unsigned at = 0; at < chain.out_bytes; at += segment)
        chain.segment[chain.out++] =
            (struct virtio_segment){gpa(FRAME_AT + at), MIN(segment, chain.out_bytes - at)};
}

// Returns how many pieces of work of `piece` bytes it took; 0: it was dropped at once.
static inline unsigned send_frame(unsigned from, unsigned length, uint64_t features, uint64_t piece)
{
    unsigned pieces = 0;
    make_chain(length, length > 4000 ? 4000 : 100);
    if (!net_packet_take(&packet, &sender, &chain)) {
        net_drop(&card[from].port, NET_DROP_LENGTH);
        return 0;
    }
    if (!net_send(&card[from].port, &packet, features))
        return 0;
    for (bool is_done = false; !is_done; pieces++) {
        uint64_t left = piece;
        assert_true(pieces < 10000);
        is_done = net_send_on(&card[from].port, &packet, &left);
    }
    return pieces;
}

static inline unsigned send_to(unsigned from, uint64_t to, unsigned length)
{
    make_frame(to, card[from].port.address, length);
    return send_frame(from, length, 0, 1 << 20);
}

static inline uint64_t dropped(unsigned number, enum net_drop reason)
{
    return card[number].port.dropped[reason];
}

// Of all reasons.
static inline uint64_t all_dropped(unsigned number)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NET_DROPS; i++)
        sum += dropped(number, i);
    return sum;
}

static inline struct kept *last(unsigned number)
{
    assert_true(card[number].count > 0);
    return &kept[number][(card[number].count - 1) % KEPT];
}

// ---- tests ----

#define BROADCAST 0xffffffffffffULL
#define GROUP     0x0100005e0001ULL // its first byte is 01
#define OUTSIDE   0x998877665544ULL

static inline int plain(void **state)
{
    (void)state;
    plug_cards(NULL);
    return 0;
}

// Whether exactly these ports got a frame since; then they have none.
static inline void assert_got(unsigned ports)
{
    for (unsigned i = 0; i < PORTS; i++) {
        if (card[i].count != (ports >> i & 1))
            fail_msg("port %u got %u", i, card[i].count);
        card[i].count = 0;
    }
    assert_int_equal(windows, 0);
}
