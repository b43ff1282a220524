// drivers/virt/virtio/virtio_rng.c: random bytes, and how many a second.
#include "tests/unit/virtio_driver.h"

#include "drivers/virt/virtio/virtio_rng.h"

#define RATE   1000
#define SECOND UINT64_C(1000000000)

static struct virtio_rng rng;

static void describe_rng(void)
{
    virtio_rng_describe(&rng, RATE);
}

static int driven(void **state)
{
    (void)state;
    plug_driver(&rng.virtio, &virtio_rng_class, describe_rng);
    drive(VIRTIO_F_ALL, 1);
    vm_tick_devices(&vm, 0);
    return 0;
}

// A notification at a time of VM time.
static void notify_at(uint64_t now)
{
    struct access access = {.offset = NOTICES, .size = 2, .write = true, .now = now};
    assert_true(bus_access(&vm.ports, &access));
}

static void ask(unsigned number, uint32_t bytes)
{
    describe(0, number, BUFFERS + 0x1000 * number, bytes, WRITE, 0);
    offer(0, number);
}

// The buffers that were given back so far hold this many bytes.
static uint64_t given(void)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < used(0)[1]; i++)
        bytes += used_element(0, i)[1];
    return bytes;
}

static void it_is_an_entropy_device(void **state)
{
    (void)state;
    assert_int_equal(pci_register(0, false, 0), 0x10441af4);
    assert_int_equal(pci_register(8, false, 0) >> 8, 0x00ff00);
    assert_int_equal(get(0x12, 2), 1); // queues
}

static void a_buffer_is_filled_at_once(void **state)
{
    (void)state;
    ask(0, 64);
    notify_at(5 * SECOND);
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(used_element(0, 0)[1], 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(ram[BUFFERS + i], i + 1);
    assert_int_equal(ram[BUFFERS + 64], 0);
    assert_int_equal(rises, 1);
    assert_int_equal(vm.deadlines.first, NEVER);
}

static void a_large_buffer_gets_a_part(void **state)
{
    (void)state;
    ask(0, 4096);
    notify_at(5 * SECOND);
    assert_int_equal(used(0)[1], 1);
    assert_in_range(used_element(0, 0)[1], 64, 1024);
    assert_int_equal(used_element(0, 0)[1], drawn);
    assert_int_equal(ram[BUFFERS + drawn - 1], (uint8_t)drawn);
    assert_int_equal(ram[BUFFERS + drawn], 0);
}

// However much is asked for, and by however many buffers: the rate, and a second's at first.
static void a_second_has_so_many_bytes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 64, 4096};
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
        uint64_t begin = 1000 * (i + 1) * SECOND, bytes = 0, ticks = 0;
        driven(state);
        notify_at(begin);
        for (uint64_t now = begin; now <= begin + 10 * SECOND;
             now = MAX(now + 1, vm.deadlines.first), ticks++) {
            assert_true(ticks < 100000); // a deadline that comes has something to do
            vm_tick_devices(&vm, now);
            for (; used_element(0, used(0)[1]) && (uint16_t)(available(0)[1] - used(0)[1]) < 4;)
                ask(available(0)[1] % QUEUE_SIZE, sizes[i]);
            notify_at(now);
            bytes = drawn;
        }
        uint64_t most = sizes[i] == 1 ? 11 * RATE / 16 + 1 : 11 * RATE; // a byte costs as 16 do
        assert_in_range(bytes, most - 20, most);
    }
}

// Neither a reset of the device nor one of the queue brings a new allowance.
static void a_reset_pays_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        drive(VIRTIO_F_ALL, 1);
        memset(available(0), 0, 0x1000);
        memset(used(0), 0, 0x1000);
        ask(0, 256);
        notify_at(100 * SECOND);
    }
    assert_in_range(drawn, RATE - 20, RATE);
}

static void what_waits_comes_in_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        ask(i, 256);
    notify_at(100 * SECOND);
    assert_in_range(drawn, 1, RATE);
    for (uint64_t now = 100 * SECOND; vm.deadlines.first < 101 * SECOND; now = vm.deadlines.first)
        vm_tick_devices(&vm, now);
    assert_int_equal(used(0)[1], 8);
    assert_int_equal(given(), drawn);
    assert_int_equal(vm.deadlines.first, NEVER);
}

static void what_it_cannot_do_needs_a_reset(void **state)
{
    ask(0, 16);
    descriptors(0)[0].flags = 0; // to be read
    notify_at(SECOND);
    assert_true(needs_reset());
    driven(state);
    entropy = 0;
    ask(0, 16);
    notify_at(SECOND);
    assert_true(needs_reset());
    assert_int_equal(used(0)[1], 0);
    driven(state);
    ask(0, 16);
    notify_at(SECOND);
    assert_false(needs_reset());
    assert_int_equal(given(), 16);
}

// A state is the driver's, the queue's, and what is not paid for yet.
static void a_loaded_state_goes_on(void **state)
{
    static uint8_t bytes[16 << 10];
    struct explanation why;
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        ask(i, 256);
    notify_at(100 * SECOND);
    uint64_t before = drawn;
    size_t length = vdev_save(&rng.virtio.device, bytes, sizeof(bytes));
    assert_in_range(length, 100, sizeof(bytes));
    struct section_input input = {bytes, length};
    assert_int_equal(vdev_load(&rng.virtio.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&rng.virtio.device);
    vm_tick_devices(&vm, 100 * SECOND);
    assert_int_equal(drawn, before); // nothing for nothing
    vm_tick_devices(&vm, 102 * SECOND);
    assert_true(drawn > before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_an_entropy_device, driven),
        cmocka_unit_test_setup(a_buffer_is_filled_at_once, driven),
        cmocka_unit_test_setup(a_large_buffer_gets_a_part, driven),
        cmocka_unit_test_setup(a_second_has_so_many_bytes, driven),
        cmocka_unit_test_setup(a_reset_pays_nothing, driven),
        cmocka_unit_test_setup(what_waits_comes_in_time, driven),
        cmocka_unit_test_setup(what_it_cannot_do_needs_a_reset, driven),
        cmocka_unit_test_setup(a_loaded_state_goes_on, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
