// A network card, on a port of a switch. virtio specification: "Network Device".
#pragma once

#include "drivers/virt/net/switch.h"
#include "drivers/virt/virtio/virtio.h"

#define VIRTIO_NET_PAIRS 8 // of queues at most
#define VIRTIO_NET_FLOWS 64

struct virtio_net {
    struct virtio virtio;
    struct net_port *port; // its lock is the one that the device shares
    uint64_t pairs;

    // The driver's wishes; the shared lock guards them.
    uint64_t used_pairs;
    uint64_t refused; // of the offloads that were negotiated
    uint64_t mode;    // which frames it wants
    uint64_t groups;  // a bit for each hash of a multicast address
    uint64_t vlan[NET_VLANS / 64];

    // The frame that is being sent, if it is.
    uint64_t is_active;
    uint64_t active_queue;
    uint64_t active_head;

    uint64_t shown;                      // the queue that the last frames went to
    uint64_t wants_interrupt;            // ... for that
    uint8_t flow_pair[VIRTIO_NET_FLOWS]; // the pair that last sent for a hash of a flow
    struct virtio_chain buffer;          // that is being received into, under the shared lock
    struct net_packet packet;            // that is being sent
};

extern const struct vdev_class virtio_net_class;

// Makes the device that of a port which is a switch's, with so many pairs of queues (1 to
// VIRTIO_NET_PAIRS), before it is reset.
void virtio_net_describe(struct virtio_net *net, struct net_port *port, unsigned pairs);

// Lets it send and receive, once its VM's RAM is there; and ends that, before RAM goes, or a state
// is saved or loaded. `beside`: gmem_beside() of the RAM.
void virtio_net_connect(struct virtio_net *net, const struct gmem *beside);
void virtio_net_disconnect(struct virtio_net *net);
