// A switch whose ports are what the input says, and any frames, in any pieces, from memory that
// changes while they are carried. A port gets only what it may: from a port that it is not isolated
// from, in a VLAN of its own, from a source that is the sender's, not longer than the network
// allows, with nothing left to do that its driver does not take, and never what it sent itself.

#include <string.h>

#include "drivers/virt/net/pcap.h"
#include "drivers/virt/net/switch.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"

#define PORTS     4
#define RAM_BYTES (160 << 10)
#define MTU       1500
#define PIECE     20000
#define WORK                                                                                       \
    2000 // pieces, after which an input has no more: a frame in segments of a byte has many

static struct net_switch lan;
static struct net_port ports[PORTS];
static uint32_t accepts[PORTS];
static unsigned sender, received, work;
static uint64_t host_time;
static struct gmem memory, beside;
static struct gmem_piece piece;
static _Alignas(4096) uint8_t ram[RAM_BYTES];
static uint8_t copy[NET_LENGTH_MAX + NET_TAG];
static struct virtio_chain chain;
static struct net_packet packet;
static struct input input;

// A byte of the sender's that changes when so many blocks of the switch's code have run (fuzz.mk).
static unsigned blocks, change_at;
static uint8_t change_to;

void __wrap___sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize("coverage"))) void __wrap___sanitizer_cov_trace_pc(void)
{
    if (blocks && --blocks == 0)
        ram[change_at] = change_to;
}

static uint64_t now(void)
{
    return host_time;
}

static void window(struct net_port *from, struct net_port *to)
{
    require(from == &ports[sender] && to != from);
}

static bool has_vlan(const struct net_port *port, unsigned vlan, bool is_tagged)
{
    return is_tagged ? port->is_trunk && port->trunk[vlan / 64] >> vlan % 64 & 1
                     : vlan == port->vlan;
}

static bool wants(void *device, const struct net_packet *of, bool is_tagged, uint32_t *takes)
{
    const struct net_port *to = device;
    *takes = accepts[to->number];
    require(has_vlan(to, of->vlan, is_tagged));
    require(has_vlan(&ports[sender], of->vlan, true) || has_vlan(&ports[sender], of->vlan, false));
    return take(&input, 1) != 1;
}

static bool receive(void *device, struct net_packet *from)
{
    const struct net_port *to = device;
    uint32_t takes = accepts[to->number], length = net_packet_length(from);
    const struct net_offload *offload = &from->offload;
    uint32_t tag = from->is_tagged ? NET_TAG : 0;
    received++;
    require(length <= NET_LENGTH_MAX + NET_TAG && length >= NET_ETHERNET);
    require(net_packet_read(from, 0, copy, length));
    require(!net_packet_read(from, 1, copy, length));
    uint64_t source = get64(copy + 6) & BITS(47, 0), target = get64(copy) & BITS(47, 0);
    require(ports[sender].is_uplink || source == ports[sender].address);
    require(to->is_uplink || net_is_group(target) || target == to->address);
    require(!(to->is_isolated && ports[sender].is_isolated));
    require(!offload->kind || length > from->head);
    require((offload->kind ? from->head + offload->segment : length) <= MTU + NET_ETHERNET + tag ||
            length <= MTU + NET_ETHERNET + tag);
    require(!(offload->flags & ~NET_NEEDS_SUM) && (!offload->kind || offload->flags));
    require(!offload->flags || ((takes & NET_ACCEPTS_SUM) &&
                                offload->sum_start + offload->sum_offset + 2U <= from->head));
    if (offload->kind)
        require(takes & ((offload->kind & ~NET_KIND_ECN) == NET_KIND_TCP4 ? NET_ACCEPTS_TCP4
                                                                          : NET_ACCEPTS_TCP6));
    return take(&input, 1) != 1;
}

static void nothing(void *device)
{
    require(device != &ports[sender]);
}

static void link_changed(void *device, bool is_up)
{
    (void)device, (void)is_up;
}

static void record(struct net_capture *capture, const uint8_t *header,
                   const struct net_packet *from, uint32_t captured)
{
    require(captured <= capture->snap && get32(header + 8) == captured);
    require(net_packet_read(from, 0, copy, captured));
}

static void make_ports(void)
{
    static const struct net_device_class class = {wants,   receive,      nothing,
                                                  nothing, link_changed, nothing};
    struct explanation why;
    memset(ports, 0, sizeof(ports));
    for (unsigned i = 0; i < PORTS; i++) {
        unsigned kind = (unsigned)take(&input, 2);
        struct net_port *port = &ports[i];
        port->name = "port";
        port->mac = 0x5452 | (uint64_t)(i + 1) << 40;
        port->is_isolated = kind & 1;
        port->is_uplink = (kind & 6) == 6;
        port->is_trunk = kind & 8;
        port->vlan = kind >> 4 & 3;
        port->trunk[0] = kind >> 8 & 6;
        port->may_change_mac = true;
        accepts[i] = (kind >> 6 & 1 ? NET_ACCEPTS_SUM : 0);
        if (accepts[i] && (kind & 0x80))
            accepts[i] |= (kind >> 8 & 1 ? NET_ACCEPTS_TCP4 : 0) |
                          (kind >> 11 & 1 ? NET_ACCEPTS_TCP6 : 0) |
                          (kind >> 12 & 1 ? NET_ACCEPTS_ECN : 0);
        if (kind & 0x8000)
            net_rate_set(&port->flooded, 1000, 3);
        require(net_port_add(&lan, port, &why) == STATUS_OK);
        net_port_connect(port, &class, port, NULL, &beside);
    }
}

