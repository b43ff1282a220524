// A network card, and the frames that its driver sends: in its exit or, what is left, in pieces in
// the VM's own time. The device's lock guards what is sent; what is received is in
// virtio_net_receive.c.
#include "drivers/virt/virtio/virtio_net_driver.h"

// What a piece of work may be, some 30 us: bytes that are copied, as the switch counts them.
#define PIECE_BYTES  (256 << 10)
#define PIECE_FRAMES 64

// ---- sending ----

// The next frame of the queue. False: there is none, or it is none.
static bool take(struct virtio_net *net, unsigned queue, uint64_t *left)
{
    struct virtio *device = &net->virtio;
    if (!virtio_take(device, queue))
        return false;
    *left -= MIN(*left, NET_FRAME_COST + virtio_chain_cost(&device->chain));
    if (device->chain.out_bytes < NET_OFFLOAD) {
        virtio_break(device, "a frame has no header");
        return false;
    }
    net->active_queue = queue;
    net->active_head = device->chain.head;
    if (!net_packet_take(&net->packet, virtio_memory(device), &device->chain)) {
        net_drop(net->port, NET_DROP_LENGTH);
        virtio_give(device, queue, 0);
    } else if (!net_send(net->port, &net->packet, device->features)) {
        virtio_give(device, queue, 0);
    } else {
        virtio_net_remember_flow(net, queue);
        net->is_active = true;
    }
    return true;
}

static bool send(struct virtio_net *net, unsigned queue)
{
    struct virtio *device = &net->virtio;
    uint64_t left = PIECE_BYTES, wait = 0;
    bool more = true;
    if (queue / 2 >= net->used_pairs)
        return false;
    if (net->is_active && net->active_queue != queue)
        return true; // its turn comes
    for (unsigned i = 0; more && left && !wait && i < PIECE_FRAMES; i++) {
        if (!net->is_active) {
            wait = net_port_wait(net->port);
            more = wait || take(net, queue, &left);
        }
        if (net->is_active && net_send_on(net->port, &net->packet, &left)) {
            virtio_give(device, queue, 0);
            net->is_active = false;
        }
    }
    device->due = device->now + 1 + wait;
    virtio_tell(device, queue);
    return more;
}

static bool net_work(struct virtio *device, unsigned queue)
{
    struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, virtio);
    if (queue == virtio_net_control_queue(net))
        return virtio_net_control(net);
    return queue % 2 && send(net, queue); // buffers to receive are taken when a frame comes
}

// ---- the device ----

static void net_queue_reset(struct virtio *device, unsigned queue)
{
    struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, virtio);
    if (net->active_queue == queue)
        net->is_active = false;
}

static void net_driver_reset(struct virtio *device)
{
    struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, virtio);
    net->used_pairs = 1;
    net->refused = net->groups = 0;
    net->mode = NET_MODE_PROMISCUOUS;
    memset(net->vlan, 0, sizeof(net->vlan));
    net->is_active = false;
    net_port_set_address(net->port, net->port->mac);
    uint8_t address[8];
    put64(address, net->port->address);
    memcpy(device->config + NET_CONFIG_MAC, address, 6);
    device->config[NET_CONFIG_STATUS] = net_port_is_up(net->port);
}

static const struct virtio_class class = {
    .type = VIRTIO_NET,
    .pci_class = 0x02000000, // Ethernet
    .accepts = virtio_net_accepts,
    .work = net_work,
    .queue_reset = net_queue_reset,
    .reset = net_driver_reset,
};

void virtio_net_describe(struct virtio_net *net, struct net_port *port, unsigned pairs)
{
    net->port = port;
    net->pairs = pairs;
    net->virtio.class = &class;
    net->virtio.shared = &port->lock;
    net->virtio.queues = 2 * pairs + 1;
    net->virtio.config_size = NET_CONFIG_SIZE;
    net->virtio.offered =
        VIRTIO_F_ALL | NET_F_MTU | NET_F_MAC | NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ |
        NET_F_CTRL_RX | NET_F_CTRL_VLAN | NET_F_CTRL_RX_EXTRA | NET_F_ANNOUNCE | NET_F_CTRL_MAC |
        (pairs > 1 ? NET_F_MQ : 0) |
        (port->has_no_offloads ? 0 : NET_F_HOST | NET_F_GUEST | NET_F_GUEST_OFFLOADS);
    virtio_describe(&net->virtio);
}

static void net_reset(struct vdev *vdev)
{
    struct virtio_net *net = CONTAINER_OF(vdev, struct virtio_net, virtio.device);
    uint8_t *config = net->virtio.config;
    if (!net->port)
        return; // it has not been described
    put16(config + NET_CONFIG_PAIRS, (uint16_t)net->pairs);
    put16(config + NET_CONFIG_MTU, (uint16_t)(net->port->in->mtu ? net->port->in->mtu : NET_MTU));
    virtio_reset(vdev);
}

// A frame that was being sent is not sent on: some may have it.
static void net_loaded(struct vdev *vdev)
{
    struct virtio_net *net = CONTAINER_OF(vdev, struct virtio_net, virtio.device);
    struct virtio *device = &net->virtio;
    uint8_t address[8] = {0};
    virtio_loaded(vdev);
    net->used_pairs = MIN(MAX(net->used_pairs, 1), net->pairs);
    memcpy(address, device->config + NET_CONFIG_MAC, 6);
    net_port_set_address(net->port, get64(address));
    put64(address, net->port->address);
    memcpy(device->config + NET_CONFIG_MAC, address, 6);
    put16(device->config + NET_CONFIG_PAIRS, (uint16_t)net->pairs);
    if (net->is_active && net->active_queue < device->queues &&
        virtio_is_at_work(device, (unsigned)net->active_queue)) {
        device->chain.head = (uint32_t)net->active_head;
        virtio_give(device, (unsigned)net->active_queue, 0);
        device->work |= BIT32(net->active_queue);
    }
    net->is_active = false;
}

static const struct field fields[] = {
    FIELD_ONE(struct virtio_net, virtio, virtio_fields),
    WIRING(struct virtio_net, port),
    WIRING(struct virtio_net, pairs),
    FIELD_WITHIN(struct virtio_net, used_pairs, 1, VIRTIO_NET_PAIRS),
    FIELD(struct virtio_net, refused),
    FIELD(struct virtio_net, mode),
    FIELD(struct virtio_net, groups),
    FIELD_ARRAY(struct virtio_net, vlan),
    FIELD_WITHIN(struct virtio_net, is_active, 0, 1),
    FIELD_WITHIN(struct virtio_net, active_queue, 0, VIRTIO_QUEUES - 1),
    FIELD_WITHIN(struct virtio_net, active_head, 0, VIRTQUEUE_SIZE - 1),
    DERIVED(struct virtio_net, shown),
    DERIVED(struct virtio_net, wants_interrupt),
    DERIVED(struct virtio_net, flow_pair),
    DERIVED(struct virtio_net, buffer),
    DERIVED(struct virtio_net, packet),
    {0},
};

const struct vdev_class virtio_net_class = {.name = "virtio-net",
                                            .size = sizeof(struct virtio_net),
                                            .access = virtio_access,
                                            .deadline = virtio_deadline,
                                            .tick = virtio_tick,
                                            .reset = net_reset,
                                            .loaded = net_loaded,
                                            .fields = fields};
