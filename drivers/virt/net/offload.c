// What a sender left to do, done for a receiver that does not take it so: checksums and TCP
// segments. Called by the switch. RFC 1071: "Computing the Internet Checksum"; RFC 9293: "Header
// Format"; virtio specification: "Packet Transmission".
#include "drivers/virt/net/packet.h"

#define CHUNK 256 // bytes that are summed at once

#define TYPE_IP4 0x0800
#define TYPE_IP6 0x86dd
#define TCP      6
#define IP4_SIZE 20
#define IP6_SIZE 40
#define TCP_SIZE 20

// Offsets in headers.
enum { IP4_LENGTH = 2, IP4_ID = 4, IP4_PROTOCOL = 9, IP4_SUM = 10, IP4_ADDRESSES = 12 };
enum { IP6_LENGTH = 4, IP6_ADDRESSES = 8 };
enum { TCP_SEQUENCE = 4, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_SUM = 16 };

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

// ---- numbers in network order ----

static uint32_t get_be16(const uint8_t *from)
{
    return __builtin_bswap16(get16(from));
}

static void put_be16(uint8_t *to, uint32_t value)
{
    put16(to, __builtin_bswap16((uint16_t)value));
}

static void add_be32(uint8_t *at, uint32_t value)
{
    put32(at, __builtin_bswap32(__builtin_bswap32(get32(at)) + value));
}

// ---- sums ----
// Sums of 16-bit words in the order of memory, carries wrapped around; `sum` may be any number.

static uint64_t sum_add(uint64_t sum, uint64_t word)
{
    sum += word;
    return sum + (sum < word);
}

static uint64_t sum_bytes(uint64_t sum, const uint8_t *bytes, size_t size)
{
    uint64_t last = 0;
    for (; size >= 8; size -= 8, bytes += 8)
        sum = sum_add(sum, get64(bytes));
    memcpy(&last, bytes, size);
    return sum_add(sum, last);
}

// What goes into a checksum's field.
static uint16_t sum_end(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

// Of the frame from `offset` on.
static bool sum_rest(const struct net_packet *packet, uint32_t offset, uint64_t *sum)
{
    uint8_t bytes[CHUNK]; // an even number: each begins where a word does
    for (uint32_t part; offset < net_packet_length(packet); offset += part) {
        part = MIN(net_packet_length(packet) - offset, CHUNK);
        if (!net_packet_read(packet, offset, bytes, part))
            return false;
        *sum = sum_bytes(*sum, bytes, part);
    }
    return true;
}

// The field holds what does not lie behind sum_start: the sum of the pseudo header.
bool net_packet_sum(struct net_packet *packet)
{
    struct net_offload *offload = &packet->offload;
    uint64_t sum = 0;
    if (!(offload->flags & NET_NEEDS_SUM))
        return true;
    if (!sum_rest(packet, offload->sum_start, &sum))
        return false;
    uint16_t field = sum_end(sum); // UDP's zero would mean that there is none
    put16(net_packet_head(packet) + offload->sum_start + offload->sum_offset,
          field ? field : 0xffff);
    *offload = (struct net_offload){0};
    return true;
}

// ---- checks ----

static bool is_tcp4(const uint8_t *head, uint32_t transport)
{
    const uint8_t *ip = head + NET_ETHERNET;
    return get_be16(head + NET_ETHERNET - 2) == TYPE_IP4 && ip[0] >> 4 == 4 &&
           ip[IP4_PROTOCOL] == TCP && transport == NET_ETHERNET + (ip[0] & 15U) * 4 &&
           transport >= NET_ETHERNET + IP4_SIZE;
}

// Between IPv6 and TCP there may be headers, which each segment gets.
static bool is_tcp6(const uint8_t *head, uint32_t transport)
{
    return get_be16(head + NET_ETHERNET - 2) == TYPE_IP6 && head[NET_ETHERNET] >> 4 == 6 &&
           transport >= NET_ETHERNET + IP6_SIZE;
}

static bool is_tcp(uint8_t kind)
{
    kind &= (uint8_t)~NET_KIND_ECN;
    return kind == NET_KIND_TCP4 || kind == NET_KIND_TCP6;
}

static bool is_tcp4_kind(const struct net_packet *packet)
{
    return (packet->offload.kind & ~NET_KIND_ECN) == NET_KIND_TCP4;
}

// Bytes in front of TCP's own, by its header; the head holds that as far as its sum.
static uint32_t tcp_payload(const struct net_packet *packet)
{
    const uint8_t *head = packet->bytes + packet->start;
    uint32_t transport = packet->offload.sum_start;
    return transport + (head[transport + TCP_OFFSET] >> 4) * 4U;
}

static bool check_segments(struct net_packet *packet)
{
    struct net_offload *offload = &packet->offload;
    const uint8_t *head = net_packet_head(packet);
    uint32_t transport = offload->sum_start;
    if (!is_tcp(offload->kind) || !offload->segment || offload->sum_offset != TCP_SUM ||
        !(is_tcp4_kind(packet) ? is_tcp4(head, transport) : is_tcp6(head, transport)))
        return false;
    uint32_t payload = tcp_payload(packet);
    if (payload < transport + TCP_SIZE || payload >= packet->head + packet->rest ||
        payload > packet->head)
        return false;
    // The head ends where TCP's bytes begin: what is behind it is not looked at.
    packet->at -= packet->head - payload;
    packet->rest += packet->head - payload;
    packet->head = payload;
    offload->headers = (uint16_t)payload;
    return true;
}

bool net_packet_check(struct net_packet *packet, uint64_t features)
{
    // Features that let a driver leave sums and segments to the device.
    static const struct {
        uint8_t kind;
        uint64_t feature;
    } kinds[] = {{NET_KIND_TCP4, BIT(11)},
                 {NET_KIND_TCP6, BIT(12)},
                 {NET_KIND_TCP4 | NET_KIND_ECN, BIT(11) | BIT(13)},
                 {NET_KIND_TCP6 | NET_KIND_ECN, BIT(12) | BIT(13)}};
    const uint64_t sum_feature = BIT(0);
    struct net_offload *offload = &packet->offload;
    uint32_t field = offload->sum_start + (uint32_t)offload->sum_offset;
    bool has_kind = offload->kind == NET_KIND_PLAIN;
    offload->flags &= NET_NEEDS_SUM;
    if (!(offload->flags & NET_NEEDS_SUM)) {
        bool is_plain = offload->kind == NET_KIND_PLAIN; // segments need sums
        *offload = (struct net_offload){0};
        return is_plain;
    }
    for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++)
        has_kind |=
            kinds[i].kind == offload->kind && (features & kinds[i].feature) == kinds[i].feature;
    if (!(features & sum_feature) || !has_kind || offload->sum_start < NET_ETHERNET ||
        field + sizeof(uint16_t) > packet->head)
        return false;
    if (offload->kind != NET_KIND_PLAIN)
        return check_segments(packet);
    offload->headers = offload->segment = 0;
    return true;
}

