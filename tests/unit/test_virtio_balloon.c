// drivers/virt/virtio/virtio_balloon.c: what its driver lends, in pieces, and says of its memory.
#include "tests/unit/virtio_driver.h"

#include "drivers/virt/virtio/virtio_balloon.h"

#define STATS_VQ  BIT(1)
#define POISON    BIT(4)
#define REPORTING BIT(5)
#define CONFIG    0x2000
#define PAGES     (RAM_BYTES / 4096)
#define DRIVER_OK 0xf

static struct virtio_balloon balloon;
static unsigned times[PAGES]; // that each page was given
static unsigned beyond;       // pages that are no RAM
static uint64_t room;         // pages that the host takes until it has settled
static unsigned settled;
static bool is_used; // by other CPUs, what was given

static uint64_t give(struct vm *of, gpa_t at, uint64_t count)
{
    uint64_t done = MIN(count, room);
    assert_ptr_equal(of, &vm);
    assert_true(is_aligned(at.value, 4096));
    for (uint64_t i = 0; i < done; i++)
        if (at.value / 4096 + i < PAGES)
            times[at.value / 4096 + i]++;
        else
            beyond++;
    room -= done;
    return done;
}

static bool settle(struct vm *of)
{
    (void)of;
    room = 100000;
    return ++settled % 3 != 0;
}

static bool is_gone(struct vm *of)
{
    (void)of;
    return !is_used;
}

static void pass_time(void)
{
    for (unsigned i = 0; vm.deadlines.first != NEVER; i++) {
        assert_true(i < 1000);
        vm_tick_devices(&vm, vm.deadlines.first);
    }
}

static void describe_balloon(void)
{
    virtio_balloon_describe(&balloon, false);
}

static int fresh(void **state)
{
    static const struct vm_host host = {
        .memory_give = give, .memory_settle = settle, .memory_is_gone = is_gone};
    (void)state;
    memset(times, 0, sizeof(times));
    beyond = settled = 0;
    is_used = false;
    room = 100000;
    plug_driver(&balloon.virtio, &virtio_balloon_class, describe_balloon);
    vm.host = &host;
    vm.traits.memory = RAM_BYTES;
    return 0;
}

static int driven(void **state)
{
    fresh(state);
    drive(VIRTIO_F_ALL | STATS_VQ | REPORTING, 4);
    pass_time();
    return 0;
}

static void put_numbers(unsigned count, uint32_t first, int step)
{
    uint32_t *number = (uint32_t *)(ram + BUFFERS);
    for (unsigned i = 0; i < count; i++)
        number[i] = first + (uint32_t)((int)i * step);
}

// A request of so many page numbers.
static void inflate(unsigned count)
{
    describe(0, 0, BUFFERS, 4 * count, 0, 0);
    offer(0, 0);
    notify(0);
}

static unsigned given(unsigned first, unsigned count)
{
    unsigned sum = 0;
    for (unsigned i = first; i < first + count; i++)
        sum += times[i];
    return sum;
}

static void pages_are_given_by_their_numbers(void **state)
{
    (void)state;
    put_numbers(200, 500, -1);
    inflate(200);
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(given(301, 200), 200);
    assert_int_equal(given(0, PAGES), 200);
    put_numbers(8, 500, 0); // the same again and again, and what is no RAM
    ((uint32_t *)(ram + BUFFERS))[7] = 0xffffffff;
    inflate(8);
    assert_int_equal(used(0)[1], 2);
    assert_int_equal(times[500], 8);
    assert_int_equal(beyond, 1);
    assert_false(needs_reset());
}

static void many_are_given_in_pieces(void **state)
{
    (void)state;
    put_numbers(700, 300, 1);
    inflate(700);
    assert_int_equal(used(0)[1], 0);
    assert_int_equal(given(300, 700), 256);
    memset(ram + BUFFERS, 0, 4 * 256); // these were read
    pass_time();
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(given(300, 700), 700);
    assert_int_equal(times[0], 0);
    assert_in_range(settled, 1, 100);
}

