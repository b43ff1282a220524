// A disk. virtio specification: "Block Device".
#pragma once

#include "drivers/virt/block/block.h"
#include "drivers/virt/virtio/virtio.h"

// What a driver asks for, as it was read once.
struct virtio_blk_request {
    uint64_t type;
    uint64_t sector;
    uint64_t bytes; // of data
    uint64_t done;  // ... that were moved
};

#define BLK_LATE 64 // requests that can be with a back end

struct virtio_blk {
    struct virtio virtio;
    const struct block *block;
    uint32_t active_queue; // of the request
    uint32_t active_head;
    struct virtio_blk_request request; // under way, if not all is done
    // What the back end has, or will have when it takes more: a bit for each, and by its number
    // whose chain it is. The rest is made anew from that.
    uint64_t late;
    uint64_t late_waits;
    uint8_t late_queue[BLK_LATE];
    uint16_t late_head[BLK_LATE];
    uint64_t late_serial[BLK_LATE];
    struct block_request late_request[BLK_LATE];
    uint64_t serial; // of the last one, never used again
    struct block_client client;
};

extern const struct vdev_class virtio_blk_class;

// Makes the device this disk's, with so many queues (1 to 16), before it is reset.
void virtio_blk_describe(struct virtio_blk *disk, const struct block *block, unsigned queues);

// The VM goes: the back end, if there is one, forgets the device.
void virtio_blk_leave(struct virtio_blk *disk);
