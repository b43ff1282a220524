// The way of a frame from a port to others. Called by the devices at the ports, in the time of who
// sends, under the sending device's lock.
#include "drivers/virt/net/switch.h"

#include "drivers/virt/net/pcap.h"

#define TAG_VLAN     0x0fffU
#define TAG_PRIORITY 0xf000U

void net_drop(struct net_port *port, enum net_drop reason)
{
    atomic_fetch_add_explicit(&port->dropped[reason], 1, memory_order_relaxed);
}

static bool drop(struct net_port *port, enum net_drop reason)
{
    net_drop(port, reason);
    return false;
}

// One CPU at a time counts.
static void count(struct net_count *counts, uint32_t bytes)
{
    __atomic_store_n(&counts->frames, counts->frames + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&counts->bytes, counts->bytes + bytes, __ATOMIC_RELAXED);
}

// ---- limits ----

static void take_rate(const struct net_port *port, struct net_rate *of_bytes,
                      struct net_rate *of_frames, uint32_t bytes)
{
    uint64_t now = port->in->host->now();
    net_rate_take(of_bytes, now, bytes);
    net_rate_take(of_frames, now, 1);
}

static bool may_receive(const struct net_port *port)
{
    uint64_t now = port->in->host->now();
    return !net_rate_wait(&port->received_bytes, now) &&
           !net_rate_wait(&port->received_frames, now);
}

static bool may_flood(struct net_port *port)
{
    uint64_t now = port->in->host->now();
    if (net_rate_wait(&port->flooded, now))
        return false;
    net_rate_take(&port->flooded, now, 1);
    return true;
}

// ---- captures ----

static inline bool is_captured(const struct net_port *port)
{
    return atomic_load_explicit(&port->capture, memory_order_relaxed);
}

// The port's lock is held: the capture may have ended meanwhile.
static void capture(struct net_port *port, const struct net_packet *packet)
{
    struct net_capture *capture = atomic_load_explicit(&port->capture, memory_order_relaxed);
    uint8_t header[NET_PCAP_RECORD];
    uint32_t length = net_packet_length(packet);
    if (!capture)
        return;
    uint32_t captured = MIN(length, capture->snap);
    net_pcap_record(header, port->in->host->now(), captured, length);
    capture->record(capture, header, packet, captured);
}

// ---- what comes from a port ----

static struct net_port *port_at(const struct net_switch *in, unsigned number)
{
    return atomic_load_explicit(&in->port[number], memory_order_acquire);
}

static bool carries(const struct net_port *port, uint16_t vlan)
{
    return vlan == port->vlan || (port->is_trunk && (port->trunk[vlan / 64] & BIT(vlan % 64)) != 0);
}

// Which VLAN the frame is in; its tag goes.
static bool find_vlan(const struct net_port *from, struct net_packet *packet)
{
    uint32_t tag = net_packet_untag(packet);
    uint16_t vlan = (uint16_t)(tag & TAG_VLAN);
    packet->priority = (uint16_t)(tag & TAG_PRIORITY);
    packet->vlan = vlan ? vlan : from->vlan; // only a priority, or no tag
    return !vlan || (from->is_trunk && carries(from, vlan));
}

static bool learn(struct net_port *from, uint64_t source)
{
    struct net_switch *in = from->in;
    uint32_t now = NET_ADDRESS_TIME(in->host->now()), seen = 0;
    unsigned known = net_address_find(&in->addresses, source, &seen);
    if (known != NET_NOWHERE && seen == NET_ADDRESS_KNOWN)
        return known == from->number; // nobody out there has a VM's address
    if (known == from->number && seen == now)
        return true;
    spin_lock(&in->lock);
    (void)net_address_put(&in->addresses, source, from->number, now);
    spin_unlock(&in->lock);
    return true;
}

static bool has_source(struct net_port *from, const struct net_packet *packet)
{
    uint64_t source = net_packet_source(packet);
    return from->is_uplink ? !net_is_group(source) && source && learn(from, source)
                           : source == from->address;
}

// To one port, to all, or to all uplinks.
static bool find_target(struct net_port *from, struct net_packet *packet)
{
    struct net_switch *in = from->in;
    uint64_t target = net_packet_target(packet);
    uint32_t seen;
    if (net_is_group(target)) {
        packet->is_for_many = true;
        return may_flood(from) || drop(from, NET_DROP_FLOOD);
    }
    packet->to = net_address_find(&in->addresses, target, &seen);
    if (packet->to == NET_NOWHERE ||
        (seen != NET_ADDRESS_KNOWN && NET_ADDRESS_TIME(in->host->now()) - seen > NET_ADDRESS_AGE)) {
        packet->to = 0;
        packet->is_for_many = packet->is_for_uplinks = true;
        return in->uplinks > from->is_uplink || drop(from, NET_DROP_UNKNOWN);
    }
    const struct net_port *to = port_at(in, packet->to);
    if (to == from)
        return drop(from, NET_DROP_UNKNOWN);
    if (!carries(to, packet->vlan))
        return drop(from, NET_DROP_VLAN);
    return !(from->is_isolated && to->is_isolated) || drop(from, NET_DROP_ISOLATED);
}

