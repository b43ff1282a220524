// Requests that a disk's back end answers later. Called by virtio_blk.c.
#pragma once

#include "drivers/virt/virtio/virtio_blk_request.h"

// Whether one more request may be with the back end.
static inline bool blk_late_has_room(const struct virtio_blk *disk)
{
    return ~disk->late;
}

// What is said at once of the request whose chain is at hand. BLK_LATER: it is the back end's, or
// will be when that has room.
uint8_t blk_late_begin(struct virtio_blk *disk, unsigned queue);

// Requests of this queue, of all, are no longer the driver's: who answers them is not heard.
void blk_late_drop(struct virtio_blk *disk, unsigned queue);
void blk_late_drop_all(struct virtio_blk *disk);

// Walks the chain of the request in this place again. False: it is none any more.
MUST_CHECK bool blk_late_walk(struct virtio_blk *disk, unsigned place);

extern const struct block_client_class blk_late_class;
