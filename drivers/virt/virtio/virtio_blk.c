// Requests of a virtio disk. What is small is done in the driver's exit; the rest in pieces, in the
// VM's own time.
#include "drivers/virt/virtio/virtio_blk_late.h"

#include "lib/bytes.h"

#define PIECE_REQUESTS 32 // of a piece of work

#define F_SEG_MAX      BIT(2)
#define F_READ_ONLY    BIT(5)
#define F_BLOCK_SIZE   BIT(6)
#define F_MQ           BIT(12)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)

// Offsets in the configuration.
enum {
    CONFIG_CAPACITY = 0x00,
    CONFIG_SEG_MAX = 0x0c,
    CONFIG_BLOCK_SIZE = 0x14,
    CONFIG_QUEUES = 0x22,
    CONFIG_DISCARD_SECTORS = 0x24,
    CONFIG_DISCARD_SEGMENTS = 0x28,
    CONFIG_DISCARD_ALIGNMENT = 0x2c,
    CONFIG_ZEROES_SECTORS = 0x30,
    CONFIG_ZEROES_SEGMENTS = 0x34,
    CONFIG_ZEROES_MAY_UNMAP = 0x38,
    CONFIG_SIZE = 0x3c,
};

// A read or a write that takes more than one piece of work.
static bool is_active(const struct virtio_blk *disk)
{
    return disk->request.done < disk->request.bytes;
}

// ---- data ----

// Moves the next bytes of a read or a write, at most `most`. False: the guest's side is no RAM any
// more, or the disk's has no place.
static bool move(struct virtio_blk *disk, uint64_t most)
{
    const struct virtio_chain *chain = &disk->virtio.chain;
    const struct gmem *memory = virtio_memory(&disk->virtio);
    struct virtio_blk_request *request = &disk->request;
    bool is_read = request->type == BLK_IN;
    uint64_t at = request->sector * BLOCK_SECTOR + request->done, end = at + most;
    struct virtio_cursor cursor =
        virtio_chain_at(chain, is_read, request->done + (is_read ? 0 : BLK_HEADER_BYTES));
    request->done += most;
    for (uint64_t part; at < end; at += part) {
        gpa_t where;
        part = end - at;
        if (!virtio_chain_next(chain, &cursor, &where, &part) ||
            !(is_read ? block_read(disk->block, at, memory, where, part)
                      : block_write(disk->block, at, memory, where, part)))
            return false;
    }
    return true;
}

static uint8_t zero(struct virtio_blk *disk, uint64_t *left)
{
    struct block_request range;
    uint8_t status = blk_read_range(disk, &range);
    if (status != BLK_DONE)
        return status;
    *left -= MIN(*left, range.length);
    bool is_done = disk->request.type == BLK_DISCARD
                       ? block_discard(disk->block, range.offset, range.length)
                       : block_zero(disk->block, range.offset, range.length);
    return is_done ? BLK_DONE : BLK_IO_ERROR;
}

// ---- requests ----

// How much data goes with the chain's header and status.
static uint64_t data_bytes(const struct virtio_chain *chain, uint64_t type)
{
    return blk_writes(type) ? chain->out_bytes - BLK_HEADER_BYTES : chain->in_bytes - 1;
}

// All that can be said at once; of a read or a write, whether it can be done.
static inline __attribute__((always_inline)) uint8_t begin(struct virtio_blk *disk, uint64_t *left)
{
    const struct virtio_blk_request *request = &disk->request;
    if (blk_has_data(request->type))
        return blk_has_place(disk->block, request) ? BLK_DONE : BLK_IO_ERROR;
    if (blk_writes(request->type) && block_is_read_only(disk->block))
        return BLK_IO_ERROR;
    switch (request->type) {
    case BLK_FLUSH: // what was written is there
        return BLK_DONE;
    case BLK_GET_ID:
        return blk_get_id(disk, request->bytes);
    case BLK_DISCARD:
    case BLK_ZEROES:
        return zero(disk, left);
    default:
        return BLK_NOT_SUPPORTED;
    }
}

