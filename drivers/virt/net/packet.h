// A frame on its way through the switch: its headers, copied once out of the sender's memory and
// checked in that copy, and where the rest of it lies, which goes to receivers by one copy. The
// sender may change its memory meanwhile: that changes what is carried, nothing else. virtio
// specification: "Network Device", "Packet Transmission", "Processing of Incoming Packets".
#pragma once

#include "drivers/virt/virtio/virtqueue.h"
#include "lib/bytes.h"

#define NET_HEAD        256    // bytes that are copied at most
#define NET_ETHERNET    14     // ... of a frame's header
#define NET_FRAME_COST  256    // beside its bytes and descriptors, in bytes of a copy
#define NET_TYPE_TAGGED 0x0081 // of a frame with a VLAN tag, as it is read
#define NET_TAG         4      // ... of a VLAN tag
#define NET_OFFLOAD     12     // ... of struct net_offload
// Of a frame: 64 KiB of IP, and what is in front of that.
#define NET_LENGTH_MAX (0xffff + NET_ETHERNET + NET_TAG)

// What the sender leaves to do, as its driver puts it in front of the frame.
struct net_offload {
    uint8_t flags;
    uint8_t kind;
    uint16_t headers; // bytes; not trusted
    uint16_t segment; // ... of TCP in each segment
    uint16_t sum_start;
    uint16_t sum_offset;
    uint16_t buffers; // that hold a received frame
};

_Static_assert(sizeof(struct net_offload) == NET_OFFLOAD, "the drivers' layout");

#define NET_NEEDS_SUM 1 // flags
enum { NET_KIND_PLAIN, NET_KIND_TCP4, NET_KIND_TCP6 = 4, NET_KIND_ECN = 0x80 };

// What is done without for a receiver: bits of its driver's features.
#define NET_ACCEPTS_SUM  BIT32(1)
#define NET_ACCEPTS_TCP4 BIT32(7)
#define NET_ACCEPTS_TCP6 BIT32(8)
#define NET_ACCEPTS_ECN  BIT32(9)

struct net_packet {
    const struct gmem *memory; // the sender's, as it is seen now
    const struct virtio_chain *chain;
    uint64_t at;          // of what is behind the head, in what the chain has to read
    uint32_t rest;        // bytes of that
    uint32_t head;        // bytes of the head
    uint32_t start;       // ... in `bytes`, with room in front of it for a tag and an offload
    uint32_t descriptors; // that receivers' drivers made us look at
    uint16_t vlan;        // which it is in, with a tag or without
    uint16_t priority;    // the other bits of its tag
    bool is_tagged;
    struct net_offload offload;
    // How far it is: to which port it goes, or all from that on; and with which of TCP's bytes.
    bool is_for_many, is_for_uplinks;
    uint32_t to;
    uint32_t done;
    uint8_t bytes[NET_OFFLOAD + NET_TAG + NET_HEAD];
};

static inline uint32_t net_packet_length(const struct net_packet *packet)
{
    return packet->head + packet->rest;
}

static inline uint8_t *net_packet_head(struct net_packet *packet)
{
    return packet->bytes + packet->start;
}

// Where a frame goes to and comes from, as numbers, the first byte in bits 7:0.
static inline uint64_t net_packet_target(const struct net_packet *packet)
{
    return get64(packet->bytes + packet->start) & BITS(47, 0);
}
static inline uint64_t net_packet_source(const struct net_packet *packet)
{
    return get64(packet->bytes + packet->start + 6) & BITS(47, 0);
}

// Whether an address is of a group: multicast or broadcast.
static inline bool net_is_group(uint64_t address)
{
    return address & 1;
}

// Reads offload and head of what the sender's chain holds. False: it is no frame, too short or too
// long for one.
MUST_CHECK bool net_packet_take(struct net_packet *packet, const struct gmem *memory,
                                const struct virtio_chain *chain);

// Takes its tag away: returns that (0x8100 and the tag control information), or 0. Or gives it one,
// of its VLAN and priority.
uint32_t net_packet_untag(struct net_packet *packet);
void net_packet_tag(struct net_packet *packet);

// Whether what an untagged frame leaves to do can be done, by a sender that negotiated these
// features; then it only claims what is so.
MUST_CHECK bool net_packet_check(struct net_packet *packet, uint64_t features);

// The bytes of the longest frame that it makes on the wire.
uint32_t net_packet_longest(const struct net_packet *packet);

// Does the sum, if it is left to do. False: its bytes are no RAM any more.
MUST_CHECK bool net_packet_sum(struct net_packet *packet);

// Whether a checked, untagged packet has to be cut for a receiver that accepts this; then the
// segment behind packet->done, which moves on.
bool net_packet_is_long(const struct net_packet *packet, uint32_t accepts);
void net_packet_cut(struct net_packet *packet, struct net_packet *segment);

// Whether the frame, whose own tag is gone, goes on with another.
static inline bool net_packet_has_tag(const struct net_packet *packet)
{
    return get16(packet->bytes + packet->start + NET_ETHERNET - 2) == NET_TYPE_TAGGED;
}

// Copies `length` bytes at `offset` of the frame. False: it is shorter, or no RAM any more.
MUST_CHECK bool net_packet_read(const struct net_packet *packet, uint32_t offset, void *to,
                                uint32_t length);
