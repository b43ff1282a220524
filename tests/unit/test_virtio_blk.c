// drivers/virt/virtio/virtio_blk.c: requests of all kinds, done or refused.
#include "tests/unit/virtio_disk.h"

// ---- requests ----

static void sectors_are_read_and_written(void **state)
{
    (void)state;
    assert_int_equal(get(0x2000, 8), SECTORS);
    assert_int_equal(request(0, 7, 2048, true), 0);
    assert_memory_equal(ram + BUFFERS, disk_ram + 7 * 512, 2048);
    memset(ram + BUFFERS, 0x5a, 4096);
    assert_int_equal(request(1, SECTORS - 8, 4096, false), 0);
    assert_memory_equal(disk_ram + (SECTORS - 8) * 512, ram + BUFFERS, 4096);
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(request(8, 0, 20, true), 0);
    assert_string_equal((char *)ram + BUFFERS, "scratch");
    assert_int_equal(rises, 1);
    assert_true(line);
    assert_int_equal(get(0x1000, 1), 1); // read and acknowledged
    assert_false(line);
}

// 2 MiB and more, over the disk's own pieces, in pieces of work.
static void large_requests_are_done_in_pieces(void **state)
{
    (void)state;
    put_header(0, 0);
    describe(0, 0, HEADER_AT, 16, NEXT, 1);
    describe(0, 1, BUFFERS, 0x2ffe00, NEXT | WRITE, 2);
    describe(0, 2, STATUS_AT, 1, WRITE, 0);
    offer(0, 0);
    notify(0);
    assert_int_equal(used(0)[1], 0); // more than an exit does
    assert_in_range(disk.request.done, 1, disk.request.bytes - 1);
    uint64_t before = disk.request.done;
    vm_tick_devices(&vm, 0);
    assert_int_equal(disk.request.done, before + (256 << 10)); // a piece a tick
    memset(ram + HEADER_AT, 0xff, 16);                         // too late: it was read
    tick_until_quiet();
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(ram[STATUS_AT], 0);
    assert_memory_equal(ram + BUFFERS, disk_ram, 0x2ffe00);
}

static void what_is_not_there_is_an_error(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t bytes;
        bool in;
        unsigned status;
    } cases[] = {
        {0, SECTORS, 512, true, 1},  {0, SECTORS - 1, 1024, true, 1},
        {0, ~0ULL, 512, true, 1},    {0, ~0ULL / 512, 512, true, 1},
        {1, SECTORS, 512, false, 1}, {0, 0, 511, true, 1},
        {1, 0, 1, false, 1},         {2, 0, 512, true, 2},
        {99, 0, 0, false, 2},        {11, 0, 15, false, 1},
        {13, 0, 32, false, 1},       {1, ~0ULL - 7, 4096, false, 1},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(request(cases[i].type, cases[i].sector, cases[i].bytes, cases[i].in),
                         cases[i].status);
        assert_false(needs_reset());
    }
}

static void ranges_become_zeros(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, sectors, flags;
        uint64_t sector;
        unsigned status;
    } cases[] = {{13, 16, 0, 5, 0},         {13, 16, 1, 5, 0},   {13, 1, 2, 0, 2},
                 {11, 4, 0, 100, 0},        {11, 4, 1, 0, 2},    {11, 1, 0, SECTORS, 1},
                 {13, 0xffffffff, 0, 0, 1}, {13, 1, 0, ~0ULL, 1}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        memset(disk_ram, 0xaa, sizeof(disk_ram));
        memcpy(ram + BUFFERS, &cases[i].sector, 8);
        memcpy(ram + BUFFERS + 8, &cases[i].sectors, 4);
        memcpy(ram + BUFFERS + 12, &cases[i].flags, 4);
        assert_int_equal(request(cases[i].type, 0, 16, false), cases[i].status);
        for (uint64_t s = 0; s < SECTORS; s++) {
            bool is_zero = !cases[i].status && s - cases[i].sector < cases[i].sectors;
            assert_int_equal(disk_ram[s * 512 + 17], is_zero ? 0 : 0xaa);
        }
    }
}

