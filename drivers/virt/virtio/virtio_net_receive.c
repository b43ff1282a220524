// Frames that a network card receives: in the time of who sent them, under the port's lock, which
// the device shares. Called by the switch.
#include "drivers/virt/virtio/virtio_net_driver.h"

#include "vm/vm.h"

// Descriptors that a frame may be spread over: a receiver's driver costs who sends to it no more.
#define DESCRIPTORS_MOST (2 * VIRTQUEUE_SIZE)

// ---- which queue a flow is received by ----

// The same in both directions. 0: no flow that is known.
static unsigned flow_of(const struct net_packet *packet)
{
    const uint8_t *type = packet->bytes + packet->start + (packet->is_tagged ? 16 : 12);
    const uint8_t *ip = type + 2, *ports = ip + 20;
    uint32_t hash = 0;
    if (packet->head < 58)
        return 0;
    if (get16(type) == 0x0008 && ip[0] == 0x45) {
        hash = get32(ip + 12) ^ get32(ip + 16) ^ ip[9];
    } else if (get16(type) == 0xdd86) {
        for (unsigned i = 8; i < 40; i += 4)
            hash ^= get32(ip + i);
        hash ^= ip[6];
        ports = ip + 40;
    } else {
        return 0;
    }
    hash ^= get16(ports) ^ (uint32_t)get16(ports + 2);
    hash ^= hash >> 16;
    return (hash ^ hash >> 8) % VIRTIO_NET_FLOWS;
}

static unsigned queue_of(const struct virtio_net *net, const struct net_packet *packet)
{
    if (net->used_pairs <= 1)
        return 0;
    uint64_t pair = __atomic_load_n(&net->flow_pair[flow_of(packet)], __ATOMIC_RELAXED);
    return pair < net->used_pairs ? 2 * (unsigned)pair : 0;
}

void virtio_net_remember_flow(struct virtio_net *net, unsigned queue)
{
    if (net->used_pairs > 1)
        __atomic_store_n(&net->flow_pair[flow_of(&net->packet)], (uint8_t)(queue / 2),
                         __ATOMIC_RELAXED);
}

// ---- receiving ----

static bool net_wants(void *of, const struct net_packet *packet, bool is_tagged, uint32_t *accepts)
{
    struct virtio_net *net = of;
    net->shown = queue_of(net, packet); // for all segments of the frame
    uint32_t takes = (uint32_t)(net->virtio.features & NET_F_GUEST & ~net->refused);
    *accepts = takes & NET_ACCEPTS_SUM ? takes : 0; // the rest needs it
    return virtio_net_wants(net, net_packet_target(packet), is_tagged ? packet->vlan : 0);
}

// The next buffer, of at least so many bytes.
static bool take_buffer(struct virtio_net *net, struct virtqueue *queue, struct net_packet *packet,
                        uint64_t least)
{
    struct virtio *device = &net->virtio;
    const char *why = "a buffer has no room for a frame's header";
    enum virtqueue_result result =
        virtqueue_take(queue, virtio_memory(device), device->features, &net->buffer, false, &why);
    if (result == VIRTQUEUE_EMPTY)
        return false;
    packet->descriptors += (uint32_t)net->buffer.in + net->buffer.out;
    if (result == VIRTQUEUE_BROKEN || net->buffer.in_bytes < MIN(least, NET_OFFLOAD)) {
        virtio_break_shared(device, why);
        return false;
    }
    return net->buffer.in_bytes >= least && packet->descriptors <= DESCRIPTORS_MOST;
}

// The way through the bytes of a chain: as many of the next ones as lie together, and the rest.
struct run {
    const struct gmem *memory;
    const struct virtio_chain *chain;
    struct virtio_cursor cursor; // behind what lies together
    bool is_written;
    uint8_t *bytes;
    gpa_t at;
    uint64_t left;
};

// Where they lie apart: not more than to the end of the page.
__attribute__((noinline)) static void find_page(struct run *run)
{
    run->left = MIN(run->left, PAGE_SIZE - run->at.value % PAGE_SIZE);
    run->bytes = run->is_written ? gmem_make_writable(run->memory, run->at, run->left)
                                 : (uint8_t *)gmem_at(run->memory, run->at, run->left);
}

// False: that was all of the chain, or it is no RAM any more.
static inline bool next_run(struct run *run)
{
    const struct virtio_segment *segment = &run->chain->segment[run->cursor.segment];
    if (run->cursor.segment >= run->cursor.end)
        return false;
    run->at = gpa(segment->at.value + run->cursor.offset);
    run->left = segment->length - run->cursor.offset;
    run->bytes = gmem_in_piece(run->memory, run->at, run->left);
    if (!run->bytes)
        find_page(run);
    run->cursor.offset += run->left;
    if (run->cursor.offset == segment->length) {
        run->cursor.segment++;
        run->cursor.offset = 0;
    }
    return run->bytes;
}

