// drivers/virt/virtio/virtio_net.c, virtio_net_receive.c: two network cards, by the frames that
// their drivers see.
#include "tests/unit/virtio_cards.h"

// ---- frames ----

static void frames_go_both_ways(void **state)
{
    (void)state;
    drive(&left, MERGE); // with an interrupt for each
    drive(&right, MERGE);
    post(&left, 0, 8, 2048);
    post(&right, 0, 8, 2048);
    for (unsigned length = 14; length <= 1514; length += 300) {
        make_frame(&left, RIGHT_MAC, LEFT_MAC, length);
        send_frame(&left, 1, length);
        assert_received(&right, 0, &left, length);
        make_frame(&right, LEFT_MAC, RIGHT_MAC, length);
        send_frame(&right, 1, length);
        assert_received(&left, 0, &right, length);
        assert_int_equal(get(&left, ISR, 1), 1);
        assert_int_equal(get(&right, ISR, 1), 1);
    }
    static const uint8_t header[NET_OFFLOAD] = {[10] = 1};
    assert_memory_equal(got, header, NET_OFFLOAD);
    assert_false(needs_reset(&left) || needs_reset(&right));
}

static void nobody_is_asked_to_notify_of_buffers(void **state)
{
    (void)state;
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 60);
    post(&right, 0, 1, 2048);
    for (unsigned i = 0; i < 3; i++)
        send_frame(&left, 1, 60);
    assert_int_equal(right.port.dropped[NET_DROP_TO_BUFFERS], 2);
    assert_int_equal(*(uint16_t *)(right.ram + rings(0) + 0x2000 + 4 + 8 * RING_SIZE), 0);
    notify(&right, 0); // and if it does nevertheless
    assert_int_equal(right.vm.deadlines.first, NEVER);
}

// An interrupt when the driver wants one.
static void interrupts_are_for_who_wants_them(void **state)
{
    (void)state;
    uint16_t *used_event = (uint16_t *)(right.ram + rings(0) + 0x1000 + 4 + 2 * RING_SIZE);
    post(&right, 0, 8, 2048);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 60);
    *used_event = 2;
    send_frame(&left, 1, 60);
    send_frame(&left, 1, 60);
    assert_int_equal(right.rises, 0);
    send_frame(&left, 1, 60);
    assert_int_equal(right.rises, 1);
    assert_int_equal(left.rises, 1); // of what it sent: its event is 0
}

// Header and frame in any pieces, on both sides.
static void framing_is_the_drivers(void **state)
{
    (void)state;
    static const uint16_t sizes[][3] = {
        {1, 1, 1}, {11, 5, 300}, {12, 14, 100}, {300, 1, 4}, {7, 900, 3}};
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
        drive(&left, MERGE | VIRTIO_F_INDIRECT_DESC);
        drive(&right, MERGE | VIRTIO_F_INDIRECT_DESC);
        struct driver_descriptor *out = (struct driver_descriptor *)(left.ram + 0x70000);
        struct driver_descriptor *in = (struct driver_descriptor *)(right.ram + 0x70000);
        const unsigned length = 200;
        make_frame(&left, RIGHT_MAC, LEFT_MAC, length);
        unsigned n = 0;
        for (unsigned at = 0, part; at < NET_OFFLOAD + length; at += part, n++) {
            part = MIN(sizes[i][n % 3], NET_OFFLOAD + length - at);
            out[n] = (struct driver_descriptor){SEND_AT + at, part, NEXT, (uint16_t)(n + 1)};
        }
        out[n - 1].flags = 0;
        describe(&left, 1, 0, 0x70000, n * 16, INDIRECT, 0);
        memset(right.ram + BUFFERS, 0xee, 0x1000);
        unsigned room = 0;
        for (n = 0; room < NET_OFFLOAD + length + 5; n++) {
            unsigned part = sizes[i][(n + 1) % 3];
            in[n] =
                (struct driver_descriptor){BUFFERS + room, part, NEXT | WRITE, (uint16_t)(n + 1)};
            room += part;
        }
        in[n - 1].flags = WRITE;
        describe(&right, 0, 0, 0x70000, n * 16, INDIRECT, 0);
        offer(&right, 0, 0);
        offer(&left, 1, 0);
        notify(&left, 1);
        assert_int_equal(used(&right, 0)[1], 1);
        assert_int_equal(used_element(&right, 0, 0)[1], NET_OFFLOAD + length);
        assert_memory_equal(right.ram + BUFFERS + NET_OFFLOAD, frame(&left), length);
        assert_int_equal(right.ram[BUFFERS + 10], 1);
        assert_int_equal(right.ram[BUFFERS + NET_OFFLOAD + length], 0xee);
    }
}

// One frame over several buffers, whose number stands in the first; of odd sizes.
static void buffers_are_merged(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {12, 13, 100, 511, 1525, 1526};
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
        drive(&right, MERGE);
        unsigned count = (NET_OFFLOAD + 700 + sizes[i] - 1) / sizes[i];
        make_frame(&left, RIGHT_MAC, LEFT_MAC, 700);
        post(&right, 0, count - 1, sizes[i]);
        uint64_t dropped = right.port.dropped[NET_DROP_TO_BUFFERS];
        send_frame(&left, 1, 700); // one too few: nothing is seen of it
        assert_int_equal(used(&right, 0)[1], 0);
        assert_int_equal(right.port.dropped[NET_DROP_TO_BUFFERS], dropped + 1);
        post(&right, 0, 1, sizes[i]);
        send_frame(&left, 1, 700);
        assert_int_equal(used(&right, 0)[1], count);
        assert_received(&right, 0, &left, 700);
        assert_int_equal(got[10] | got[11] << 8, count);
        assert_false(needs_reset(&right));
    }
}

