// A source of entropy: bytes of the host's, a limited number a second. virtio specification:
// "Entropy Device".
#pragma once

#include "drivers/virt/virtio/virtio.h"

struct virtio_rng {
    struct virtio virtio;
    uint64_t paid_until; // VM time: what was given away is paid for at `rate` until then
    uint64_t rate;       // bytes a second
};

extern const struct vdev_class virtio_rng_class;

// Makes the device give so many bytes a second (1 or more), before it is reset.
void virtio_rng_describe(struct virtio_rng *rng, unsigned rate);
