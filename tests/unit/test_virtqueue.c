// drivers/virt/virtio/virtqueue.c: who is told of what, and drivers that break the rules.
#include "tests/unit/virtio_disk.h"

// ---- notifications ----

static void events_are_told_where_they_are_wanted(void **state)
{
    (void)state;
    uint16_t *used_event = available(0) + 2 + QUEUE_SIZE;
    const uint16_t *avail_event = used(0) + 2 + 4 * QUEUE_SIZE;
    *used_event = 1; // after the second
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(rises, 0);
    assert_int_equal(*avail_event, 1); // the next one is to be notified
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(rises, 1);
    get(0x1000, 1);
    *used_event = 1;
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(rises, 1);
}

static void flags_mask_interrupts_without_events(void **state)
{
    fresh(state);
    drive(VIRTIO_F_VERSION_1, 1);
    available(0)[0] = 1;
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(rises, 0);
    available(0)[0] = 0;
    assert_int_equal(request(4, 0, 0, false), 0);
    assert_int_equal(rises, 1);
    pci_register(4, true, 0x407); // INTx off
    assert_false(line);
    assert_true(pci_register(4, false, 0) & BIT32(19)); // but its status stands
    pci_register(4, true, 7);
    assert_true(line);
}

// ---- rings whose pages come and go ----

static uint8_t *pages_of_ram[GMEM_PIECE / PAGE_SIZE];
static _Alignas(4096) uint8_t moved[VIRTQUEUE_RINGS][PAGE_SIZE];

static uint8_t *take_used(const struct gmem *memory, gpa_t page)
{
    (void)memory;
    assert_int_equal(page.value, RINGS + 0x2000);
    gmem_set_page(&vm.memory, page, moved[VIRTQUEUE_USED]);
    return moved[VIRTQUEUE_USED];
}

// One page each, elsewhere from now on; what was seen before is poison.
static void move_rings(void)
{
    for (unsigned i = 0; i < VIRTQUEUE_RINGS; i++) {
        uint8_t *page = ram + RINGS + i * PAGE_SIZE;
        memcpy(moved[i], page, PAGE_SIZE);
        memset(page, 0xff, PAGE_SIZE);
        gmem_set_page(&vm.memory, gpa(RINGS + i * PAGE_SIZE), moved[i]);
    }
}

static void rings_are_seen_where_their_pages_are(void **state)
{
    (void)state;
    uint16_t *available_now = (uint16_t *)moved[VIRTQUEUE_AVAILABLE];
    const uint16_t *used_now = (const uint16_t *)moved[VIRTQUEUE_USED];
    assert_int_equal(request(4, 0, 0, false), 0);
    gmem_split(&vm.memory, gpa(0), pages_of_ram);
    assert_int_equal(request(4, 0, 0, false), 0);
    move_rings();
    for (unsigned index = 2; index < 4; index++) {
        ram[STATUS_AT] = 0xee;
        available_now[2 + index % QUEUE_SIZE] = 0;
        available_now[1]++;
        notify(0);
        assert_int_equal(ram[STATUS_AT], 0);
        assert_int_equal(used_now[1], index + 1);
        for (unsigned i = 0; i < VIRTQUEUE_RINGS * PAGE_SIZE; i++)
            assert_int_equal(ram[RINGS + i], 0xff);
        // The second time, the page of the used ring is away: it comes when it is written.
        vm.memory.take = take_used;
        gmem_set_page(&vm.memory, gpa(RINGS + 0x2000), NULL);
    }
    assert_false(needs_reset());
}

// ---- drivers that break the rules ----

struct broken {
    const char *what;
    void (*make)(void);
    uint64_t features;
};

static void make_head_too_large(void)
{
    offer(0, QUEUE_SIZE);
}

static void make_index_too_far(void)
{
    available(0)[1] = QUEUE_SIZE + 1;
}

static void make_next_too_large(void)
{
    describe(0, 0, HEADER_AT, 16, NEXT, QUEUE_SIZE);
    offer(0, 0);
}

static void make_loop(void)
{
    describe(0, 0, HEADER_AT, 16, NEXT, 1);
    describe(0, 1, BUFFERS, 512, NEXT | WRITE, 1);
    offer(0, 0);
}

static void make_indirect_loop(void)
{
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000);
    table[0] = (struct driver_descriptor){BUFFERS, 1, NEXT, 0};
    describe(0, 0, 0x80000, 16, INDIRECT, 0);
    offer(0, 0);
}

static void make_nested(void)
{
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000);
    table[0] = (struct driver_descriptor){0x80000, 16, INDIRECT, 0};
    describe(0, 0, 0x80000, 16, INDIRECT, 0);
    offer(0, 0);
}