// Without merging a buffer holds a frame, or gets none.
static void buffers_are_not_merged_without_asking(void **state)
{
    (void)state;
    drive(&right, PLAIN);
    post(&right, 0, 2, 600);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 589);
    send_frame(&left, 1, 589);
    assert_int_equal(used(&right, 0)[1], 0);
    send_frame(&left, 1, 588);
    assert_received(&right, 0, &left, 588);
    assert_int_equal(got[10], 1);
}

// A TSO frame of 64 KiB goes as one, or is cut.
static void long_frames_go_as_they_are(void **state)
{
    (void)state;
    drive(&left, MERGE | OFFLOADS);
    for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
        drive(&right, MERGE | (is_cut ? 0 : OFFLOADS));
        post(&right, 0, is_cut ? 46 : 17, 4096);
        make_frame(&left, RIGHT_MAC, LEFT_MAC, 65535);
        memcpy(frame(&left) + 12, "\x08\x00\x45\x00", 4);
        frame(&left)[23] = 6;
        frame(&left)[46] = 0x50;
        memcpy(left.ram + SEND_AT, &(struct net_offload){1, 1, 54, 1460, 34, 16, 0}, NET_OFFLOAD);
        send_frame(&left, 1, 65535);
        if (!is_cut) {
            assert_received(&right, 0, &left, 65535);
            assert_int_equal(got[0] | got[1] << 8, 0x101);
            assert_int_equal(got[10], 17);
            continue;
        }
        unsigned frames = 0;
        for (unsigned length; (length = receive_frame(&right, 0, got)) != 0; frames++)
            assert_in_range(length, 12 + 54 + 1, 12 + 1514);
        assert_int_equal(frames, 45);
    }
    assert_int_equal(right.port.dropped[NET_DROP_TO_BUFFERS], 0);
}

// Many frames to all with one notice, more than an exit sends; and all arrive.
static void many_frames_are_sent_in_pieces(void **state)
{
    (void)state;
    post(&right, 0, RING_SIZE, 2048);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        describe(&left, 1, i, SEND_AT, NET_OFFLOAD + 1514, 0, 0);
        offer(&left, 1, i);
    }
    make_frame(&left, BROADCAST, LEFT_MAC, 1514);
    for (unsigned i = 0; i < 20; i++) { // there are more ports, which cost a look each
        static struct net_port others[20];
        struct explanation why;
        others[i] = (struct net_port){.name = "other", .mac = 0x100000 * (i + 1)};
        assert_int_equal(net_port_add(&lan, &others[i], &why), STATUS_OK);
    }
    notify(&left, 1);
    uint64_t at_once = right.port.received.frames;
    assert_in_range(at_once, 20, RING_SIZE - 1);
    tick_until_quiet(&left);
    assert_int_equal(used(&left, 1)[1], RING_SIZE);
    assert_int_equal(right.port.received.frames, RING_SIZE);
}

static void over_its_rate_a_queue_waits(void **state)
{
    fresh(state);
    net_rate_set(&left.port.sent_frames, 1000, 5);
    plug_both();
    drive(&left, MERGE);
    drive(&right, MERGE);
    post(&right, 0, 20, 2048);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 100);
    for (unsigned i = 0; i < 20; i++) {
        describe(&left, 1, i, SEND_AT, NET_OFFLOAD + 100, 0, 0);
        offer(&left, 1, i);
    }
    notify(&left, 1);
    assert_int_equal(used(&left, 1)[1], 6);
    uint64_t due = left.vm.deadlines.first;
    assert_in_range(due, 900000, 1000001);
    notify(&left, 1); // asking does not help
    assert_int_equal(used(&left, 1)[1], 6);
    assert_int_equal(left.port.waited, 1);
    vm_tick_devices(&left.vm, due - 1);
    assert_int_equal(used(&left, 1)[1], 6);
    for (unsigned i = 7; i <= 20; i++) {
        uint64_t step = left.vm.deadlines.first;
        host_time += 1000000;
        vm_tick_devices(&left.vm, step);
        assert_int_equal(used(&left, 1)[1], i);
    }
    assert_int_equal(right.port.received.frames, 20);
    assert_int_equal(left.port.waited, 15); // behind the last one, too
    assert_int_equal(right.port.waited, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_go_both_ways, driven),
        cmocka_unit_test_setup(nobody_is_asked_to_notify_of_buffers, driven),
        cmocka_unit_test_setup(interrupts_are_for_who_wants_them, driven),
        cmocka_unit_test_setup(framing_is_the_drivers, driven),
        cmocka_unit_test_setup(buffers_are_merged, driven),
        cmocka_unit_test_setup(buffers_are_not_merged_without_asking, driven),
        cmocka_unit_test_setup(long_frames_go_as_they_are, driven),
        cmocka_unit_test_setup(many_frames_are_sent_in_pieces, driven),
        cmocka_unit_test(over_its_rate_a_queue_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
