// What reads of 4 KiB from a disk in RAM cost, from the driver's write to its available ring to the
// end of its interrupt's handler, one at a time and 32 at a time: in instructions, and in exits.
// The driver does as Linux' does: an indirect table a request, the event index, an MSI-X vector.
#include "tests/bench/costs.h"

#include "tests/guests/lib/virtio.h"

#define VECTOR     0x81
#define ALL_EXITS  0x4fffffff
#define BATCH      32
#define ROUNDS     64
#define BLOCK      4096
#define STATUS_BAD 0xff

struct request {
    struct virtio_descriptor table[3];
    uint32_t type, reserved;
    uint64_t sector;
    uint8_t status;
};

static struct virtio_ring ring;
static struct request request[BATCH];
static _Alignas(4096) uint8_t data[BATCH][BLOCK];
static void prepare(unsigned i)
{
    struct request *r = &request[i];
    r->sector = i * (BLOCK / 512);
    r->table[0] = (struct virtio_descriptor){(uint64_t)&r->type, 16, DESC_NEXT, 1};
    r->table[1] = (struct virtio_descriptor){(uint64_t)data[i], BLOCK, DESC_NEXT | DESC_WRITE, 2};
    r->table[2] = (struct virtio_descriptor){(uint64_t)&r->status, 1, DESC_WRITE, 0};
    ring.descriptor[i] =
        (struct virtio_descriptor){(uint64_t)r->table, sizeof(r->table), DESC_INDIRECT, 0};
}

// So many reads, and the interrupt behind the last. Interrupts are off but while it waits.
static void read_once(const struct virtio_function *disk, unsigned count)
{
    unsigned before = seen;
    uint16_t index = ring.available.index;
    ring.available.used_event = (uint16_t)(index + count - 1);
    for (unsigned i = 0; i < count; i++)
        ring.available.entry[(index + i) % VIRTIO_RING] = (uint16_t)i;
    __asm__ volatile("" : : : "memory");
    ring.available.index = (uint16_t)(index + count);
    virtio_notify(disk, 0);
    while (seen == before)
        __asm__ volatile("sti; nop; cli" : : : "memory");
}

static uint32_t exits(void)
{
    return read_cpuid(ALL_EXITS, 0).eax;
}

static void measure(const struct virtio_function *disk, const char *name, unsigned count)
{
    uint64_t least = UINT64_MAX;
    uint32_t least_exits = UINT32_MAX;
    for (unsigned i = 0; i < BATCH; i++)
        request[i].status = STATUS_BAD;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = read_tsc();
        read_once(disk, count);
        uint64_t ticks = read_tsc() - start;
        uint32_t before = exits();
        read_once(disk, count);
        before = exits() - before - 1; // the second look's own
        least = ticks < least ? ticks : least;
        least_exits = before < least_exits ? before : least_exits;
    }
    bool is_good = true;
    for (unsigned i = 0; i < count; i++)
        is_good = is_good && request[i].status == 0;
    if (!is_good)
        return; // no figure
    say("cost %s %lu\n", name, (unsigned long)(least / count));
    say("cost %s_exits %u\n", name, least_exits);
}

void disk_measure(void)
{
    struct virtio_function disk;
    if (!virtio_find(0, &disk) || disk.type != VIRTIO_BLOCK)
        return;
    install(VECTOR, take);
    (void)virtio_negotiate(&disk, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
    virtio_route(&disk, 0, VECTOR);
    virtio_enable(&disk, 0, &ring, VIRTIO_RING, 0);
    virtio_go(&disk);
    for (unsigned i = 0; i < BATCH; i++)
        prepare(i);
    measure(&disk, "blk_ram_4k", 1);
    measure(&disk, "blk_ram_batch", BATCH);
}