static void it_waits_until_the_machine_takes_more(void **state)
{
    (void)state;
    room = 10;
    put_numbers(50, 100, 1);
    inflate(50);
    assert_int_equal(given(100, 50), 10);
    assert_int_equal(used(0)[1], 0);
    for (uint64_t now = 0; now < 10 && !settled; now++)
        vm_tick_devices(&vm, now);
    assert_int_equal(settled, 1);
    pass_time();
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(given(100, 50), 50);
    assert_int_equal(given(0, PAGES), 50);
}

// The driver is not told before: another CPU may still write to what was there.
static void a_request_ends_when_no_cpu_uses_its_pages(void **state)
{
    (void)state;
    is_used = true;
    put_numbers(50, 100, 1);
    inflate(50);
    for (unsigned i = 0; i < 10; i++)
        vm_tick_devices(&vm, vm.deadlines.first);
    assert_int_equal(used(0)[1], 0);
    is_used = false;
    pass_time();
    assert_int_equal(used(0)[1], 1);
    assert_int_equal(given(100, 50), 50); // each once
    is_used = true;
    put_numbers(16, 100, 1);
    describe(1, 0, BUFFERS, 64, 0, 0); // what is taken back does not wait
    offer(1, 0);
    notify(1);
    assert_int_equal(used(1)[1], 1);
}

static void what_is_taken_back_needs_nothing(void **state)
{
    (void)state;
    put_numbers(16, 100, 1);
    describe(1, 0, BUFFERS, 64, 0, 0);
    offer(1, 0);
    notify(1);
    assert_int_equal(used(1)[1], 1);
    assert_int_equal(given(0, PAGES), 0);
}

// Two ranges, not aligned; what is whole in them is given.
static void report(unsigned queue)
{
    describe(queue, 0, 0x200800, 0x3000, NEXT | WRITE, 1);
    describe(queue, 1, 0x300000, 0x20000, WRITE, 0);
    offer(queue, 0);
    notify(queue);
    pass_time();
    assert_int_equal(used(queue)[1], 1);
}

static void free_ranges_are_given(void **state)
{
    (void)state;
    report(3);
    assert_int_equal(given(0x201, 2), 2);
    assert_int_equal(given(0x300, 0x20), 0x20);
    assert_int_equal(given(0, PAGES), 0x22);
}

// Without statistics the driver has the queue of reports where that would be.
static void queues_are_counted_as_drivers_do(void **state)
{
    fresh(state);
    drive(VIRTIO_F_ALL | REPORTING, 3);
    report(2);
    assert_int_equal(given(0, PAGES), 0x22);
}

static void a_driver_that_wants_its_pattern_keeps_its_pages(void **state)
{
    fresh(state);
    drive(VIRTIO_F_ALL | REPORTING | POISON, 3);
    set(CONFIG + 12, 4, 0xaaaaaaaa);
    report(2);
    assert_int_equal(given(0, PAGES), 0);
    set(CONFIG + 12, 4, 0);
    describe(2, 2, 0x300000, 0x1000, WRITE, 0);
    offer(2, 2);
    notify(2);
    assert_int_equal(given(0, PAGES), 1);
}

static void the_size_is_asked_for_and_told(void **state)
{
    (void)state;
    uint64_t generation = get(0x15, 1);
    virtio_balloon_set(&balloon, RAM_BYTES / 4);
    assert_int_equal(get(CONFIG, 4), PAGES * 3 / 4);
    assert_int_not_equal(get(0x15, 1), generation);
    assert_true(line);
    assert_int_equal(get(0x1000, 1), 2); // the configuration changed
    set(CONFIG, 4, 7);                   // not the driver's
    set(CONFIG + 4, 4, PAGES / 2);
    struct balloon_report told = virtio_balloon_report(&balloon);
    assert_int_equal(told.target, RAM_BYTES / 4);
    assert_int_equal(told.actual, RAM_BYTES / 2);
    set(CONFIG + 4, 4, 0xffffffff);
    assert_int_equal(virtio_balloon_report(&balloon).actual, 0);
    virtio_balloon_set(&balloon, UINT64_MAX);
    assert_int_equal(get(CONFIG, 4), 0);
}

