// drivers/virt/virtio: a disk, by what its driver sees: registers, rings, requests, and what is
// left of a driver that breaks the rules.
#include "tests/unit/virtio_driver.h"

#include "drivers/virt/virtio/virtio_blk.h"

#define SECTORS   8192
#define STATUS_AT (BUFFERS - 16)
#define HEADER_AT (BUFFERS - 64)

static struct virtio_blk disk;
static struct block block;
static struct gmem_piece disk_pieces[2];
static uint8_t disk_ram[SECTORS * 512];

static void describe_disk(void)
{
    virtio_blk_describe(&disk, &block, 3);
}

static inline int fresh(void **state)
{
    (void)state;
    memset(disk_pieces, 0, sizeof(disk_pieces));
    block = (struct block){.name = "scratch", .sectors = SECTORS};
    gmem_init(&block.data, disk_pieces, 2);
    gmem_add(&block.data, gpa(0), disk_ram, sizeof(disk_ram));
    for (unsigned i = 0; i < sizeof(disk_ram); i++)
        disk_ram[i] = (uint8_t)(i / 512 + i);
    plug_driver(&disk.virtio, &virtio_blk_class, describe_disk);
    return 0;
}

static inline int driven(void **state)
{
    fresh(state);
    drive(VIRTIO_F_ALL | BIT(9) | BIT(11) | BIT(13) | BIT(14), 3);
    return 0;
}

static inline void put_header(uint32_t type, uint64_t sector)
{
    const uint32_t header[4] = {type, 0, (uint32_t)sector, (uint32_t)(sector >> 32)};
    memcpy(ram + HEADER_AT, header, sizeof(header));
    ram[STATUS_AT] = 0xee;
}

// A request in three descriptors; returns its status.
static inline unsigned request(uint32_t type, uint64_t sector, uint32_t bytes, bool in)
{
    uint16_t before = used(0)[1];
    put_header(type, sector);
    describe(0, 0, HEADER_AT, 16, NEXT, bytes ? 1 : 2);
    describe(0, 1, BUFFERS, bytes, NEXT | (in ? WRITE : 0), 2);
    describe(0, 2, STATUS_AT, 1, WRITE, 0);
    offer(0, 0);
    notify(0);
    tick_until_quiet();
    assert_int_equal(used(0)[1], (uint16_t)(before + 1));
    assert_int_equal(used_element(0, before)[0], 0);
    bool is_filled = type == 0 && ram[STATUS_AT] == 0;
    assert_int_equal(used_element(0, before)[1], is_filled ? bytes + 1 : 1);
    return ram[STATUS_AT];
}
