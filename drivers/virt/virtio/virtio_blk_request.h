// Requests as a virtio disk's driver writes them, for its files. virtio specification: "Block
// Device": "Device Operation".
#pragma once

#include "drivers/virt/virtio/virtio_blk.h"

#define BLK_F_FLUSH      BIT(9)
#define BLK_F_CONFIG_WCE BIT(11)

#define BLK_CONFIG_WRITEBACK 0x20

enum { BLK_IN, BLK_OUT, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11, BLK_ZEROES = 13 };
// The last is none of the protocol's: the back end will say.
enum { BLK_DONE, BLK_IO_ERROR, BLK_NOT_SUPPORTED, BLK_LATER };

// What a piece of work may be, some 30 us: bytes that are copied, and as many for each descriptor.
#define BLK_PIECE_BYTES (256 << 10)
#define BLK_RANGE_MAX   (BLK_PIECE_BYTES / BLOCK_SECTOR) // sectors of a discard or of zeros

#define BLK_HEADER_BYTES 16 // type, reserved, sector

static inline bool blk_is_in_range(const struct block *block, uint64_t sector, uint64_t sectors)
{
    return sector <= block->sectors && sectors <= block->sectors - sector;
}

static inline bool blk_writes(uint64_t type)
{
    return type == BLK_OUT || type == BLK_DISCARD || type == BLK_ZEROES;
}

static inline bool blk_has_data(uint64_t type)
{
    return type == BLK_IN || type == BLK_OUT;
}

static inline bool blk_has_place(const struct block *block,
                                 const struct virtio_blk_request *request)
{
    return request->bytes % BLOCK_SECTOR == 0 &&
           blk_is_in_range(block, request->sector, request->bytes / BLOCK_SECTOR) &&
           !(request->type == BLK_OUT && block_is_read_only(block));
}

// Parts of a request whose chain is at hand, under way in disk->request: its status once the disk's
// name is written, and the sectors that a discard or a write of zeros names.
uint8_t blk_get_id(struct virtio_blk *disk, uint64_t room);
uint8_t blk_read_range(struct virtio_blk *disk, struct block_request *range);

// Gives the request back.
static inline __attribute__((always_inline)) void
blk_finish(struct virtio_blk *disk, unsigned queue, uint64_t type, uint8_t status)
{
    struct virtio *device = &disk->virtio;
    const struct virtio_chain *chain = &device->chain;
    bool is_filled = status == BLK_DONE && type == BLK_IN;
    disk->request.done = disk->request.bytes; // of what failed, too
    if (virtio_chain_write_last(chain, virtio_memory(device), status))
        virtio_give(device, queue, is_filled ? (uint32_t)chain->in_bytes : 1);
    else
        virtio_break(device, "the status of a request is no RAM any more");
}
