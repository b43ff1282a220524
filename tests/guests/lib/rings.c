// Rings of every illegal kind that is known to have hurt a hypervisor. virtio specification: "Split
// Virtqueues".
#include "tests/guests/lib/rings.h"

#define SIZE    16
#define BEYOND  UINT64_C(0xd0000000) // no RAM, no device
#define HUGE_AT UINT64_C(0xfffffffffffffff0)

#define MOST 0x2000 // bytes of a scrambled descriptor

// Whole pages: a balloon may take them away.
static struct virtio_ring ring;
static _Alignas(4096) struct virtio_descriptor table[MOST / sizeof(struct virtio_descriptor)];
static _Alignas(4096) uint8_t bytes[MOST];
volatile bool rings_quiet;
uint64_t rings_features = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;

static void offer(unsigned head)
{
    ring.available.entry[ring.available.index % SIZE] = (uint16_t)head;
    __asm__ volatile("" : : : "memory");
    ring.available.index++;
}

static void describe(struct virtio_descriptor *at, uint64_t address, uint32_t length,
                     unsigned flags, unsigned next)
{
    *at = (struct virtio_descriptor){address, length, (uint16_t)flags, (uint16_t)next};
}

// One descriptor, and what is wrong with it.
static void offer_one(uint64_t address, uint32_t length, unsigned flags, unsigned next)
{
    describe(&ring.descriptor[0], address, length, flags, next);
    offer(0);
}

static void offer_table(uint64_t address, uint32_t length)
{
    offer_one(address, length, DESC_INDIRECT, 0);
}

static void too_many(void)
{
    ring.available.index = SIZE + 1;
}

static void head_too_large(void)
{
    offer(SIZE);
}

static void next_too_large(void)
{
    offer_one((uint64_t)bytes, 16, DESC_NEXT, SIZE);
}

static void loop(void)
{
    describe(&ring.descriptor[1], (uint64_t)bytes, 16, DESC_NEXT, 0);
    offer_one((uint64_t)bytes, 16, DESC_NEXT, 1);
}

static void empty_table(void)
{
    offer_table((uint64_t)table, 0);
}

static void odd_table(void)
{
    offer_table((uint64_t)table, 24);
}

static void long_table(void)
{
    for (unsigned i = 0; i < VIRTIO_RING + 1; i++)
        describe(&table[i], (uint64_t)bytes, 1, DESC_NEXT, i + 1);
    describe(&table[VIRTIO_RING + 1], (uint64_t)bytes, 1, DESC_WRITE, 0);
    offer_table((uint64_t)table, (VIRTIO_RING + 2) * sizeof(*table));
}

static void nested_table(void)
{
    describe(&table[0], (uint64_t)table, 16, DESC_INDIRECT, 0);
    offer_table((uint64_t)table, 16);
}

static void table_with_next(void)
{
    describe(&table[0], (uint64_t)bytes, 16, 0, 0);
    describe(&ring.descriptor[1], (uint64_t)bytes, 1, DESC_WRITE, 0);
    offer_one((uint64_t)table, 16, DESC_INDIRECT | DESC_NEXT, 1);
}

static void table_elsewhere(void)
{
    offer_table(BEYOND, 16);
}

static void table_loop(void)
{
    describe(&table[0], (uint64_t)bytes, 1, DESC_NEXT, 1);
    describe(&table[1], (uint64_t)bytes, 1, DESC_NEXT, 0);
    offer_table((uint64_t)table, 32);
}

static void buffer_elsewhere(void)
{
    offer_one(BEYOND, 512, 0, 0);
}

static void buffer_too_long(void)
{
    offer_one((uint64_t)bytes, UINT32_MAX, DESC_WRITE, 0);
}

static void buffer_that_wraps(void)
{
    offer_one(HUGE_AT, 64, DESC_WRITE, 0);
}

static void empty_buffer(void)
{
    offer_one((uint64_t)bytes, 0, 0, 0);
}

static void readable_last(void)
{
    describe(&ring.descriptor[1], (uint64_t)bytes, 16, 0, 0);
    offer_one((uint64_t)bytes, 16, DESC_WRITE | DESC_NEXT, 1);
}

static void buffer_on_a_device(void)
{
    offer_one(MMIO_IOAPIC, 16, DESC_WRITE, 0);
}

static void buffer_on_the_ring(void) // which is RAM: allowed, and the driver's own loss
{
    offer_one((uint64_t)&ring, sizeof(ring), DESC_WRITE, 0);
}

static const struct {
    const char *name;
    void (*make)(void);
} kinds[] = {
    {"more available than the ring holds", too_many},
    {"a head beyond the ring", head_too_large},
    {"a next beyond the ring", next_too_large},
    {"a loop", loop},
    {"an empty table", empty_table},
    {"a table of one and a half", odd_table},
    {"a table longer than a queue", long_table},
    {"a table in a table", nested_table},
    {"a table with a next", table_with_next},
    {"a table where no RAM is", table_elsewhere},
    {"a loop in a table", table_loop},
    {"a buffer where no RAM is", buffer_elsewhere},
    {"a buffer longer than RAM", buffer_too_long},
    {"a buffer around the end of addresses", buffer_that_wraps},
    {"an empty buffer", empty_buffer},
    {"a buffer to read behind one to write", readable_last},
    {"a buffer on a device", buffer_on_a_device},
    {"a buffer over the rings", buffer_on_the_ring},
};
_Static_assert(ARRAY_LENGTH(kinds) == RINGS_KINDS, "each has a name");

const char *rings_name(unsigned kind)
{
    return kinds[kind].name;
}

static void set_up(const struct virtio_function *function, unsigned queue)
{
    (void)virtio_negotiate(function, rings_features);
    virtio_enable(function, queue, &ring, SIZE, VIRTIO_NO_VECTOR);
    virtio_go(function);
}

bool rings_play(const struct virtio_function *function, unsigned queue, unsigned kind)
{
    set_up(function, queue);
    kinds[kind].make();
    virtio_notify(function, queue);
    return virtio_status(function) & VIRTIO_NEEDS_RESET;
}

void rings_scramble(void)
{
    uint64_t random = 1;
    while (!rings_quiet) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        unsigned number = (unsigned)(random >> 60);
        ring.descriptor[number].flags = (uint16_t)(random >> 20 & 7);
        ring.descriptor[number].next = (uint16_t)(random >> 24 & 0x1f);
        ring.descriptor[number].length = (uint32_t)(random >> 32 & (MOST - 1));
        ring.descriptor[number].at = random >> 16 & 1 ? (uint64_t)table : (uint64_t)bytes;
        table[number] = ring.descriptor[(number + 1) % SIZE];
        ring.available.index = (uint16_t)(ring.available.index + (random >> 40 & 3));
    }
}

bool rings_recover(const struct virtio_function *function, unsigned queue)
{
    set_up(function, queue);
    virtio_notify(function, queue);
    return !(virtio_status(function) & VIRTIO_NEEDS_RESET);
}
