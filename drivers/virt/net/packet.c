// A frame's head and VLAN tag. Called by the switch and by the devices at its ports.
#include "drivers/virt/net/packet.h"

#define START     (NET_OFFLOAD + NET_TAG) // of the head, as it is taken
#define FIRST     60                      // bytes that are enough if nothing is left to do
#define ADDRESSES 12                      // bytes of both

bool net_packet_take(struct net_packet *packet, const struct gmem *memory,
                     const struct virtio_chain *chain)
{
    uint64_t length = chain->out_bytes - NET_OFFLOAD, head = MIN(length, FIRST);
    uint8_t *to = packet->bytes + START;
    if (chain->out_bytes < NET_OFFLOAD + NET_ETHERNET || length > NET_LENGTH_MAX ||
        !virtio_chain_read(chain, memory, 0, to - NET_OFFLOAD, NET_OFFLOAD + head))
        return false;
    __builtin_memcpy(&packet->offload, to - NET_OFFLOAD, NET_OFFLOAD);
    if (packet->offload.flags | packet->offload.kind) {
        uint64_t more = MIN(length, NET_HEAD) - head;
        if (!virtio_chain_read(chain, memory, NET_OFFLOAD + head, to + head, more))
            return false;
        head += more;
    }
    packet->memory = memory;
    packet->chain = chain;
    packet->at = NET_OFFLOAD + head;
    packet->rest = (uint32_t)(length - head);
    packet->head = (uint32_t)head;
    packet->start = START;
    packet->descriptors = 0;
    packet->vlan = packet->priority = 0;
    packet->is_tagged = false;
    packet->is_for_many = packet->is_for_uplinks = false;
    packet->to = packet->done = 0;
    return true;
}

// The addresses move; all else stays.
static void move_start(struct net_packet *packet, int by)
{
    uint8_t addresses[ADDRESSES];
    memcpy(addresses, net_packet_head(packet), ADDRESSES);
    packet->start += by;
    packet->head -= by;
    memcpy(net_packet_head(packet), addresses, ADDRESSES);
    if (packet->offload.flags & NET_NEEDS_SUM)
        packet->offload.sum_start = (uint16_t)(packet->offload.sum_start - by);
}

uint32_t net_packet_untag(struct net_packet *packet)
{
    const uint8_t *type = net_packet_head(packet) + ADDRESSES;
    if (get16(type) != NET_TYPE_TAGGED || packet->head < NET_ETHERNET + NET_TAG)
        return 0;
    uint32_t tag = __builtin_bswap32(get32(type));
    move_start(packet, NET_TAG);
    packet->is_tagged = false;
    return tag;
}

void net_packet_tag(struct net_packet *packet)
{
    move_start(packet, -NET_TAG);
    packet->is_tagged = true;
    put16(net_packet_head(packet) + ADDRESSES, NET_TYPE_TAGGED);
    put16(net_packet_head(packet) + ADDRESSES + 2,
          __builtin_bswap16((uint16_t)(packet->vlan | packet->priority)));
}

bool net_packet_read(const struct net_packet *packet, uint32_t offset, void *to, uint32_t length)
{
    uint32_t all = net_packet_length(packet);
    uint32_t head = offset < packet->head ? MIN(packet->head - offset, length) : 0;
    if (offset > all || length > all - offset)
        return false;
    memcpy(to, packet->bytes + packet->start + offset, head);
    return length == head || virtio_chain_read(packet->chain, packet->memory,
                                               packet->at + (offset + head - packet->head),
                                               (uint8_t *)to + head, length - head);
}
