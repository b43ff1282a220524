// What a VM may try against virtio devices, so as to hurt its neighbours or to cost them time.
#include "tests/guests/lib/rings.h"
#include "tests/system/neighbour.h"

#define REQUESTS 64
#define BYTES    (64 << 10)
#define QUEUES   2

void play_rings(void)
{
    while (!is_over()) {
        struct virtio_function function;
        for (unsigned slot = 0; virtio_find(slot, &function); slot = function.slot + 1)
            for (unsigned i = 0; i < RINGS_KINDS * function.queues; i++) {
                (void)rings_play(&function, i / RINGS_KINDS, i % RINGS_KINDS);
                (void)rings_recover(&function, i / RINGS_KINDS);
            }
    }
}

static struct virtio_ring rings[QUEUES];
static struct request {
    struct virtio_descriptor table[3];
    uint32_t header[4];
    uint8_t status;
} requests[REQUESTS];
static uint8_t data[BYTES];

// The queue holds as many requests as there are, whenever it is looked at.
static void refill(struct virtio_ring *ring)
{
    while ((uint16_t)(ring->available.index - ring->used.index) < REQUESTS) {
        uint16_t index = ring->available.index;
        ring->available.entry[index % VIRTIO_RING] = index % REQUESTS;
        __asm__ volatile("" : : : "memory");
        ring->available.index = (uint16_t)(index + 1);
    }
}

void flood_disk(void)
{
    struct virtio_function disk;
    uint64_t total = 0;
    check(virtio_find(0, &disk) && disk.type == VIRTIO_BLOCK, "a disk");
    (void)virtio_negotiate(&disk, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC);
    unsigned queues = MIN(disk.queues, QUEUES);
    for (unsigned i = 0; i < queues; i++)
        virtio_enable(&disk, i, &rings[i], VIRTIO_RING, VIRTIO_NO_VECTOR);
    virtio_go(&disk);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct request *r = &requests[i];
        r->table[0] = (struct virtio_descriptor){(uint64_t)r->header, 16, DESC_NEXT, 1};
        r->table[1] = (struct virtio_descriptor){(uint64_t)data, BYTES, DESC_NEXT | DESC_WRITE, 2};
        r->table[2] = (struct virtio_descriptor){(uint64_t)&r->status, 1, DESC_WRITE, 0};
        for (unsigned k = 0; k < queues; k++)
            rings[k].descriptor[i] =
                (struct virtio_descriptor){(uint64_t)r->table, sizeof(r->table), DESC_INDIRECT, 0};
    }
    while (!is_over())
        for (unsigned i = 0; i < queues; i++) {
            uint16_t before = rings[i].used.index;
            refill(&rings[i]);
            virtio_notify(&disk, i);
            total += (uint16_t)(rings[i].used.index - before);
        }
    say("FLOODED %llu\n", (unsigned long long)total);
}
