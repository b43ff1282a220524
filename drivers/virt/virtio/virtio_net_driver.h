// Between the network card's files: what its driver negotiates and commands.
#pragma once

#include "drivers/virt/virtio/virtio_net.h"

#define NET_F_CSUM           BIT(0)
#define NET_F_GUEST_CSUM     BIT(1)
#define NET_F_GUEST_OFFLOADS BIT(2) // may be changed
#define NET_F_MTU            BIT(3)
#define NET_F_MAC            BIT(5)
#define NET_F_GUEST_TSO4     BIT(7)
#define NET_F_GUEST_TSO6     BIT(8)
#define NET_F_GUEST_ECN      BIT(9)
#define NET_F_HOST_TSO4      BIT(11)
#define NET_F_HOST_TSO6      BIT(12)
#define NET_F_HOST_ECN       BIT(13)
#define NET_F_MRG_RXBUF      BIT(15)
#define NET_F_STATUS         BIT(16)
#define NET_F_CTRL_VQ        BIT(17)
#define NET_F_CTRL_RX        BIT(18)
#define NET_F_CTRL_VLAN      BIT(19)
#define NET_F_CTRL_RX_EXTRA  BIT(20)
#define NET_F_ANNOUNCE       BIT(21)
#define NET_F_MQ             BIT(22)
#define NET_F_CTRL_MAC       BIT(23)

#define NET_F_HOST  (NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN)
#define NET_F_GUEST (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN)

// Offsets in the configuration.
enum {
    NET_CONFIG_MAC = 0,
    NET_CONFIG_STATUS = 6,
    NET_CONFIG_PAIRS = 8,
    NET_CONFIG_MTU = 10,
    NET_CONFIG_SIZE = 12,
};

#define NET_STATUS_UP       1
#define NET_STATUS_ANNOUNCE 2

// The bits of virtio_net.mode have the numbers of the commands that set them.
enum {
    NET_MODE_PROMISCUOUS = BIT32(0),
    NET_MODE_ALL_MULTICAST = BIT32(1),
    NET_MODE_ALL_UNICAST = BIT32(2),
    NET_MODE_NO_MULTICAST = BIT32(3),
    NET_MODE_NO_UNICAST = BIT32(4),
    NET_MODE_NO_BROADCAST = BIT32(5),
};

// The driver may take these features, as each has what it needs.
bool virtio_net_accepts(const struct virtio *device, uint64_t features);

// The queue of commands, and what is done with it.
unsigned virtio_net_control_queue(const struct virtio_net *net);
bool virtio_net_control(struct virtio_net *net);

// Whether the driver wants frames to this address, tagged with this VLAN or (0) not.
bool virtio_net_wants(const struct virtio_net *net, uint64_t target, uint16_t vlan);

// The frame that is being sent is of a flow that is to be received by the pair of this queue.
void virtio_net_remember_flow(struct virtio_net *net, unsigned queue);