// Eight discards of 256 KiB in a queue: an exit does one or two.
static void discards_cost_what_they_clear(void **state)
{
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000);
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *header = ram + 0x90000 + i * 64, *range = header + 16;
        const uint32_t sectors = 512, type = 11;
        const uint64_t sector = i * 512ULL;
        memcpy(header, &type, 4);
        memcpy(range, &sector, 8);
        memcpy(range + 8, &sectors, 4);
        table[2 * i] = (struct driver_descriptor){0x90000 + i * 64, 32, NEXT, 1};
        table[2 * i + 1] = (struct driver_descriptor){0x90000 + i * 64 + 48, 1, WRITE, 0};
        describe(0, i, 0x80000 + i * 32, 32, INDIRECT, 0);
        offer(0, i);
    }
    notify(0);
    assert_in_range(used(0)[1], 1, 2);
    tick_until_quiet();
    assert_int_equal(used(0)[1], 8);
    for (uint64_t i = 0; i < 8 * 512 * 512; i += 511)
        assert_int_equal(disk_ram[i], 0);
}

static void a_module_is_read_only(void **state)
{
    fresh(state);
    block.image = disk_ram;
    plug_driver(&disk.virtio, &virtio_blk_class, describe_disk);
    set(0x00, 4, 0);
    assert_true(get(0x04, 4) & BIT32(5));
    drive(VIRTIO_F_ALL | BIT(5), 1);
    assert_int_equal(request(0, 3, 512, true), 0);
    assert_memory_equal(ram + BUFFERS, disk_ram + 3 * 512, 512);
    uint8_t before = disk_ram[0];
    assert_int_equal(request(1, 0, 512, false), 1);
    assert_int_equal(request(13, 0, 16, false), 1);
    assert_int_equal(disk_ram[0], before);
}

// Header and data in odd pieces, through an indirect table.
static void framing_is_the_drivers(void **state)
{
    (void)state;
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000);
    put_header(0, 9);
    for (unsigned i = 0; i < 16; i++)
        table[i] = (struct driver_descriptor){HEADER_AT + i, 1, NEXT, (uint16_t)(i + 1)};
    table[16] = (struct driver_descriptor){BUFFERS, 100, NEXT | WRITE, 17};
    table[17] = (struct driver_descriptor){BUFFERS + 100, 412, NEXT | WRITE, 18};
    table[18] = (struct driver_descriptor){STATUS_AT, 1, WRITE, 0};
    describe(1, 5, 0x80000, 19 * 16, INDIRECT, 0);
    offer(1, 5);
    notify(1);
    assert_int_equal(used(1)[1], 1);
    assert_int_equal(used_element(1, 0)[0], 5);
    assert_int_equal(used_element(1, 0)[1], 513);
    assert_memory_equal(ram + BUFFERS, disk_ram + 9 * 512, 512);
}

// A reset of the device or of the queue while a request is under way ends it.
static void end_what_is_under_way(bool of_queue)
{
    put_header(0, 0);
    describe(0, 0, HEADER_AT, 16, NEXT, 1);
    describe(0, 1, BUFFERS, 0x200000, NEXT | WRITE, 2);
    describe(0, 2, STATUS_AT, 1, WRITE, 0);
    offer(0, 0);
    notify(0);
    assert_in_range(disk.request.done, 1, disk.request.bytes - 1);
    set(0x16, 2, 0);
    set(of_queue ? 0x3a : 0x14, of_queue ? 2 : 1, of_queue);
    memset(ram, 0, sizeof(ram));
    tick_until_quiet();
    assert_int_equal(ram[BUFFERS + 0x1ff000], 0);
    if (of_queue)
        enable_queue(0);
    else
        drive(VIRTIO_F_ALL, 1);
    assert_int_equal(request(0, 1, 512, true), 0);
}

static void a_reset_ends_what_is_under_way(void **state)
{
    (void)state;
    end_what_is_under_way(false);
}

static void a_queues_reset_ends_what_is_under_way(void **state)
{
    (void)state;
    end_what_is_under_way(true);
}

// ---- without memory ----

static void begin_request(uint32_t type, uint64_t sector, uint32_t bytes)
{
    put_header(type, sector);
    describe(0, 0, HEADER_AT, 16, NEXT, 1);
    describe(0, 1, BUFFERS, bytes, NEXT, 2);
    describe(0, 2, STATUS_AT, 1, WRITE, 0);
    offer(0, 0);
    notify(0);
}

