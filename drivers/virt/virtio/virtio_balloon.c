// What a balloon's driver gives goes back to the machine by vm_host.memory_give, in pieces. Pages
// are not taken from the balloon by a request: they come again when they are touched. So a request
// ends when no CPU can touch what was there before.
#include "drivers/virt/virtio/virtio_balloon.h"

#include "lib/bytes.h"
#include "vm/vm.h"

#define PIECE_PAGES    256 // a piece of work, in one exit or tick
#define PIECE_REQUESTS 32
#define READ_PAGES     64      // page numbers that are read at once
#define SETTLE_NS      1000000 // between looks at what was given

#define F_STATS       BIT(1)
#define F_AUTODEFLATE BIT(2)
#define F_PAGE_POISON BIT(4)
#define F_REPORTING   BIT(5)

// Offsets in the configuration.
enum {
    CONFIG_PAGES = 0x0,  // in the balloon, as we want it
    CONFIG_ACTUAL = 0x4, // ... as the driver has it
    CONFIG_POISON = 0xc, // what it fills free pages with
    CONFIG_SIZE = 0x10,
};

#define QUEUES       5
#define NUMBER_BYTES 4  // of a page
#define STAT_BYTES   10 // tag, value

enum role { INFLATE, DEFLATE, STATS, REPORT };

// The specification gives each queue its number; drivers count those that they use.
static enum role role_of(const struct virtio *device, unsigned queue)
{
    if (queue <= DEFLATE)
        return queue == INFLATE ? INFLATE : DEFLATE;
    return queue == STATS && (device->features & F_STATS) ? STATS : REPORT;
}

// Pages that are lost on the way read as zeros, which is not what this driver wants to find.
static bool keeps_pages(const struct virtio *device)
{
    return !(device->features & F_REPORTING) ||
           ((device->features & F_PAGE_POISON) && get32(device->config + CONFIG_POISON));
}

// ---- pages ----

// Gives pages of the request, as far as it goes.
static void give(struct virtio_balloon *balloon, gpa_t at, uint64_t count)
{
    struct vm *vm = balloon->virtio.device.vm;
    uint64_t done = vm->host->memory_give ? vm->host->memory_give(vm, at, count) : count;
    balloon->settles = vm->host->memory_settle != NULL;
    balloon->is_stuck = done < count;
    balloon->done += done;
}

static uint64_t whole_pages(const struct virtio_segment *segment)
{
    uint64_t first = align_up(segment->at.value, PAGE_SIZE);
    uint64_t end = align_down(segment->at.value + segment->length, PAGE_SIZE);
    return end > first ? (end - first) / PAGE_SIZE : 0;
}

// Pages by their numbers, whose runs are given together; at most `most`.
static void give_numbers(struct virtio_balloon *balloon, uint64_t total, uint64_t most)
{
    uint8_t number[READ_PAGES * NUMBER_BYTES];
    uint64_t count = MIN(total - balloon->done, MIN(READ_PAGES, most));
    if (!virtio_chain_read(&balloon->virtio.chain, virtio_memory(&balloon->virtio),
                           balloon->done * NUMBER_BYTES, number, count * NUMBER_BYTES)) {
        balloon->done = total;
        return;
    }
    for (uint64_t i = 0, run; i < count && !balloon->is_stuck; i += run) {
        uint64_t first = get32(number + i * NUMBER_BYTES);
        for (run = 1; i + run < count; run++)
            if (get32(number + (i + run) * NUMBER_BYTES) != first + run)
                break;
        give(balloon, gpa(first * PAGE_SIZE), run);
    }
}

// The next of the whole pages of ranges that the driver says are free; at most `most`.
static void give_range(struct virtio_balloon *balloon, uint64_t most)
{
    const struct virtio_chain *chain = &balloon->virtio.chain;
    const struct virtio_segment *segment = &chain->segment[chain->out];
    uint64_t skip = balloon->done;
    for (; skip >= whole_pages(segment); segment++)
        skip -= whole_pages(segment);
    give(balloon, gpa(align_up(segment->at.value, PAGE_SIZE) + skip * PAGE_SIZE),
         MIN(whole_pages(segment) - skip, most));
}

// How many pages the request that is under way is about.
static uint64_t request_pages(const struct virtio_balloon *balloon)
{
    const struct virtio_chain *chain = &balloon->virtio.chain;
    uint64_t pages = 0;
    if (role_of(&balloon->virtio, balloon->active_queue) == INFLATE)
        return chain->out_bytes / NUMBER_BYTES;
    if (keeps_pages(&balloon->virtio))
        return 0;
    for (unsigned i = 0; i < chain->in; i++)
        pages += whole_pages(&chain->segment[chain->out + i]);
    return pages;
}

