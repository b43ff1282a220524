// Packets between the driver's queues and the connections (drivers/virt/stream/vsock.h). A packet
// of the guest's is taken whole at once: its connection has room for it, or is reset. While answers
// wait for buffers the guest's packets wait, too: they are bounded, and so is what a piece of work
// copies.
#include "drivers/virt/virtio/virtio_vsock.h"

#include "lib/bytes.h"
#include "vm/vm.h"

// What a piece of work may be: bytes that are copied, and as many for each descriptor.
#define PIECE_BYTES 65536

#define F_STREAM BIT(0)

#define TRANSPORT_RESET 0
#define HEADER          sizeof(struct vsock_header)

enum { RECEIVE, TRANSMIT, EVENT, QUEUES };

static struct virtio_vsock *of(struct virtio *device)
{
    return CONTAINER_OF(device, struct virtio_vsock, virtio);
}

// Work that the driver's notices do not bring.
static void make_due(struct virtio *device, unsigned queue)
{
    if (virtio_is_at_work(device, queue))
        device->work |= BIT32(queue);
}

// ---- out of the guest ----

// The bytes of a packet; where nobody hears them any more they are dropped.
static bool give(struct virtio *device, struct stream_end *end, uint64_t left)
{
    struct virtio_cursor cursor = virtio_chain_at(&device->chain, false, HEADER);
    uint8_t *to;
    for (uint64_t part; left && (part = min_once(stream_room(end, &to), left)); left -= part) {
        gpa_t at;
        if (!virtio_chain_next(&device->chain, &cursor, &at, &part) ||
            !gmem_read(virtio_memory(device), at, to, part))
            return false;
        stream_gave(end, part);
    }
    return true;
}

// The chain that was taken. NULL, or what is wrong with it.
static const char *hear(struct virtio *device)
{
    struct vsock_header header;
    const struct virtio_chain *chain = &device->chain;
    if (!virtio_chain_read(chain, virtio_memory(device), 0, &header, HEADER))
        return "a packet is shorter than its header";
    if (header.operation == VSOCK_RW && header.length > chain->out_bytes - HEADER)
        return "a packet is shorter than it says";
    struct vsock_connection *connection = vsock_hear(of(device)->vsock, &header);
    return !connection || give(device, connection->end, header.length) ? NULL
                                                                       : "a packet is no RAM";
}

static bool transmit(struct virtio *device)
{
    uint64_t left = PIECE_BYTES;
    bool more = true;
    while (left && vsock_can_hear(of(device)->vsock)) {
        more = virtio_take(device, TRANSMIT);
        if (!more)
            break;
        const char *wrong = hear(device);
        left -= MIN(left, virtio_chain_cost(&device->chain) + device->chain.out_bytes);
        if (wrong)
            virtio_break(device, wrong);
        else
            virtio_give(device, TRANSMIT, 0);
    }
    virtio_tell(device, TRANSMIT);
    make_due(device, RECEIVE); // its answers
    return more && vsock_can_hear(of(device)->vsock);
}

// ---- to the guest ----

static const char *send(struct virtio *device, uint64_t *left)
{
    struct vsock *vsock = of(device)->vsock;
    const struct virtio_chain *chain = &device->chain;
    struct vsock_header header;
    const uint8_t *bytes = NULL;
    if (chain->in_bytes <= HEADER)
        return "a buffer has no room for a packet";
    vsock_packet(vsock, (uint32_t)MIN(chain->in_bytes - HEADER, UINT32_MAX), &header, &bytes);
    if (!virtio_chain_write(chain, virtio_memory(device), 0, &header, HEADER) ||
        !virtio_chain_write(chain, virtio_memory(device), HEADER, bytes, header.length))
        return "a buffer is no RAM any more";
    vsock_sent(vsock, &header, device->now);
    virtio_give(device, RECEIVE, (uint32_t)HEADER + header.length);
    *left -= MIN(*left, virtio_chain_cost(chain) + header.length);
    return NULL;
}

static bool receive(struct virtio *device)
{
    struct vsock *vsock = of(device)->vsock;
    uint64_t left = PIECE_BYTES;
    bool was_full = !vsock_can_hear(vsock), more = true;
    while (more && left) {
        more = virtio_is_at_work(device, RECEIVE) && vsock_has_packet(vsock) &&
               virtio_take(device, RECEIVE);
        const char *wrong = more ? send(device, &left) : NULL;
        if (wrong)
            virtio_break(device, wrong);
    }
    virtio_tell(device, RECEIVE);
    if (was_full && vsock_can_hear(vsock))
        make_due(device, TRANSMIT);
    return more;
}