uint32_t net_packet_longest(const struct net_packet *packet)
{
    uint32_t length = net_packet_length(packet);
    return packet->offload.kind ? MIN(length, packet->head + packet->offload.segment) : length;
}

// ---- segments ----

bool net_packet_is_long(const struct net_packet *packet, uint32_t accepts)
{
    uint8_t kind = packet->offload.kind;
    uint32_t needs = (is_tcp4_kind(packet) ? NET_ACCEPTS_TCP4 : NET_ACCEPTS_TCP6) |
                     (kind & NET_KIND_ECN ? NET_ACCEPTS_ECN : 0);
    return kind != NET_KIND_PLAIN && (accepts & needs) != needs;
}

// Length, number and sum of a segment's IP header.
static void cut_network(struct net_packet *segment, uint32_t number)
{
    uint8_t *ip = net_packet_head(segment) + NET_ETHERNET;
    uint32_t length = net_packet_length(segment) - NET_ETHERNET;
    uint32_t size = (ip[0] & 15U) * 4;
    if (!is_tcp4_kind(segment)) {
        put_be16(ip + IP6_LENGTH, length - IP6_SIZE);
        return;
    }
    put_be16(ip + IP4_LENGTH, length);
    put_be16(ip + IP4_ID, get_be16(ip + IP4_ID) + number);
    put16(ip + IP4_SUM, 0);
    put16(ip + IP4_SUM, sum_end(sum_bytes(0, ip, size)));
}

// Of addresses, protocol and length, as its field shall hold it before TCP itself is summed.
static uint16_t pseudo_header(const struct net_packet *segment)
{
    const uint8_t *ip = segment->bytes + segment->start + NET_ETHERNET;
    uint32_t length = net_packet_length(segment) - segment->offload.sum_start;
    uint8_t end[4] = {0, TCP};
    put_be16(end + 2, length);
    uint64_t sum = is_tcp4_kind(segment) ? sum_bytes(0, ip + IP4_ADDRESSES, 8)
                                         : sum_bytes(0, ip + IP6_ADDRESSES, 32);
    return (uint16_t)~sum_end(sum_bytes(sum, end, sizeof(end)));
}

void net_packet_cut(struct net_packet *packet, struct net_packet *segment)
{
    uint32_t done = packet->done, size = packet->offload.segment;
    *segment = *packet;
    segment->at += done;
    segment->rest = MIN(packet->rest - done, size);
    packet->done += segment->rest;
    uint8_t *tcp = net_packet_head(segment) + segment->offload.sum_start;
    cut_network(segment, done / size);
    add_be32(tcp + TCP_SEQUENCE, done);
    if (packet->done < packet->rest)
        tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (done)
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    put16(tcp + TCP_SUM, pseudo_header(segment));
    segment->offload.kind = NET_KIND_PLAIN;
    segment->offload.headers = segment->offload.segment = 0;
}