static bool copy(struct run *to, struct run *from, uint64_t length)
{
    for (uint64_t part; length; length -= part) {
        if ((!from->left && !next_run(from)) || (!to->left && !next_run(to)))
            return false;
        part = MIN(MIN(length, from->left), to->left);
        memcpy(to->bytes, from->bytes, part);
        gmem_mark_dirty(to->memory, to->at, part);
        from->bytes += part;
        from->left -= part;
        to->bytes += part;
        to->at.value += part;
        to->left -= part;
    }
    return true;
}

// Where the number of buffers stands: the two bytes of it may lie apart.
static void find_number(const struct virtio_net *net, gpa_t at[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct virtio_cursor cursor =
            virtio_chain_at(&net->buffer, true, offsetof(struct net_offload, buffers) + i);
        uint64_t length = 1;
        (void)virtio_chain_next(&net->buffer, &cursor, &at[i], &length);
    }
}

static bool write_number(const struct virtio_net *net, const gpa_t at[2], uint32_t number)
{
    const struct gmem *memory = virtio_memory(&net->virtio);
    const uint8_t bytes[2] = {(uint8_t)number, (uint8_t)(number >> 8)};
    return gmem_write(memory, at[0], &bytes[0], 1) && gmem_write(memory, at[1], &bytes[1], 1);
}

// Puts offload, head and rest into buffers, one after the other.
static bool fill(struct virtio_net *net, struct virtqueue *queue, struct net_packet *packet)
{
    const struct gmem *memory = virtio_memory(&net->virtio);
    bool is_mergeable = net->virtio.features & NET_F_MRG_RXBUF;
    uint8_t *front = net_packet_head(packet) - NET_OFFLOAD;
    uint64_t total = NET_OFFLOAD + net_packet_length(packet), done = 0;
    struct run from = {.memory = packet->memory,
                       .chain = packet->chain,
                       .cursor = virtio_chain_at(packet->chain, false, packet->at),
                       .bytes = front,
                       .left = NET_OFFLOAD + packet->head};
    uint32_t number = 0;
    gpa_t number_at[2];
    packet->offload.buffers = 1;
    __builtin_memcpy(front, &packet->offload, NET_OFFLOAD);
    for (uint64_t part; done < total; done += part) {
        uint64_t least = is_mergeable ? (done ? 1 : NET_OFFLOAD) : total;
        if (!take_buffer(net, queue, packet, least))
            return false;
        part = MIN(total - done, net->buffer.in_bytes);
        struct run to = {.memory = memory,
                         .chain = &net->buffer,
                         .cursor = {net->buffer.out, net->buffer.out + (unsigned)net->buffer.in, 0},
                         .is_written = true};
        if (!copy(&to, &from, part) ||
            !virtqueue_give(queue, memory, net->buffer.head, (uint32_t)part))
            return false;
        if (number++ == 0 && part < total)
            find_number(net, number_at);
    }
    return number == 1 || write_number(net, number_at, number);
}

static bool net_receive(void *of, struct net_packet *packet)
{
    struct virtio_net *net = of;
    struct virtqueue *queue = &net->virtio.queue[net->shown];
    if (!virtio_is_at_work(&net->virtio, (unsigned)net->shown) || net->virtio.device.vm->is_starved)
        return false;
    uint16_t available = queue->next_available, used = queue->next_used;
    if (fill(net, queue, packet))
        return true;
    queue->next_available = available; // the driver saw nothing of it
    queue->next_used = used;
    return false;
}

static void net_show(void *of)
{
    struct virtio_net *net = of;
    struct virtio *device = &net->virtio;
    struct virtqueue *queue = &device->queue[net->shown];
    net->wants_interrupt = virtio_is_at_work(device, (unsigned)net->shown) &&
                           virtqueue_tell(queue, virtio_memory(device), device->features);
}

static void net_interrupt(void *of)
{
    struct virtio_net *net = of;
    if (net->wants_interrupt)
        virtio_interrupt(&net->virtio, (unsigned)net->shown);
    net->wants_interrupt = false;
}

static void set_status(struct virtio_net *net, uint8_t status)
{
    net->virtio.config[NET_CONFIG_STATUS] = status;
    virtio_config_changed(&net->virtio);
}

static void net_link(void *of, bool is_up)
{
    struct virtio_net *net = of;
    if (!(net->virtio.config[NET_CONFIG_STATUS] & NET_STATUS_UP) == is_up)
        set_status(net, is_up);
}

static void net_announce(void *of)
{
    struct virtio_net *net = of;
    if (net->virtio.features & NET_F_ANNOUNCE)
        set_status(net, net->virtio.config[NET_CONFIG_STATUS] | NET_STATUS_ANNOUNCE);
}

static const struct net_device_class device_class = {net_wants,     net_receive, net_show,
                                                     net_interrupt, net_link,    net_announce};

// Under the device's lock nothing is being sent.
void virtio_net_connect(struct virtio_net *net, const struct gmem *beside)
{
    struct vdev *device = &net->virtio.device;
    spin_lock(&device->lock);
    net_port_connect(net->port, &device_class, net, device->vm, beside);
    vdev_unlock(device);
}

void virtio_net_disconnect(struct virtio_net *net)
{
    struct vdev *device = &net->virtio.device;
    spin_lock(&device->lock);
    net_port_disconnect(net->port);
    vdev_unlock(device);
}
