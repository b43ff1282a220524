// drivers/virt/virtio/virtio_blk_late.c: a disk whose back end answers late, in any order, with
// errors, or never.
#include "tests/unit/virtio_disk.h"

#define TAKEN 80

// ---- the back end ----

static struct block_client *client;
static struct {
    uint64_t handle;
    struct block_request request;
} taken[TAKEN];
static unsigned taken_count, room;

static void attach(const struct block *from, struct block_client *to)
{
    assert_ptr_equal(from, &block);
    client = to;
}

static bool submit(const struct block *from, uint64_t handle, const struct block_request *request)
{
    assert_ptr_equal(from, &block);
    for (unsigned i = 0; i < taken_count; i++)
        assert_int_not_equal(taken[i].handle, handle); // a name is never used again
    if (!room)
        return false;
    room--;
    assert_true(taken_count < TAKEN);
    taken[taken_count].handle = handle;
    taken[taken_count++].request = *request;
    return true;
}

static void answer(unsigned number, bool is_done)
{
    room++;
    client->class->answer(client, taken[number].handle, is_done);
}

static bool move(unsigned number, uint64_t offset, void *bytes, uint64_t length)
{
    return client->class->move(client, taken[number].handle, offset, bytes, length);
}

static int late(void **state)
{
    static const struct block_backend backend = {attach, submit};
    fresh(state);
    taken_count = 0;
    room = TAKEN;
    block.backend = &backend;
    plug_driver(&disk.virtio, &virtio_blk_class, describe_disk);
    drive(VIRTIO_F_ALL | BIT(9) | BIT(11) | BIT(13) | BIT(14), 3);
    return 0;
}

// ---- the driver: request `number` has its own header, data and status ----

static uint8_t *data_of(unsigned number)
{
    return ram + BUFFERS + number * 0x1000;
}

static uint8_t *status_of(unsigned number)
{
    return ram + BUFFERS - 0x1000 + number;
}

static void ask(unsigned queue, unsigned number, uint32_t type, uint64_t sector, uint32_t bytes)
{
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000 + number * 64);
    uint64_t header = 0x90000 + number * 64;
    memcpy(ram + header, &type, 4);
    memcpy(ram + header + 8, &sector, 8);
    *status_of(number) = 0xee;
    unsigned used = 0;
    table[used++] = (struct driver_descriptor){header, 16, NEXT, 1};
    if (bytes)
        table[used++] = (struct driver_descriptor){BUFFERS + number * 0x1000, bytes,
                                                   (uint16_t)(NEXT | (type == 0 ? WRITE : 0)), 2};
    table[used++] = (struct driver_descriptor){BUFFERS - 0x1000 + number, 1, WRITE, 0};
    describe(queue, number % QUEUE_SIZE, 0x80000 + number * 64, used * 16, INDIRECT, 0);
    offer(queue, number % QUEUE_SIZE);
    notify(queue);
}

// ---- tests ----

static void answers_come_in_any_order(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    ask(0, 0, 0, 7, 1024);
    ask(0, 1, 1, 9, 512);
    ask(1, 2, 4, 0, 0);
    assert_int_equal(taken_count, 3);
    assert_int_equal(taken[0].request.operation, BLOCK_READ);
    assert_int_equal(taken[0].request.offset, 7 * 512);
    assert_int_equal(taken[0].request.length, 1024);
    assert_int_equal(taken[1].request.operation, BLOCK_WRITE);
    assert_false(taken[1].request.is_durable); // it will flush
    assert_int_equal(taken[2].request.operation, BLOCK_FLUSH);
    assert_int_equal(used(0)[1] | used(1)[1], 0);
    assert_int_equal(*status_of(0), 0xee);

    memset(data_of(1), 0x77, 512);
    assert_true(move(1, 0, bytes, 100)); // in pieces
    assert_true(move(1, 100, bytes + 100, 412));
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(bytes[i], 0x77);
    answer(2, true);
    assert_int_equal(*status_of(2), 0);
    assert_int_equal(used(1)[1], 1);
    answer(1, true);
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(used_element(0, 0)[0], 1); // the second came first
    assert_int_equal(used_element(0, 0)[1], 1);
    memset(bytes, 0x5a, sizeof(bytes));
    assert_true(move(0, 0, bytes, 1024));
    assert_true(line);
    assert_int_equal(get(0x1000, 1), 1);
    available(0)[2 + QUEUE_SIZE] = 1; // wants to hear of the next one, too
    answer(0, true);
    assert_true(line);
    assert_int_equal(used_element(0, 1)[0], 0);
    assert_int_equal(used_element(0, 1)[1], 1025);
    assert_memory_equal(data_of(0), bytes, 1024);
    assert_false(move(0, 0, bytes, 1)); // it is through
    assert_int_equal(disk.late, 0);
}

