// A buffer is given back with what there is for it, at least some bytes; while the second's are
// spent, the next one waits for its time.
#include "drivers/virt/virtio/virtio_rng.h"

#include "vm/vm.h"

#define SECOND       UINT64_C(1000000000) // ns
#define PIECE_BYTES  256                  // from the host at once
#define PIECE_CHAINS 4
#define LEAST_BYTES  16 // worth waiting for, and what a buffer costs at least

// Nanoseconds, rounded up.
static uint64_t price(const struct virtio_rng *rng, uint64_t bytes)
{
    return (bytes * SECOND + rng->rate - 1) / rng->rate;
}

static uint64_t least(const struct virtio_rng *rng)
{
    return MIN(rng->rate, LEAST_BYTES);
}

// Bytes that may be given away now: at most a second's.
static uint64_t allowance(const struct virtio_rng *rng)
{
    uint64_t unpaid = rng->virtio.now - MIN(rng->virtio.now, rng->paid_until);
    return MIN(unpaid, SECOND) * rng->rate / SECOND;
}

static void pay(struct virtio_rng *rng, uint64_t bytes)
{
    uint64_t from =
        rng->virtio.now - MIN(rng->virtio.now, SECOND); // what was not used before is forfeited
    rng->paid_until = MAX(rng->paid_until, from) + price(rng, MAX(bytes, least(rng)));
}

// Fills the beginning of the chain that was taken. NULL, or why it cannot be.
static const char *fill(struct virtio_rng *rng, unsigned queue)
{
    uint8_t bytes[PIECE_BYTES];
    struct virtio *device = &rng->virtio;
    struct vm *vm = device->device.vm;
    uint64_t room = MIN(allowance(rng), device->chain.in_bytes);
    if (!room)
        return "a buffer has no room for a random number";
    size_t length = vm->host->entropy(bytes, MIN(room, sizeof(bytes)));
    if (!length)
        return "the CPU's source of random numbers is broken";
    if (!virtio_chain_write(&device->chain, &vm->memory, 0, bytes, length))
        return "a buffer is no RAM any more";
    pay(rng, length);
    virtio_give(device, queue, (uint32_t)length);
    return NULL;
}

static bool rng_work(struct virtio *device, unsigned queue)
{
    struct virtio_rng *rng = CONTAINER_OF(device, struct virtio_rng, virtio);
    bool more = true;
    for (unsigned i = 0; more && i < PIECE_CHAINS && allowance(rng) >= least(rng); i++) {
        const char *wrong = NULL;
        more = virtio_take(device, queue);
        if (more)
            wrong = fill(rng, queue);
        if (wrong)
            virtio_break(device, wrong);
    }
    virtio_tell(device, queue);
    return more;
}

// ---- the device ----

static uint64_t rng_deadline(struct vdev *vdev)
{
    const struct virtio_rng *rng = CONTAINER_OF(vdev, struct virtio_rng, virtio.device);
    uint64_t due = virtio_deadline(vdev);
    return due == NEVER ? NEVER : MAX(due, rng->paid_until + price(rng, least(rng)));
}

static const struct virtio_class class = {
    .type = VIRTIO_ENTROPY,
    .pci_class = 0x00ff0000, // none of the other classes
    .work = rng_work,
};

void virtio_rng_describe(struct virtio_rng *rng, unsigned rate)
{
    rng->rate = rate;
    rng->virtio.class = &class;
    rng->virtio.queues = 1;
    rng->virtio.offered = VIRTIO_F_ALL;
    virtio_describe(&rng->virtio);
}

static const struct field fields[] = {
    FIELD_ONE(struct virtio_rng, virtio, virtio_fields),
    FIELD_WITHIN(struct virtio_rng, paid_until, 0, NEVER / 2),
    WIRING(struct virtio_rng, rate),
    {0},
};

const struct vdev_class virtio_rng_class = {.name = "virtio-rng",
                                            .size = sizeof(struct virtio_rng),
                                            .access = virtio_access,
                                            .deadline = rng_deadline,
                                            .tick = virtio_tick,
                                            .reset = virtio_reset,
                                            .loaded = virtio_loaded,
                                            .fields = fields};