static void make_indirect_empty(void)
{
    describe(0, 0, 0x80000, 0, INDIRECT, 0);
    offer(0, 0);
}

static void make_indirect_odd(void)
{
    describe(0, 0, 0x80000, 24, INDIRECT, 0);
    offer(0, 0);
}

static void make_indirect_huge(void)
{
    describe(0, 0, 0x80000, 16 * 257, INDIRECT, 0);
    offer(0, 0);
}

static void make_indirect_next(void)
{
    describe(0, 0, 0x80000, 16, INDIRECT | NEXT, 1);
    offer(0, 0);
}

static void make_indirect_elsewhere(void)
{
    describe(0, 0, RAM_BYTES, 16, INDIRECT, 0);
    offer(0, 0);
}

static void make_empty_buffer(void)
{
    describe(0, 0, HEADER_AT, 0, 0, 0);
    offer(0, 0);
}

static void make_buffer_elsewhere(void)
{
    describe(0, 0, RAM_BYTES - 8, 16, 0, 0);
    offer(0, 0);
}

static void make_buffer_huge(void)
{
    describe(0, 0, ~0ULL - 8, 0xffffffff, 0, 0);
    offer(0, 0);
}

static void make_readable_behind_writable(void)
{
    describe(0, 0, STATUS_AT, 1, WRITE | NEXT, 1);
    describe(0, 1, HEADER_AT, 16, 0, 0);
    offer(0, 0);
}

static void make_no_status(void)
{
    describe(0, 0, HEADER_AT, 16, 0, 0);
    offer(0, 0);
}

static void make_short_header(void)
{
    describe(0, 0, HEADER_AT, 15, NEXT, 1);
    describe(0, 1, STATUS_AT, 1, WRITE, 0);
    offer(0, 0);
}

static void broken_rules_need_a_reset(void **state)
{
    static const struct broken cases[] = {
        {"head", make_head_too_large, VIRTIO_F_ALL},
        {"index", make_index_too_far, VIRTIO_F_ALL},
        {"next", make_next_too_large, VIRTIO_F_ALL},
        {"loop", make_loop, VIRTIO_F_ALL},
        {"loop in a table", make_indirect_loop, VIRTIO_F_ALL},
        {"table in a table", make_nested, VIRTIO_F_ALL},
        {"table, not negotiated", make_nested, VIRTIO_F_VERSION_1},
        {"empty table", make_indirect_empty, VIRTIO_F_ALL},
        {"odd table", make_indirect_odd, VIRTIO_F_ALL},
        {"huge table", make_indirect_huge, VIRTIO_F_ALL},
        {"table with a next", make_indirect_next, VIRTIO_F_ALL},
        {"table that is no RAM", make_indirect_elsewhere, VIRTIO_F_ALL},
        {"empty buffer", make_empty_buffer, VIRTIO_F_ALL},
        {"buffer over the end", make_buffer_elsewhere, VIRTIO_F_ALL},
        {"huge buffer", make_buffer_huge, VIRTIO_F_ALL},
        {"order", make_readable_behind_writable, VIRTIO_F_ALL},
        {"no status", make_no_status, VIRTIO_F_ALL},
        {"short header", make_short_header, VIRTIO_F_ALL},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        fresh(state);
        drive(cases[i].features, 1);
        cases[i].make();
        notify(0);
        tick_until_quiet();
        if (!needs_reset())
            fail_msg("%s: the device goes on", cases[i].what);
        assert_true(disk.virtio.is_told);
        assert_int_equal(get(0x1000, 1), 2); // the configuration changed
        notify(0);
        assert_int_equal(used(0)[1], 0);
        memset(ram + RINGS, 0, RINGS_BYTES);
        drive(VIRTIO_F_ALL, 1); // as good as new
        assert_int_equal(request(0, 1, 512, true), 0);
        assert_true(disk.virtio.is_told);
    }
}

static void notices_of_nothing_are_borne(void **state)
{
    fresh(state);
    for (unsigned i = 0; i < 32; i++)
        notify(i);
    drive(VIRTIO_F_ALL, 1);
    for (unsigned i = 0; i < 32; i++)
        notify(i);
    assert_false(needs_reset());
    assert_int_equal(request(0, 1, 512, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(events_are_told_where_they_are_wanted, driven),
        cmocka_unit_test(flags_mask_interrupts_without_events),
        cmocka_unit_test_setup(rings_are_seen_where_their_pages_are, driven),
        cmocka_unit_test(broken_rules_need_a_reset),
        cmocka_unit_test(notices_of_nothing_are_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
