// The balloon: pages that the guest lends to the machine. virtio specification: "Traditional Memory
// Balloon Device".
#pragma once

#include "drivers/virt/virtio/virtio.h"

#define BALLOON_STATS 10 // statistics, by their tags

struct virtio_balloon {
    struct virtio virtio;
    // A request of pages that takes more than one piece of work.
    uint32_t is_active;
    uint32_t active_queue;
    uint32_t active_head;
    // A buffer of statistics that is kept until somebody asks for new ones.
    uint32_t has_stats;
    uint32_t stats_queue;
    uint32_t stats_head;
    uint64_t done;                 // pages of the request
    uint64_t stats[BALLOON_STATS]; // as the driver last told them; all ones: it did not
    uint64_t settle_at;            // VM time, when pages that were given are looked after
    uint64_t settles;              // ... if there are such
    uint64_t is_stuck;             // the request waits for that
};

extern const struct vdev_class virtio_balloon_class;

// Makes the device one, before it is reset.
void virtio_balloon_describe(struct virtio_balloon *balloon, bool autodeflate);

// The memory that the guest is to have, bytes up to all of it: the rest is for the balloon. Any CPU
// may call it.
void virtio_balloon_set(struct virtio_balloon *balloon, uint64_t bytes);

// What it has now, as the driver tells, and what it is to have; bytes. Asks for new statistics.
struct balloon_report {
    uint64_t actual, target;
    uint64_t stats[BALLOON_STATS];
};
struct balloon_report virtio_balloon_report(struct virtio_balloon *balloon);