static void an_error_is_the_drivers_to_see(void **state)
{
    (void)state;
    ask(0, 0, 0, 0, 512);
    answer(0, false);
    assert_int_equal(*status_of(0), 1);
    assert_int_equal(used_element(0, 0)[1], 1);
    assert_false(needs_reset());
}

// What needs no back end does not get there.
static void what_is_wrong_is_said_at_once(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t bytes;
        unsigned status;
    } cases[] = {{0, SECTORS, 512, 1}, {1, 0, 100, 1}, {99, 0, 0, 2}, {11, 0, 8, 1}, {0, 0, 0, 0}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        ask(0, i, cases[i].type, cases[i].sector, cases[i].bytes);
        assert_int_equal(*status_of(i), cases[i].status);
    }
    assert_int_equal(taken_count, 0);
}

static void ranges_go_to_the_back_end(void **state)
{
    (void)state;
    const uint64_t sector = 100;
    const uint32_t sectors = 8;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(data_of(i), &sector, 8);
        memcpy(data_of(i) + 8, &sectors, 4);
        memset(data_of(i) + 12, 0, 4);
        ask(0, i, i ? 13 : 11, 0, 16);
        assert_int_equal(taken[i].request.operation, i ? BLOCK_ZERO : BLOCK_DISCARD);
        assert_int_equal(taken[i].request.offset, 100 * 512);
        assert_int_equal(taken[i].request.length, 8 * 512);
    }
}

static void without_a_flush_writes_are_durable(void **state)
{
    (void)state;
    drive(VIRTIO_F_ALL, 3);
    ask(0, 0, 1, 0, 512);
    assert_true(taken[0].request.is_durable);
    memset(ram, 0, sizeof(ram));
    drive(VIRTIO_F_ALL | BIT(9) | BIT(11), 3);
    set(0x2020, 1, 0); // write-through
    ask(0, 0, 1, 0, 512);
    assert_true(taken[1].request.is_durable);
    set(0x2020, 1, 1);
    ask(0, 1, 1, 0, 512);
    assert_false(taken[2].request.is_durable);
}

// No more than it has room for; the others follow, as answers make room.
static void a_busy_back_end_is_asked_again(void **state)
{
    (void)state;
    room = 2;
    for (unsigned i = 0; i < 5; i++)
        ask(0, i, 0, i, 512);
    assert_int_equal(taken_count, 2);
    for (unsigned i = 0; i < 5; i++)
        answer(i, true);
    assert_int_equal(taken_count, 5);
    assert_int_equal(used(0)[1], 5);
}

// More requests than the device keeps track of stay in the ring.
static void a_full_device_takes_no_more(void **state)
{
    (void)state;
    set(0x16, 2, 0);
    set(0x3a, 2, 1);
    set(0x18, 2, 128);
    set(0x20, 4, rings(0));
    set(0x28, 4, rings(0) + 0x1000);
    set(0x30, 4, rings(0) + 0x2000);
    set(0x1c, 2, 1);
    for (unsigned i = 0; i < 70; i++) {
        memset(ram + 0x90000 + i * 64, 0, 16);
        struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000 + i * 64);
        table[0] = (struct driver_descriptor){0x90000 + i * 64, 16, NEXT, 1};
        table[1] = (struct driver_descriptor){BUFFERS, 512, NEXT | WRITE, 2};
        table[2] = (struct driver_descriptor){BUFFERS - 0x1000 + i, 1, WRITE, 0};
        describe(0, i, 0x80000 + i * 64, 48, INDIRECT, 0);
        available(0)[2 + i] = (uint16_t)i;
    }
    available(0)[1] = 70;
    notify(0);
    tick_until_quiet();
    assert_int_equal(taken_count, 64);
    answer(40, true);
    tick_until_quiet();
    assert_int_equal(taken_count, 65);
    for (unsigned i = 0; i < 70; i++)
        if (i != 40) {
            answer(i, true);
            tick_until_quiet();
        }
    assert_int_equal(used(0)[1], 70);
}

// A back end that never answers does not hold up a reset; what it answers then is nobody's.
static void reset_while_one_is_under_way(bool of_queue)
{
    uint8_t bytes[512];
    ask(0, 0, 0, 3, 512);
    ask(1, 1, 0, 4, 512);
    set(0x16, 2, 0);
    set(of_queue ? 0x3a : 0x14, of_queue ? 2 : 1, of_queue);
    if (!of_queue)
        assert_int_equal(get(0x14, 1), 0);
    memset(ram, 0, sizeof(ram));
    memset(bytes, 0x99, sizeof(bytes));
    assert_false(move(0, 0, bytes, 512));
    answer(0, true);
    assert_int_equal(data_of(0)[0] | *status_of(0) | used(0)[1], 0);
    if (of_queue)
        enable_queue(0);
    else
        drive(VIRTIO_F_ALL | BIT(9), 3);
    ask(0, 0, 0, 5, 512);                 // in the same place
    assert_false(move(0, 0, bytes, 512)); // by its old name
    answer(0, true);
    assert_int_equal(*status_of(0), 0xee);
    answer(2, true);
    assert_int_equal(*status_of(0), 0);
}