static void begin_write(uint64_t sector, uint32_t bytes)
{
    memset(ram + BUFFERS, 0x5a, bytes);
    begin_request(1, sector, bytes);
}

static void expect_waiting(void)
{
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(used(0)[1], 0);
        assert_int_equal(ram[STATUS_AT], 0xee);
        assert_false(needs_reset());
        assert_true(vm.deadlines.first != NEVER);
        vm_tick_devices(&vm, vm.deadlines.first);
    }
}

static void expect_done(uint64_t sector, uint32_t bytes, uint8_t byte)
{
    for (unsigned i = 0; i < 3; i++)
        vm_tick_devices(&vm, vm.deadlines.first);
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(used_element(0, 0)[0], 0);
    assert_int_equal(ram[STATUS_AT], 0);
    for (uint32_t i = 0; i < bytes; i++)
        assert_int_equal(disk_ram[sector * 512 + i], byte);
}

static void a_starved_vms_requests_wait(void **state)
{
    (void)state;
    vm.is_starved = true;
    begin_write(7, 512);
    expect_waiting();
    vm.is_starved = false;
    expect_done(7, 512, 0x5a);
}

static unsigned frames_left;

static uint8_t *find_frame(const struct gmem *memory, gpa_t page)
{
    if (!frames_left)
        vm.is_starved = true;
    if (!frames_left)
        return NULL;
    frames_left--;
    gmem_set_page(&block.data, page, disk_ram + page.value);
    return gmem_page(memory, page);
}

static void let_pages_be_away(void)
{
    static uint8_t *pages[GMEM_PIECE / PAGE_SIZE];
    memset(disk_pieces, 0, sizeof(disk_pieces));
    memset(pages, 0, sizeof(pages));
    gmem_init(&block.data, disk_pieces, 2);
    gmem_add(&block.data, gpa(0), NULL, sizeof(disk_ram));
    gmem_split(&block.data, gpa(0), pages);
    block.data.take = find_frame;
}

static void a_write_that_finds_no_frame_is_tried_again(void **state)
{
    (void)state;
    let_pages_be_away();
    frames_left = 2;
    begin_write(8, 4 * 4096);
    expect_waiting();
    vm.is_starved = false;
    frames_left = 1; // not enough
    expect_waiting();
    vm.is_starved = false;
    frames_left = 4;
    expect_done(8, 4 * 4096, 0x5a);
    assert_int_equal(frames_left, 3);
}

static void so_are_zeros(void **state)
{
    (void)state;
    const uint64_t range[2] = {8, 16};
    let_pages_be_away();
    frames_left = 1;
    memcpy(ram + BUFFERS, range, sizeof(range));
    begin_request(13, 0, sizeof(range));
    expect_waiting();
    vm.is_starved = false;
    frames_left = 1;
    expect_done(8, 16 * 512, 0);
}

static void an_error_stays_one(void **state)
{
    (void)state;
    vm.is_starved = true;
    begin_write(SECTORS, 512);
    expect_waiting();
    vm.is_starved = false;
    for (unsigned i = 0; i < 3; i++)
        vm_tick_devices(&vm, vm.deadlines.first);
    assert_int_equal(ram[STATUS_AT], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sectors_are_read_and_written, driven),
        cmocka_unit_test_setup(large_requests_are_done_in_pieces, driven),
        cmocka_unit_test_setup(what_is_not_there_is_an_error, driven),
        cmocka_unit_test_setup(ranges_become_zeros, driven),
        cmocka_unit_test_setup(discards_cost_what_they_clear, driven),
        cmocka_unit_test(a_module_is_read_only),
        cmocka_unit_test_setup(framing_is_the_drivers, driven),
        cmocka_unit_test_setup(a_reset_ends_what_is_under_way, driven),
        cmocka_unit_test_setup(a_starved_vms_requests_wait, driven),
        cmocka_unit_test_setup(a_write_that_finds_no_frame_is_tried_again, driven),
        cmocka_unit_test_setup(so_are_zeros, driven),
        cmocka_unit_test_setup(an_error_stays_one, driven),
        cmocka_unit_test_setup(a_queues_reset_ends_what_is_under_way, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