// Reads the request whose chain was taken, and says what can be said: *status, and of a read or a
// write that can be done here, that it is under way. False: it is none.
static inline __attribute__((always_inline)) bool start(struct virtio_blk *disk, unsigned queue,
                                                        uint64_t *left, uint8_t *status)
{
    struct virtio *device = &disk->virtio;
    const struct virtio_chain *chain = &device->chain;
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    if (!virtio_chain_read(chain, virtio_memory(device), 0, &header, sizeof(header)) ||
        !chain->in_bytes) {
        virtio_break(device, "a request has no room for its header or its status");
        return false;
    }
    disk->active_queue = queue;
    disk->active_head = chain->head;
    disk->request = (struct virtio_blk_request){
        .type = header.type, .sector = header.sector, .bytes = data_bytes(chain, header.type)};
    *left -= MIN(*left, virtio_chain_cost(chain));
    *status = disk->block->backend ? blk_late_begin(disk, queue) : begin(disk, left);
    if (disk->block->backend || !blk_has_data(header.type))
        disk->request.done = disk->request.bytes;
    return true;
}

// Takes the next request of the queue. False: there is none, or no room for it, or it is none.
static bool take(struct virtio_blk *disk, unsigned queue, uint64_t *left, uint8_t *status)
{
    return blk_late_has_room(disk) && virtio_take(&disk->virtio, queue) &&
           start(disk, queue, left, status);
}

// There was no memory for it: it is taken once more when there is some.
static void put_back(struct virtio_blk *disk, unsigned queue)
{
    disk->request = (struct virtio_blk_request){0};
    disk->virtio.queue[queue].next_available--;
}

static bool blk_work(struct virtio *device, unsigned queue)
{
    struct virtio_blk *disk = CONTAINER_OF(device, struct virtio_blk, virtio);
    uint64_t left = BLK_PIECE_BYTES;
    bool more = true;
    if (is_active(disk) && disk->active_queue != queue)
        return true; // its turn comes
    for (unsigned i = 0; left && i < PIECE_REQUESTS; i++) {
        uint8_t status = BLK_DONE;
        more = is_active(disk) || take(disk, queue, &left, &status);
        if (!more)
            break;
        if (status == BLK_DONE && is_active(disk)) {
            uint64_t part = MIN(left, disk->request.bytes - disk->request.done);
            left -= part;
            status = move(disk, part) ? BLK_DONE : BLK_IO_ERROR;
            if (status == BLK_DONE && is_active(disk))
                break; // later
        }
        if (status == BLK_IO_ERROR && device->device.vm->is_starved) {
            put_back(disk, queue);
            break;
        }
        if (status != BLK_LATER)
            blk_finish(disk, queue, disk->request.type, status);
    }
    virtio_tell(device, queue);
    return more;
}

// ---- the device ----

static void blk_configured(struct virtio *device, unsigned offset, uint8_t value)
{
    if (offset == BLK_CONFIG_WRITEBACK && (device->features & BLK_F_CONFIG_WCE))
        device->config[offset] = value & 1;
}

static void blk_queue_reset(struct virtio *device, unsigned queue)
{
    struct virtio_blk *disk = CONTAINER_OF(device, struct virtio_blk, virtio);
    if (disk->active_queue == queue)
        disk->request = (struct virtio_blk_request){0};
    blk_late_drop(disk, queue);
}

static void blk_driver_reset(struct virtio *device)
{
    struct virtio_blk *disk = CONTAINER_OF(device, struct virtio_blk, virtio);
    disk->request = (struct virtio_blk_request){0};
    blk_late_drop_all(disk);
    device->config[BLK_CONFIG_WRITEBACK] = 1;
}

static const struct virtio_class class = {
    .type = VIRTIO_BLOCK,
    .pci_class = 0x01800000, // mass storage, other
    .work = blk_work,
    .configured = blk_configured,
    .queue_reset = blk_queue_reset,
    .reset = blk_driver_reset,
};

void virtio_blk_describe(struct virtio_blk *disk, const struct block *block, unsigned queues)
{
    bool is_read_only = block_is_read_only(block);
    disk->block = block;
    disk->virtio.class = &class;
    disk->virtio.queues = queues;
    disk->virtio.config_size = CONFIG_SIZE;
    disk->virtio.offered = VIRTIO_F_ALL | F_SEG_MAX | F_BLOCK_SIZE | BLK_F_FLUSH |
                           BLK_F_CONFIG_WCE | (queues > 1 ? F_MQ : 0) |
                           (is_read_only ? F_READ_ONLY : F_DISCARD | F_WRITE_ZEROES);
    virtio_describe(&disk->virtio);
    disk->client.class = &blk_late_class;
    if (block->backend)
        block->backend->attach(block, &disk->client);
}

void virtio_blk_leave(struct virtio_blk *disk)
{
    if (disk->block->backend)
        disk->block->backend->attach(disk->block, NULL);
}

