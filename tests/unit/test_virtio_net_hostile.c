// drivers/virt/virtio/virtio_net.c: drivers that break the rules, a card that is saved and loaded,
// and two CPUs.
#include "tests/unit/virtio_cards.h"

#include <pthread.h>

// ---- drivers that break the rules ----

static void bad_senders_need_a_reset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        drive(&left, MERGE | COMMANDS);
        unsigned queue = i < 3 ? 1 : 2;
        describe(&left, queue, 0, i == 1 ? 0x40000000 : SEND_AT, i == 0 ? 11 : 100, 0, 0);
        left.net.virtio.work = BIT32(3);      // something else, which is not done any more
        offer(&left, queue, i == 2 ? 99 : 0); // the last: a command without room for an answer
        notify(&left, queue);
        assert_true(needs_reset(&left));
        assert_int_equal(get(&left, ISR, 1), 2);
        assert_int_equal(left.vm.deadlines.first, NEVER);
    }
    drive(&left, MERGE);
    assert_true(arrives(RIGHT_MAC) || right.port.dropped[NET_DROP_TO_BUFFERS]);
}

// A receiver that breaks them costs its sender no more than a frame.
static void bad_receivers_need_a_reset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        drive(&right, MERGE);
        describe(&right, 0, 0, i == 1 ? 0x40000000 : BUFFERS, i == 0 ? 11 : 2048,
                 i == 3 ? 0 : WRITE, 0);
        offer(&right, 0, i == 2 ? 99 : 0);
        assert_false(arrives(RIGHT_MAC));
        assert_true(needs_reset(&right));
        assert_int_equal(get(&right, ISR, 1), 2);
        assert_false(needs_reset(&left));
        assert_false(arrives(RIGHT_MAC));
    }
    drive(&right, MERGE);
    post(&right, 0, 1, 2048);
    assert_true(arrives(RIGHT_MAC));
}

// Buffers of a byte, each of many descriptors: who sends does not walk them all for a frame.
static void buffers_in_many_pieces_are_not_walked_for_ever(void **state)
{
    (void)state;
    drive(&right, MERGE | VIRTIO_F_INDIRECT_DESC);
    struct driver_descriptor *table = (struct driver_descriptor *)(right.ram + 0x70000);
    for (unsigned i = 0; i < 256; i++)
        table[i] = (struct driver_descriptor){BUFFERS + i, 1, WRITE | (i < 255 ? NEXT : 0),
                                              (uint16_t)(i + 1)};
    for (unsigned i = 0; i < RING_SIZE; i++) {
        describe(&right, 0, i, 0x70000, 256 * 16, INDIRECT, 0);
        offer(&right, 0, i);
    }
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 1514);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        describe(&left, 1, i, SEND_AT, NET_OFFLOAD + 1514, 0, 0);
        offer(&left, 1, i);
    }
    notify(&left, 1);
    assert_in_range(right.port.dropped[NET_DROP_TO_BUFFERS], 1, 4);
    tick_until_quiet(&left);
    assert_int_equal(right.port.dropped[NET_DROP_TO_BUFFERS], RING_SIZE);
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 400);
    send_frame(&left, 1, 400); // two of them are enough
    assert_int_equal(used(&right, 0)[1], 2);
}

// ---- state ----

static uint8_t state_bytes[64 << 10];

static void a_saved_card_goes_on(void **state)
{
    (void)state;
    struct explanation why;
    drive(&right, MERGE | COMMANDS | NET_F_MQ);
    assert_int_equal(command(&right, CONTROL, 4, 0, "\2\0", 2), 0);
    assert_int_equal(command(&right, CONTROL, 0, 0, "", 1), 0);
    post(&right, 0, 8, 2048);
    virtio_net_disconnect(&right.net);
    struct vdev *device = &right.net.virtio.device;
    size_t length = vdev_save(device, state_bytes, sizeof(state_bytes));
    assert_in_range(length, 1000, sizeof(state_bytes));
    drive(&right, PLAIN);
    memset(right.net.vlan, 0xff, sizeof(right.net.vlan));
    post(&right, 0, 8, 2048);
    available(&right, 0)[1] = 8;
    used(&right, 0)[1] = 0;
    struct section_input input = {state_bytes, length}, again = input;
    assert_int_equal(vdev_load(device, &input, false, &why), STATUS_OK);
    assert_int_equal(vdev_load(device, &again, true, &why), STATUS_OK);
    vdev_loaded(device);
    virtio_net_connect(&right.net, &right.beside);
    assert_int_equal(right.net.used_pairs, 2);
    assert_int_equal(right.net.mode, 0);
    assert_int_equal(right.net.vlan[0], 0);
    assert_true(arrives(RIGHT_MAC));
    assert_false(arrives(0x0900005e0001));
}