static void tell_reset(struct virtio *device)
{
    uint8_t event[4] = {TRANSPORT_RESET};
    if (!of(device)->owes_event || !virtio_take(device, EVENT))
        return;
    if (!virtio_chain_write(&device->chain, virtio_memory(device), 0, event, sizeof(event))) {
        virtio_break(device, "a buffer has no room for an event");
        return;
    }
    of(device)->owes_event = false;
    virtio_give(device, EVENT, sizeof(event));
    virtio_tell(device, EVENT);
}

// ---- the device ----

static bool vsock_work(struct virtio *device, unsigned queue)
{
    if (queue == TRANSMIT)
        return transmit(device);
    if (queue == RECEIVE)
        return receive(device);
    tell_reset(device);
    return false;
}

static void vsock_driver_reset(struct virtio *device)
{
    vsock_reset(of(device)->vsock);
    of(device)->owes_event = false;
}

static const struct virtio_class class = {
    .type = VIRTIO_SOCKET,
    .pci_class = 0x07800000, // communication, other
    .work = vsock_work,
    .reset = vsock_driver_reset,
};

void virtio_vsock_describe(struct virtio_vsock *device, struct vsock *vsock)
{
    device->vsock = vsock;
    device->virtio.class = &class;
    device->virtio.queues = QUEUES;
    device->virtio.config_size = sizeof(uint64_t);
    device->virtio.offered = VIRTIO_F_ALL | F_STREAM;
    virtio_describe(&device->virtio);
}

static void device_reset(struct vdev *vdev)
{
    struct virtio_vsock *device = CONTAINER_OF(vdev, struct virtio_vsock, virtio.device);
    if (device->vsock)
        put64(device->virtio.config, device->vsock->cid);
    virtio_reset(vdev);
}

// Where the connections led was in another life.
static void device_loaded(struct vdev *vdev)
{
    struct virtio_vsock *device = CONTAINER_OF(vdev, struct virtio_vsock, virtio.device);
    put64(device->virtio.config, device->vsock->cid);
    virtio_loaded(vdev);
    vsock_reset(device->vsock);
    device->owes_event = virtio_is_live(&device->virtio);
    make_due(&device->virtio, EVENT);
}

static uint64_t device_deadline(struct vdev *vdev)
{
    const struct virtio_vsock *device = CONTAINER_OF(vdev, struct virtio_vsock, virtio.device);
    uint64_t work = virtio_deadline(vdev);
    return MIN(work, device->vsock->due);
}

static void device_tick(struct vdev *vdev, uint64_t now)
{
    struct virtio_vsock *device = CONTAINER_OF(vdev, struct virtio_vsock, virtio.device);
    if (device->vsock->due <= now) {
        vsock_expire(device->vsock, now);
        make_due(&device->virtio, RECEIVE);
    }
    virtio_tick(vdev, now);
}

static const struct field fields[] = {
    FIELD_ONE(struct virtio_vsock, virtio, virtio_fields),
    WIRING(struct virtio_vsock, vsock),
    DERIVED(struct virtio_vsock, owes_event),
    {0},
};

const struct vdev_class virtio_vsock_class = {.name = "virtio-vsock",
                                              .size = sizeof(struct virtio_vsock),
                                              .access = virtio_access,
                                              .deadline = device_deadline,
                                              .tick = device_tick,
                                              .reset = device_reset,
                                              .loaded = device_loaded,
                                              .fields = fields};

// ---- Corbel's side ----

bool virtio_vsock_call(struct virtio_vsock *device, struct stream_end *end, uint32_t guest_port,
                       uint64_t now)
{
    struct virtio *virtio = &device->virtio;
    spin_lock(&virtio->device.lock);
    bool is_called = virtio_is_live(virtio) && vsock_call(device->vsock, end, guest_port, now);
    make_due(virtio, RECEIVE);
    vdev_unlock(&virtio->device);
    return is_called;
}

void virtio_vsock_look(struct virtio_vsock *device)
{
    spin_lock(&device->virtio.device.lock);
    make_due(&device->virtio, RECEIVE);
    vdev_unlock(&device->virtio.device);
}

void virtio_vsock_close(struct virtio_vsock *device)
{
    spin_lock(&device->virtio.device.lock);
    vsock_reset(device->vsock);
    vdev_unlock(&device->virtio.device);
}
