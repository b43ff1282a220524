// Requests that a disk's back end answers later, in any order, or never. Of each the device keeps
// the chain's head alone: the chain is walked again, and checked again, when bytes move and when it
// is given back. Called under the device's lock, and by back ends.
#include "drivers/virt/virtio/virtio_blk_late.h"

// A handle names a place and who had it: one that was dropped is nobody's any more.
#define HANDLE_PLACE UINT64_C(0x3f)
_Static_assert(BLK_LATE == HANDLE_PLACE + 1, "a bit for each place, and a number for each bit");

static uint64_t handle_of(const struct virtio_blk *disk, unsigned place)
{
    return disk->late_serial[place] << 6 | place;
}

static bool is_under_way(const struct virtio_blk *disk, uint64_t handle)
{
    unsigned place = handle & HANDLE_PLACE;
    return (disk->late & BIT(place)) && handle_of(disk, place) == handle;
}

bool blk_late_walk(struct virtio_blk *disk, unsigned place)
{
    return disk->late_queue[place] < disk->virtio.queues &&
           virtio_take_again(&disk->virtio, disk->late_queue[place], disk->late_head[place]);
}

static void leave(struct virtio_blk *disk, uint64_t places)
{
    disk->late &= ~places;
    disk->late_waits &= ~places;
}

static void submit(struct virtio_blk *disk)
{
    while (disk->late_waits) {
        unsigned place = lowest_bit(disk->late_waits);
        if (!disk->block->backend->submit(disk->block, handle_of(disk, place),
                                          &disk->late_request[place]))
            break;
        disk->late_waits &= ~BIT(place);
    }
}

// The request whose chain is at hand is under way.
static void take_on(struct virtio_blk *disk, unsigned queue, const struct block_request *request)
{
    unsigned place = lowest_bit(~disk->late);
    disk->late |= BIT(place);
    disk->late_waits |= BIT(place);
    disk->late_serial[place] = ++disk->serial;
    disk->late_queue[place] = (uint8_t)queue;
    disk->late_head[place] = (uint16_t)disk->virtio.chain.head;
    disk->late_request[place] = *request;
    submit(disk);
}

// Without a cache that the driver knows of, it knows of no flush either.
static bool is_written_through(const struct virtio *device)
{
    return !(device->features & BLK_F_FLUSH) ||
           ((device->features & BLK_F_CONFIG_WCE) && !device->config[BLK_CONFIG_WRITEBACK]);
}

uint8_t blk_late_begin(struct virtio_blk *disk, unsigned queue)
{
    const struct virtio_blk_request *request = &disk->request;
    struct block_request late = {.operation = BLOCK_FLUSH,
                                 .is_durable = is_written_through(&disk->virtio)};
    uint8_t status = BLK_DONE;
    if (blk_writes(request->type) && block_is_read_only(disk->block))
        return BLK_IO_ERROR;
    switch (request->type) {
    case BLK_IN:
    case BLK_OUT:
        late.operation = request->type == BLK_IN ? BLOCK_READ : BLOCK_WRITE;
        late.offset = request->sector * BLOCK_SECTOR;
        late.length = request->bytes;
        status = blk_has_place(disk->block, request) ? BLK_DONE : BLK_IO_ERROR;
        break;
    case BLK_FLUSH:
        break;
    case BLK_GET_ID:
        return blk_get_id(disk, request->bytes);
    case BLK_DISCARD:
    case BLK_ZEROES:
        late.operation = request->type == BLK_DISCARD ? BLOCK_DISCARD : BLOCK_ZERO;
        status = blk_read_range(disk, &late);
        break;
    default:
        return BLK_NOT_SUPPORTED;
    }
    if (status != BLK_DONE || (!late.length && late.operation != BLOCK_FLUSH))
        return status;
    take_on(disk, queue, &late);
    return BLK_LATER;
}

void blk_late_drop(struct virtio_blk *disk, unsigned queue)
{
    for (uint64_t left = disk->late; left; left &= left - 1)
        if (disk->late_queue[lowest_bit(left)] == queue)
            leave(disk, BIT(lowest_bit(left)));
}

void blk_late_drop_all(struct virtio_blk *disk)
{
    leave(disk, ~UINT64_C(0));
}

// ---- the back end's side ----

static struct virtio_blk *lock(struct block_client *client)
{
    struct virtio_blk *disk = CONTAINER_OF(client, struct virtio_blk, client);
    spin_lock(&disk->virtio.device.lock);
    return disk;
}

static bool late_move(struct block_client *client, uint64_t handle, uint64_t offset, void *bytes,
                      uint64_t length)
{
    struct virtio_blk *disk = lock(client);
    unsigned place = handle & HANDLE_PLACE;
    bool is_moved = is_under_way(disk, handle) && blk_late_walk(disk, place);
    const struct gmem *memory = virtio_memory(&disk->virtio);
    if (is_moved && disk->late_request[place].operation == BLOCK_READ)
        is_moved = virtio_chain_write(&disk->virtio.chain, memory, offset, bytes, length);
    else if (is_moved)
        is_moved = virtio_chain_read(&disk->virtio.chain, memory, BLK_HEADER_BYTES + offset, bytes,
                                     length);
    vdev_unlock(&disk->virtio.device);
    return is_moved;
}

static void late_answer(struct block_client *client, uint64_t handle, bool is_done)
{
    struct virtio_blk *disk = lock(client);
    struct virtio *device = &disk->virtio;
    unsigned place = handle & HANDLE_PLACE, queue = disk->late_queue[place];
    if (is_under_way(disk, handle)) {
        bool was_full = !blk_late_has_room(disk);
        uint64_t type = disk->late_request[place].operation == BLOCK_READ ? BLK_IN : BLK_OUT;
        leave(disk, BIT(place));
        if (!blk_late_walk(disk, place) || !device->chain.in_bytes) {
            virtio_break(device, "a request under way is none any more");
        } else {
            blk_finish(disk, queue, type, is_done ? BLK_DONE : BLK_IO_ERROR);
            virtio_tell(device, queue);
        }
        if (was_full)
            virtio_look_again(device);
    }
    submit(disk); // there is room, whoever it was of
    vdev_unlock(&device->device);
}

const struct block_client_class blk_late_class = {.move = late_move, .answer = late_answer};