static bool is_gone(const struct virtio_balloon *balloon)
{
    struct vm *vm = balloon->virtio.device.vm;
    return !vm->host->memory_is_gone || vm->host->memory_is_gone(vm);
}

// Goes on with the request, at most `most` pages of it. Returns how many they were.
static uint64_t go_on(struct virtio_balloon *balloon, uint64_t most)
{
    uint64_t total = request_pages(balloon), before = balloon->done;
    enum role role = role_of(&balloon->virtio, balloon->active_queue);
    balloon->is_stuck = false;
    while (balloon->done < total && balloon->done - before < most && !balloon->is_stuck)
        if (role == INFLATE)
            give_numbers(balloon, total, most - (balloon->done - before));
        else
            give_range(balloon, most - (balloon->done - before));
    balloon->is_stuck |= balloon->done == total && !is_gone(balloon);
    balloon->is_active = balloon->done < total || balloon->is_stuck;
    return balloon->done - before;
}

// ---- statistics ----

static void keep_stats(struct virtio_balloon *balloon, unsigned queue)
{
    struct virtio *device = &balloon->virtio;
    uint8_t entry[STAT_BYTES];
    for (uint64_t at = 0; at < 4 * BALLOON_STATS * STAT_BYTES; at += STAT_BYTES) {
        if (!virtio_chain_read(&device->chain, virtio_memory(device), at, entry, sizeof(entry)))
            break;
        uint16_t tag = get16(entry);
        if (tag < BALLOON_STATS)
            balloon->stats[index_below(tag, BALLOON_STATS)] = get64(entry + 2);
    }
    balloon->has_stats = true;
    balloon->stats_queue = queue;
    balloon->stats_head = device->chain.head;
}

// The driver fills it anew.
static void return_stats(struct virtio_balloon *balloon)
{
    struct virtio *device = &balloon->virtio;
    uint32_t head = device->chain.head; // that of a request may be under way
    if (!balloon->has_stats)
        return;
    balloon->has_stats = false;
    device->chain.head = balloon->stats_head;
    virtio_give(device, balloon->stats_queue, 0);
    device->chain.head = head;
    virtio_tell(device, balloon->stats_queue);
}

// ---- requests ----

static void begin(struct virtio_balloon *balloon, unsigned queue)
{
    struct virtio *device = &balloon->virtio;
    if (role_of(device, queue) == STATS) {
        uint32_t head = device->chain.head;
        return_stats(balloon); // it is not to have two
        device->chain.head = head;
        keep_stats(balloon, queue);
        return;
    }
    balloon->is_active = true;
    balloon->active_queue = queue;
    balloon->active_head = device->chain.head;
    balloon->done = 0;
}

static bool balloon_work(struct virtio *device, unsigned queue)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);
    uint64_t left = PIECE_PAGES;
    if (balloon->is_active && balloon->active_queue != queue)
        return true; // its turn comes
    for (unsigned i = 0; i < PIECE_REQUESTS && left; i++) {
        if (!balloon->is_active && !virtio_take(device, queue)) {
            virtio_tell(device, queue);
            return false;
        }
        if (!balloon->is_active)
            begin(balloon, queue);
        if (!balloon->is_active)
            continue;
        if (role_of(device, queue) != DEFLATE)
            left -= go_on(balloon, left);
        else
            balloon->is_active = false;
        if (balloon->is_active)
            break;
        virtio_give(device, queue, 0);
    }
    virtio_tell(device, queue);
    return true;
}

// ---- from outside ----

void virtio_balloon_set(struct virtio_balloon *balloon, uint64_t bytes)
{
    struct vdev *device = &balloon->virtio.device;
    uint64_t memory = device->vm->traits.memory;
    spin_lock(&device->lock);
    put32(balloon->virtio.config + CONFIG_PAGES,
          (uint32_t)((memory - MIN(bytes, memory)) / PAGE_SIZE));
    virtio_config_changed(&balloon->virtio);
    vdev_unlock(device);
}

struct balloon_report virtio_balloon_report(struct virtio_balloon *balloon)
{
    struct vdev *device = &balloon->virtio.device;
    const uint8_t *config = balloon->virtio.config;
    uint64_t memory = device->vm->traits.memory;
    struct balloon_report report;
    spin_lock(&device->lock);
    report.actual = memory - MIN(memory, get32(config + CONFIG_ACTUAL) * PAGE_SIZE);
    report.target = memory - get32(config + CONFIG_PAGES) * PAGE_SIZE;
    memcpy(report.stats, balloon->stats, sizeof(report.stats));
    return_stats(balloon);
    vdev_unlock(device);
    return report;
}

