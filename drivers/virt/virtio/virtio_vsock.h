// A socket device: connections between programs of the guest and Corbel, which is CID 2. virtio
// specification: "Socket Device".
#pragma once

#include "drivers/virt/stream/vsock.h"
#include "drivers/virt/virtio/virtio.h"

struct virtio_vsock {
    struct virtio virtio;
    struct vsock *vsock; // its connections, none of which is state: a state that is loaded has none
    uint64_t owes_event; // the driver is to be told that they are gone
};

// All that a VM with one needs.
struct virtio_vsock_card {
    struct virtio_vsock device;
    struct vsock vsock;
};

extern const struct vdev_class virtio_vsock_class;

// Gives the device its connections, whose host and CID are set, before it is reset.
void virtio_vsock_describe(struct virtio_vsock *device, struct vsock *vsock);

// Opens a connection to a port of the guest's, at this VM time: see vsock_call(). False: also if no
// driver runs.
MUST_CHECK bool virtio_vsock_call(struct virtio_vsock *device, struct stream_end *end,
                                  uint32_t guest_port, uint64_t now);

// What vsock_host.rouse() asked for: what there is to send becomes due, in the VM's own time.
void virtio_vsock_look(struct virtio_vsock *device);

// Closes all connections: its VM has ended.
void virtio_vsock_close(struct virtio_vsock *device);