bool net_send(struct net_port *from, struct net_packet *packet, uint64_t features)
{
    uint32_t mtu = from->in->mtu ? from->in->mtu : NET_MTU, length = net_packet_length(packet);
    if (!from->class || !net_port_is_up(from))
        return drop(from, NET_DROP_LINK);
    if (is_captured(from)) {
        spin_lock(&from->lock);
        capture(from, packet);
        spin_unlock(&from->lock);
    }
    count(&from->sent, length);
    if (from->is_limited)
        take_rate(from, &from->sent_bytes, &from->sent_frames, length);
    if (!find_vlan(from, packet))
        return drop(from, NET_DROP_VLAN);
    if (packet->offload.flags | packet->offload.kind)
        if (!net_packet_check(packet, features))
            return drop(from, NET_DROP_OFFLOAD);
    if (net_packet_longest(packet) > mtu + NET_ETHERNET)
        return drop(from, NET_DROP_LENGTH);
    if (!has_source(from, packet))
        return drop(from, NET_DROP_SOURCE);
    return find_target(from, packet);
}

// ---- what goes to a port ----

// One frame as the receiver takes it.
static bool put(struct net_port *to, struct net_packet *packet, bool is_tagged, uint32_t accepts)
{
    if (!(accepts & NET_ACCEPTS_SUM) && !net_packet_sum(packet))
        return drop(to, NET_DROP_TO_BUFFERS);
    if (is_tagged)
        net_packet_tag(packet);
    bool is_put = to->class->receive(to->device, packet);
    if (is_put) {
        count(&to->received, net_packet_length(packet));
        if (to->is_limited)
            take_rate(to, &to->received_bytes, &to->received_frames, net_packet_length(packet));
        if (is_captured(to))
            capture(to, packet);
    } else {
        net_drop(to, NET_DROP_TO_BUFFERS);
    }
    if (is_tagged)
        (void)net_packet_untag(packet);
    return is_put;
}

static void spend(uint64_t *left, struct net_packet *packet, uint32_t bytes)
{
    uint64_t descriptors =
        (uint64_t)packet->descriptors + packet->chain->out; // walked for each part
    uint64_t cost = NET_FRAME_COST + bytes + descriptors * VIRTIO_DESCRIPTOR_COST;
    *left -= MIN(*left, cost);
    packet->descriptors = 0;
}

// Segments, until the last or until *left is nothing. A receiver that has no buffers misses the
// rest, too.
static void put_segments(struct net_port *to, struct net_packet *packet, bool is_tagged,
                         uint32_t accepts, uint64_t *left)
{
    while (packet->done < packet->rest && *left) {
        struct net_packet segment;
        net_packet_cut(packet, &segment);
        if (!put(to, &segment, is_tagged, accepts))
            packet->done = packet->rest;
        spend(left, &segment, net_packet_length(&segment));
    }
}

// Inside of the window of two VMs.
static void put_all(struct net_port *from, struct net_port *to, struct net_packet *packet,
                    bool is_tagged, uint32_t accepts, uint64_t *left)
{
    const struct net_host *host = to->in->host;
    const struct gmem *memory = packet->memory;
    host->open(from, to);
    packet->memory = from->beside;
    if (net_packet_is_long(packet, accepts)) {
        put_segments(to, packet, is_tagged, accepts, left);
    } else {
        (void)put(to, packet, is_tagged, accepts);
        packet->done = packet->rest;
        spend(left, packet, net_packet_length(packet));
    }
    to->class->show(to->device);
    packet->memory = memory;
    host->close(from, to);
    to->class->interrupt(to->device);
}

// Why the port gets no such frame, or NET_DROPS.
static enum net_drop refusal(struct net_port *to, const struct net_packet *packet, bool is_tagged,
                             uint32_t *accepts)
{
    if (!to->class || to->is_down)
        return NET_DROP_TO_LINK;
    if (to->is_limited && !may_receive(to))
        return NET_DROP_TO_RATE;
    if (to->is_trunk && !is_tagged && net_packet_has_tag(packet))
        return NET_DROP_TO_TAG; // it would be taken for another VLAN's
    return to->class->wants(to->device, packet, is_tagged, accepts) ? NET_DROPS
                                                                    : NET_DROP_TO_FILTER;
}

// False: there is more of it for this port.
static bool deliver(struct net_port *from, struct net_port *to, struct net_packet *packet,
                    uint64_t *left)
{
    bool is_tagged = packet->vlan != to->vlan;
    uint32_t accepts;
    spin_lock(&to->lock);
    enum net_drop reason = refusal(to, packet, is_tagged, &accepts);
    if (reason == NET_DROPS) {
        put_all(from, to, packet, is_tagged, accepts, left);
    } else {
        net_drop(to, reason);
        spend(left, packet, 0);
        packet->done = packet->rest;
    }
    spin_unlock(&to->lock);
    return packet->done == packet->rest;
}

static bool is_one_of_many(const struct net_port *from, const struct net_port *to,
                           const struct net_packet *packet)
{
    return to != from && (to->is_uplink || !packet->is_for_uplinks) && carries(to, packet->vlan) &&
           !(from->is_isolated && to->is_isolated);
}

bool net_send_on(struct net_port *from, struct net_packet *packet, uint64_t *left)
{
    struct net_switch *in = from->in;
    if (!from->class)
        return true; // it left meanwhile
    if (!packet->is_for_many)
        return deliver(from, port_at(in, packet->to), packet, left);
    for (unsigned end = atomic_load(&in->count); packet->to < end; packet->to++, packet->done = 0) {
        struct net_port *to = port_at(in, packet->to);
        if (is_one_of_many(from, to, packet) && (!*left || !deliver(from, to, packet, left)))
            return false;
    }
    return true;
}