// Of a shape that gets through, but for what the input changes.
static uint32_t make_frame(void)
{
    unsigned kind = (unsigned)take(&input, 2), at = 0x1000;
    uint32_t length = (uint32_t)take(&input, 2) + 1;
    struct net_offload offload = {.flags = kind & 1,
                                  .kind = (uint8_t)(kind & 2 ? 1 + (kind >> 2 & 3) : 0),
                                  .segment = (uint16_t)take(&input, 2),
                                  .sum_start = kind & 8 ? 54 : 34,
                                  .sum_offset = kind & 0x10 ? 6 : 16};
    if (kind & 0x20)
        offload.kind |= NET_KIND_ECN;
    memcpy(ram + at, &offload, sizeof(offload));
    uint8_t *frame = ram + at + NET_OFFLOAD;
    put64(frame, kind & 0x40 ? ~0ULL : ports[kind >> 8 & 3].address);
    put64(frame + 6, ports[sender].address);
    unsigned tag = kind & 0x80 ? NET_TAG : 0;
    if (tag)
        put32(frame + 12, 0x81 | (uint32_t)(kind >> 10 & 3) << 24);
    if (offload.kind && tag)
        put16(ram + at + 6, (uint16_t)(offload.sum_start + tag));
    put32(frame + 12 + tag, kind & 8 ? 0x60dd86 : 0x450008);
    frame[23 + tag] = 6;
    frame[(kind & 8 ? 66 : 46) + tag] = 0x50;
    for (unsigned changes = (unsigned)take(&input, 1) & 3; changes; changes--)
        ram[at + take(&input, 1)] = (uint8_t)take(&input, 1);
    return length;
}

static void send(void)
{
    uint32_t length = make_frame(), part;
    chain.out = chain.in = 0;
    chain.out_bytes = NET_OFFLOAD + length;
    uint32_t size = (uint32_t)take(&input, 1) * 16 + 1;
    for (uint64_t at = 0; at < chain.out_bytes; at += part) {
        part = (uint32_t)MIN(size, chain.out_bytes - at);
        if (chain.out == VIRTQUEUE_SIZE - 1)
            part = (uint32_t)(chain.out_bytes - at);
        chain.segment[chain.out++] = (struct virtio_segment){gpa(0x1000 + at), part};
    }
    struct net_port *from = &ports[sender];
    blocks = (unsigned)take(&input, 1);
    change_at = 0x1000 + (unsigned)take(&input, 1);
    change_to = (uint8_t)take(&input, 1);
    if (!net_packet_take(&packet, &memory, &chain) || !net_send(from, &packet, take(&input, 2)))
        return;
    for (unsigned pieces = 0;; pieces++, work++) {
        uint64_t left = PIECE;
        unsigned before = received;
        bool is_done = net_send_on(from, &packet, &left);
        require(received - before <= PIECE / NET_FRAME_COST + 1);
        require(pieces <= (PORTS - 1) * NET_LENGTH_MAX); // of a byte each, to every other port
        for (unsigned i = 0; i < PORTS; i++)
            require(ports[i].lock.next == ports[i].lock.serving);
        if (is_done || work > WORK)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct net_host host = {now, window, window};
    static struct net_capture capture = {.snap = 200, .record = record};
    input = (struct input){data, size};
    memset(&lan, 0, sizeof(lan));
    memset(ram, 0, sizeof(ram));
    lan.name = "fuzz";
    lan.host = &host;
    host_time = 1700000000000000000;
    piece = (struct gmem_piece){0};
    gmem_init(&memory, &piece, 1);
    gmem_add(&memory, gpa(0), ram, RAM_BYTES);
    gmem_beside(&beside, &memory, 0);
    make_ports();
    work = 0;
    while (input.left > 0 && work < WORK) {
        unsigned what = (unsigned)take(&input, 1);
        sender = what & 3;
        host_time += (uint64_t)what << 22;
        if (what >> 2 < 2)
            net_port_set_link(&ports[sender], what & 4);
        else if (what >> 2 < 4)
            (void)net_port_set_address(&ports[sender], take(&input, 6));
        else if (what >> 2 < 6)
            net_port_capture(&ports[sender], what & 4 ? &capture : NULL);
        else
            send();
    }
    return 0;
}