// A frame to many that is under way when the state is saved is not sent again.
static void what_is_being_sent_is_given_back(void **state)
{
    (void)state;
    struct explanation why;
    struct vdev *device = &left.net.virtio.device;
    left.net.is_active = true;
    left.net.active_queue = 1;
    left.net.active_head = 5;
    size_t length = vdev_save(device, state_bytes, sizeof(state_bytes));
    struct section_input input = {state_bytes, length};
    assert_int_equal(vdev_load(device, &input, true, &why), STATUS_OK);
    vdev_loaded(device);
    assert_false(left.net.is_active);
    tick_until_quiet(&left);
    assert_int_equal(used(&left, 1)[1], 1);
    assert_int_equal(used_element(&left, 1, 0)[0], 5);
    assert_int_equal(left.port.sent.frames, 0);
}

static void a_reset_ends_what_is_being_sent(void **state)
{
    (void)state;
    for (unsigned of_queue = 0; of_queue < 2; of_queue++) {
        drive(&left, MERGE | VIRTIO_F_RING_RESET);
        left.net.is_active = true;
        left.net.active_queue = 1;
        set(&left, 0x16, 2, 1);
        set(&left, of_queue ? 0x3a : 0x14, of_queue ? 2 : 1, of_queue);
        assert_false(left.net.is_active);
    }
}

// ---- two CPUs ----

static void *keep_sending(void *of)
{
    struct side *side = of;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned number = i % RING_SIZE;
        describe(side, 1, number, SEND_AT, NET_OFFLOAD + 100, 0, 0);
        offer(side, 1, number);
        post(side, 0, i < RING_SIZE ? 1 : 0, 2048);
        set(side, NOTICE + 4, 2, 1);
        if (i % 16 == 0)
            (void)get(side, ISR, 1);
    }
    return NULL;
}

static void two_that_send_to_each_other_both_go_on(void **state)
{
    (void)state;
    pthread_t one, other;
    make_frame(&left, RIGHT_MAC, LEFT_MAC, 100);
    make_frame(&right, LEFT_MAC, RIGHT_MAC, 100);
    assert_int_equal(pthread_create(&one, NULL, keep_sending, &left), 0);
    assert_int_equal(pthread_create(&other, NULL, keep_sending, &right), 0);
    for (unsigned i = 0; i < 2000; i++) { // and the operator
        net_port_set_link(&left.port, i % 2);
        virtio_net_disconnect(&right.net);
        virtio_net_connect(&right.net, &right.beside);
    }
    pthread_join(one, NULL);
    pthread_join(other, NULL);
    tick_until_quiet(&left);
    tick_until_quiet(&right);
    assert_int_equal(used(&left, 1)[1], 20000);
    assert_int_equal(used(&right, 1)[1], 20000);
    assert_false(needs_reset(&left) || needs_reset(&right));
    assert_true(right.port.received.frames <= RING_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_senders_need_a_reset, driven),
        cmocka_unit_test_setup(bad_receivers_need_a_reset, driven),
        cmocka_unit_test_setup(buffers_in_many_pieces_are_not_walked_for_ever, driven),
        cmocka_unit_test_setup(a_saved_card_goes_on, driven),
        cmocka_unit_test_setup(what_is_being_sent_is_given_back, driven),
        cmocka_unit_test_setup(a_reset_ends_what_is_being_sent, driven),
        cmocka_unit_test_setup(two_that_send_to_each_other_both_go_on, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