static void a_reset_does_not_wait(void **state)
{
    (void)state;
    reset_while_one_is_under_way(false);
    assert_int_equal(disk.late, 0);
}

static void a_queues_reset_does_not_wait(void **state)
{
    (void)state;
    reset_while_one_is_under_way(true);
    assert_int_equal(disk.late, BIT(1)); // the other queue's
}

// The driver has changed the chain since: its device needs a reset, and no other memory is touched.
static void a_chain_that_was_changed_breaks_the_device(void **state)
{
    (void)state;
    uint8_t bytes[512];
    ask(0, 0, 0, 3, 512);
    describe(0, 0, RAM_BYTES, 512, WRITE, 0);
    assert_false(move(0, 0, bytes, 512));
    assert_false(needs_reset());
    answer(0, true);
    assert_true(needs_reset());
    assert_int_equal(disk.late, 0);
    ask(0, 1, 0, 3, 512);
    assert_int_equal(taken_count, 1);
}

// A request that was taken before the state was saved is answered after it was loaded.
static void a_restored_request_is_answered(void **state)
{
    (void)state;
    static uint8_t saved[64 << 10];
    struct explanation why;
    uint8_t bytes[512];
    ask(0, 0, 0, 3, 512);
    ask(1, 1, 1, 4, 512);
    ask(1, 2, 4, 0, 0);
    answer(1, true);
    size_t length = vdev_save(&disk.virtio.device, saved, sizeof(saved));
    assert_in_range(length, 1, sizeof(saved));
    answer(0, false);
    answer(2, false);
    *status_of(0) = *status_of(2) = 0xee;
    struct section_input input = {saved, length}, again = input;
    assert_int_equal(vdev_load(&disk.virtio.device, &input, false, &why), STATUS_OK);
    assert_int_equal(vdev_load(&disk.virtio.device, &again, true, &why), STATUS_OK);
    vdev_loaded(&disk.virtio.device);
    assert_int_equal(taken_count, 5);
    assert_int_equal(taken[3].request.operation, BLOCK_READ);
    assert_int_equal(taken[3].request.offset, 3 * 512);
    assert_int_equal(taken[4].request.operation, BLOCK_FLUSH);
    answer(0, true); // from before
    assert_int_equal(*status_of(0), 0xee);
    memset(bytes, 0x42, sizeof(bytes));
    assert_true(move(3, 0, bytes, 512));
    answer(4, true);
    answer(3, true);
    assert_int_equal(*status_of(0) | *status_of(2), 0);
    assert_memory_equal(data_of(0), bytes, 512);
}

// Of a disk whose bytes are here, such a state is one of a driver that has to reset.
static void a_state_of_another_disk_is_borne(void **state)
{
    (void)state;
    static uint8_t saved[64 << 10];
    struct explanation why;
    ask(0, 0, 0, 3, 512);
    size_t length = vdev_save(&disk.virtio.device, saved, sizeof(saved));
    block.backend = NULL;
    struct section_input input = {saved, length};
    assert_int_equal(vdev_load(&disk.virtio.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&disk.virtio.device);
    assert_true(needs_reset());
    assert_int_equal(disk.late, 0);
}

static void a_vm_that_goes_is_forgotten(void **state)
{
    (void)state;
    assert_non_null(client);
    virtio_blk_leave(&disk);
    assert_null(client);
}

static void a_back_end_can_be_read_only(void **state)
{
    (void)state;
    block.is_read_only = true;
    plug_driver(&disk.virtio, &virtio_blk_class, describe_disk);
    drive(VIRTIO_F_ALL | BIT(5), 3);
    ask(0, 0, 1, 0, 512);
    assert_int_equal(*status_of(0), 1);
    ask(0, 1, 0, 0, 512);
    assert_int_equal(taken_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(answers_come_in_any_order, late),
        cmocka_unit_test_setup(an_error_is_the_drivers_to_see, late),
        cmocka_unit_test_setup(what_is_wrong_is_said_at_once, late),
        cmocka_unit_test_setup(ranges_go_to_the_back_end, late),
        cmocka_unit_test_setup(without_a_flush_writes_are_durable, late),
        cmocka_unit_test_setup(a_busy_back_end_is_asked_again, late),
        cmocka_unit_test_setup(a_full_device_takes_no_more, late),
        cmocka_unit_test_setup(a_reset_does_not_wait, late),
        cmocka_unit_test_setup(a_queues_reset_does_not_wait, late),
        cmocka_unit_test_setup(a_chain_that_was_changed_breaks_the_device, late),
        cmocka_unit_test_setup(a_restored_request_is_answered, late),
        cmocka_unit_test_setup(a_state_of_another_disk_is_borne, late),
        cmocka_unit_test_setup(a_vm_that_goes_is_forgotten, late),
        cmocka_unit_test_setup(a_back_end_can_be_read_only, late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