static void blk_reset(struct vdev *vdev)
{
    struct virtio_blk *disk = CONTAINER_OF(vdev, struct virtio_blk, virtio.device);
    uint8_t *config = disk->virtio.config;
    if (!disk->block)
        return; // it has not been described
    put64(config + CONFIG_CAPACITY, disk->block->sectors);
    put32(config + CONFIG_SEG_MAX, VIRTQUEUE_SIZE - 2); // header and status are two
    put32(config + CONFIG_BLOCK_SIZE, BLOCK_SECTOR);
    put16(config + CONFIG_QUEUES, (uint16_t)disk->virtio.queues);
    put32(config + CONFIG_DISCARD_SECTORS, BLK_RANGE_MAX);
    put32(config + CONFIG_DISCARD_SEGMENTS, 1);
    put32(config + CONFIG_DISCARD_ALIGNMENT, 1);
    put32(config + CONFIG_ZEROES_SECTORS, BLK_RANGE_MAX);
    put32(config + CONFIG_ZEROES_SEGMENTS, 1);
    config[CONFIG_ZEROES_MAY_UNMAP] = 1;
    virtio_reset(vdev);
}

// What a back end had when the state was saved is begun once more.
static void begin_again(struct virtio_blk *disk)
{
    struct virtio *device = &disk->virtio;
    uint64_t loaded = disk->late, left = UINT64_MAX;
    blk_late_drop_all(disk);
    for (; loaded; loaded &= loaded - 1) {
        unsigned place = lowest_bit(loaded), queue = disk->late_queue[place];
        uint8_t status;
        if (!disk->block->backend || !blk_late_walk(disk, place)) {
            virtio_break(device, "a request under way is none any more");
            return;
        }
        if (start(disk, queue, &left, &status) && status != BLK_LATER)
            blk_finish(disk, queue, disk->request.type, status); // it is wrong now
    }
    virtio_look_again(device); // and tell of what was given back
}

// The chain of a request that is under way is walked again: it is the driver's, and may be another
// now.
static void blk_loaded(struct vdev *vdev)
{
    struct virtio_blk *disk = CONTAINER_OF(vdev, struct virtio_blk, virtio.device);
    struct virtio *device = &disk->virtio;
    const struct virtio_blk_request *request = &disk->request;
    virtio_loaded(vdev);
    if (disk->late)
        begin_again(disk);
    if (!is_active(disk))
        return;
    bool is_good = virtio_take_again(device, disk->active_queue, disk->active_head) &&
                   blk_has_data(request->type) && device->chain.out_bytes >= BLK_HEADER_BYTES &&
                   device->chain.in_bytes &&
                   request->bytes == data_bytes(&device->chain, request->type) &&
                   blk_has_place(disk->block, request);
    if (is_good) {
        device->work |= BIT32(disk->active_queue);
    } else {
        disk->request = (struct virtio_blk_request){0};
        virtio_break(device, "a request under way is none any more");
    }
}

static const struct field request_fields[] = {
    FIELD(struct virtio_blk_request, type),
    FIELD(struct virtio_blk_request, sector),
    FIELD(struct virtio_blk_request, bytes),
    FIELD(struct virtio_blk_request, done),
    {0},
};

static const struct field fields[] = {
    FIELD_ONE(struct virtio_blk, virtio, virtio_fields),
    WIRING(struct virtio_blk, block),
    FIELD_WITHIN(struct virtio_blk, active_queue, 0, VIRTIO_QUEUES - 1),
    FIELD(struct virtio_blk, active_head),
    FIELD_ONE(struct virtio_blk, request, request_fields),
    FIELD(struct virtio_blk, late),
    DERIVED(struct virtio_blk, late_waits),
    FIELD_ARRAY(struct virtio_blk, late_queue),
    FIELD_ARRAY(struct virtio_blk, late_head),
    DERIVED(struct virtio_blk, late_serial),
    DERIVED(struct virtio_blk, late_request),
    WIRING(struct virtio_blk, serial),
    WIRING(struct virtio_blk, client),
    {0},
};

const struct vdev_class virtio_blk_class = {.name = "virtio-blk",
                                            .size = sizeof(struct virtio_blk),
                                            .access = virtio_access,
                                            .deadline = virtio_deadline,
                                            .tick = virtio_tick,
                                            .reset = blk_reset,
                                            .loaded = blk_loaded,
                                            .fields = fields};