static void put_stat(unsigned index, uint16_t tag, uint64_t value)
{
    memcpy(ram + BUFFERS + 10 * index, &tag, 2);
    memcpy(ram + BUFFERS + 10 * index + 2, &value, 8);
}

static void statistics_are_kept_until_new_ones_are_wanted(void **state)
{
    (void)state;
    assert_int_equal(virtio_balloon_report(&balloon).stats[4], UINT64_MAX);
    put_stat(0, 4, 12345);
    put_stat(1, 77, 1);
    put_stat(2, 5, 1 << 20);
    describe(2, 0, BUFFERS, 30, 0, 0);
    describe(2, 1, BUFFERS, 25, 0, 0); // the last is not whole
    offer(2, 0);
    notify(2);
    assert_int_equal(used(2)[1], 0);
    struct balloon_report told = virtio_balloon_report(&balloon);
    assert_int_equal(told.stats[4], 12345);
    assert_int_equal(told.stats[5], 1 << 20);
    assert_int_equal(told.stats[0], UINT64_MAX);
    assert_int_equal(used(2)[1], 1);
    (void)virtio_balloon_report(&balloon);
    assert_int_equal(used(2)[1], 1); // there is none to give back
    put_stat(0, 4, 9);
    offer(2, 1);
    offer(2, 0); // it gives two
    notify(2);
    assert_int_equal(used(2)[1], 2);
    assert_int_equal(virtio_balloon_report(&balloon).stats[4], 9);
    assert_int_equal(used_element(2, 1)[0], 1);
    assert_int_equal(used_element(2, 2)[0], 0);
}

// Linux fills the queue of statistics before it says that it is there.
static void what_was_there_before_the_driver_was_ok_is_found(void **state)
{
    fresh(state);
    assert_true(negotiate(VIRTIO_F_ALL | STATS_VQ));
    for (unsigned i = 0; i < 3; i++)
        enable_queue(i);
    put_stat(0, 4, 12345);
    describe(2, 0, BUFFERS, 10, 0, 0);
    offer(2, 0);
    notify(2);
    set(0x14, 1, DRIVER_OK);
    pass_time();
    assert_int_equal(virtio_balloon_report(&balloon).stats[4], 12345);
}

static void a_reset_forgets_what_was_under_way(void **state)
{
    (void)state;
    room = 1;
    put_numbers(50, 100, 1);
    inflate(50);
    put_stat(0, 4, 1);
    assert_int_equal(balloon.is_active, 1);
    set(0x14, 1, 0);
    assert_int_equal(balloon.is_active, 0);
    pass_time();
    assert_int_equal(given(0, PAGES), 1);
    assert_int_equal(virtio_balloon_report(&balloon).actual, RAM_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_are_given_by_their_numbers, driven),
        cmocka_unit_test_setup(many_are_given_in_pieces, driven),
        cmocka_unit_test_setup(it_waits_until_the_machine_takes_more, driven),
        cmocka_unit_test_setup(a_request_ends_when_no_cpu_uses_its_pages, driven),
        cmocka_unit_test_setup(what_is_taken_back_needs_nothing, driven),
        cmocka_unit_test_setup(free_ranges_are_given, driven),
        cmocka_unit_test(queues_are_counted_as_drivers_do),
        cmocka_unit_test(a_driver_that_wants_its_pattern_keeps_its_pages),
        cmocka_unit_test_setup(the_size_is_asked_for_and_told, driven),
        cmocka_unit_test_setup(statistics_are_kept_until_new_ones_are_wanted, driven),
        cmocka_unit_test(what_was_there_before_the_driver_was_ok_is_found),
        cmocka_unit_test_setup(a_reset_forgets_what_was_under_way, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