// ---- the device ----

static void balloon_configured(struct virtio *device, unsigned offset, uint8_t value)
{
    if ((offset >= CONFIG_ACTUAL && offset < CONFIG_ACTUAL + 4) ||
        (offset >= CONFIG_POISON && (device->features & F_PAGE_POISON)))
        device->config[offset] = value;
}

static void balloon_queue_reset(struct virtio *device, unsigned queue)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);
    balloon->is_active &= balloon->active_queue != queue;
    balloon->has_stats &= balloon->stats_queue != queue;
}

// What was given stays so: it comes again when the next driver touches it.
static void balloon_driver_reset(struct virtio *device)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);
    balloon->is_active = balloon->has_stats = false;
    memset(balloon->stats, 0xff, sizeof(balloon->stats));
    put32(device->config + CONFIG_ACTUAL, 0);
    put32(device->config + CONFIG_POISON, 0);
}

static const struct virtio_class class = {
    .type = VIRTIO_BALLOON,
    .is_told_early = true,
    .pci_class = 0x00ff0000, // QEMU's
    .work = balloon_work,
    .configured = balloon_configured,
    .queue_reset = balloon_queue_reset,
    .reset = balloon_driver_reset,
};

void virtio_balloon_describe(struct virtio_balloon *balloon, bool autodeflate)
{
    struct virtio *device = &balloon->virtio;
    device->class = &class;
    device->queues = QUEUES;
    device->config_size = CONFIG_SIZE;
    device->offered =
        VIRTIO_F_ALL | F_STATS | F_PAGE_POISON | F_REPORTING | (autodeflate ? F_AUTODEFLATE : 0);
    virtio_describe(device);
}

static void balloon_reset(struct vdev *vdev)
{
    const struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    if (device->class)
        virtio_reset(vdev); // else it has not been described
}

static uint64_t balloon_deadline(struct vdev *vdev)
{
    const struct virtio_balloon *balloon = CONTAINER_OF(vdev, struct virtio_balloon, virtio.device);
    uint64_t work = virtio_deadline(vdev);
    return balloon->settles ? MIN(work, balloon->settle_at) : work;
}

static void balloon_tick(struct vdev *vdev, uint64_t now)
{
    struct virtio_balloon *balloon = CONTAINER_OF(vdev, struct virtio_balloon, virtio.device);
    if (balloon->settles && now >= balloon->settle_at) {
        balloon->settles = vdev->vm->host->memory_settle(vdev->vm);
        balloon->settle_at = now + SETTLE_NS;
    }
    if (virtio_deadline(vdev) <= now)
        virtio_tick(vdev, now);
    if (balloon->is_active && balloon->is_stuck)
        balloon->virtio.due = balloon->settle_at;
}

static void balloon_loaded(struct vdev *vdev)
{
    struct virtio_balloon *balloon = CONTAINER_OF(vdev, struct virtio_balloon, virtio.device);
    struct virtio *device = &balloon->virtio;
    virtio_loaded(vdev);
    balloon->has_stats = balloon->has_stats && balloon->stats_queue < device->queues &&
                         balloon->stats_head < device->queue[balloon->stats_queue].size;
    if (!balloon->is_active)
        return;
    if (virtio_take_again(device, balloon->active_queue, balloon->active_head)) {
        device->work |= BIT32(balloon->active_queue);
    } else {
        balloon->is_active = false;
        virtio_break(device, "a request under way is none any more");
    }
}

static const struct field fields[] = {
    FIELD_ONE(struct virtio_balloon, virtio, virtio_fields),
    FIELD_WITHIN(struct virtio_balloon, is_active, 0, 1),
    FIELD_WITHIN(struct virtio_balloon, active_queue, 0, QUEUES - 1),
    FIELD(struct virtio_balloon, active_head),
    FIELD_WITHIN(struct virtio_balloon, has_stats, 0, 1),
    FIELD_WITHIN(struct virtio_balloon, stats_queue, 0, QUEUES - 1),
    FIELD(struct virtio_balloon, stats_head),
    FIELD(struct virtio_balloon, done),
    FIELD_ARRAY(struct virtio_balloon, stats),
    DERIVED(struct virtio_balloon, settle_at),
    DERIVED(struct virtio_balloon, settles),
    DERIVED(struct virtio_balloon, is_stuck),
    {0},
};

const struct vdev_class virtio_balloon_class = {.name = "virtio-balloon",
                                                .size = sizeof(struct virtio_balloon),
                                                .access = virtio_access,
                                                .deadline = balloon_deadline,
                                                .tick = balloon_tick,
                                                .reset = balloon_reset,
                                                .loaded = balloon_loaded,
                                                .fields = fields};
