// Requests without data of their own. Called by the disk's other files.
#include "drivers/virt/virtio/virtio_blk_request.h"

#include "lib/bytes.h"

#define RANGE_BYTES 16 // sector, sectors, flags
#define RANGE_UNMAP BIT32(0)
#define ID_BYTES    20

_Static_assert(BLOCK_NAME == ID_BYTES, "the serial number is the disk's name");

uint8_t blk_get_id(struct virtio_blk *disk, uint64_t room)
{
    return virtio_chain_write(&disk->virtio.chain, virtio_memory(&disk->virtio), 0,
                              disk->block->name, MIN(room, ID_BYTES))
               ? BLK_DONE
               : BLK_IO_ERROR;
}

uint8_t blk_read_range(struct virtio_blk *disk, struct block_request *range)
{
    uint8_t bytes[RANGE_BYTES];
    const struct virtio_blk_request *request = &disk->request;
    if (request->bytes != RANGE_BYTES ||
        !virtio_chain_read(&disk->virtio.chain, virtio_memory(&disk->virtio), BLK_HEADER_BYTES,
                           bytes, RANGE_BYTES))
        return BLK_IO_ERROR;
    uint64_t sector = get64(bytes), sectors = get32(bytes + 8);
    uint32_t flags = get32(bytes + 12);
    if (flags & ~(request->type == BLK_DISCARD ? 0 : RANGE_UNMAP))
        return BLK_NOT_SUPPORTED;
    if (sectors > BLK_RANGE_MAX || !blk_is_in_range(disk->block, sector, sectors))
        return BLK_IO_ERROR;
    range->offset = sector * BLOCK_SECTOR;
    range->length = sectors * BLOCK_SECTOR;
    return BLK_DONE;
}
