// drivers/virt/virtio/virtio_pci.c: the function and its registers, as a driver meets them.
#include "tests/unit/virtio_disk.h"

// ---- the function ----

static void capabilities_are_listed(void **state)
{
    (void)state;
    unsigned found[6] = {0}, first_notify = 0, order = 0;
    assert_int_equal(pci_register(0, false, 0), 0x10421af4);
    assert_int_equal(pci_register(8, false, 0), 0x01800001);
    assert_true(pci_register(4, false, 0) & BIT32(20));
    for (unsigned at = pci_register(52, false, 0); at; order++) {
        uint32_t first = pci_register(at, false, 0);
        assert_true(order < 16);
        if ((first & 0xff) == 9) {
            unsigned type = first >> 24;
            assert_in_range(type, 1, 5);
            if (type == 2 && !found[2])
                first_notify = pci_register(at + 4, false, 0) & 0xff;
            found[type]++;
        } else {
            assert_int_equal(first & 0xff, 0x11);
            assert_int_equal(first >> 16 & 0x7ff, 3); // four vectors
        }
        at = first >> 8 & 0xff;
    }
    for (unsigned type = 1; type <= 5; type++)
        assert_int_equal(found[type], type == 2 ? 2 : 1);
    assert_int_equal(first_notify, 2); // ports
}

static void regions_size_and_move(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0x4000, 0x1000, 0x80};
    for (unsigned i = 0; i < 3; i++) {
        uint32_t at = pci_register(16 + 4 * i, false, 0);
        pci_register(16 + 4 * i, true, 0xffffffff);
        assert_int_equal(-(pci_register(16 + 4 * i, false, 0) & ~1U), sizes[i]);
        pci_register(16 + 4 * i, true, at);
    }
    assert_int_equal(get(0x12, 2), 3);
    pci_register(16, true, 0xd0100000);
    assert_int_equal(memory(0xd0100012, 2, false, 0), 3);
    struct access gone = {.offset = REGISTERS + 0x12, .size = 2};
    assert_false(bus_access(&vm.mmio, &gone));
    pci_register(4, true, 5); // memory off
    gone.offset = 0xd0100012;
    assert_false(bus_access(&vm.mmio, &gone));
}

// Two functions at one place: one answers, and the other when that has gone.
static void what_was_covered_comes_back(void **state)
{
    (void)state;
    pci_register(20, true, REGISTERS);
    assert_int_equal(get(0x12, 2), 3);
    pci_register(16, true, 0xd0200000);
    set(0x00, 4, 0x11220044); // the first vector's address now
    assert_int_equal(get(0x00, 4), 0x11220044);
}

static void the_window_of_pci_cfg_reaches_registers(void **state)
{
    (void)state;
    unsigned at = pci_register(52, false, 0);
    while (pci_register(at, false, 0) >> 24 != 5)
        at = pci_register(at, false, 0) >> 8 & 0xff;
    pci_register(at + 4, true, 0);
    pci_register(at + 8, true, 0x12);
    pci_register(at + 12, true, 2);
    assert_int_equal(pci_register(at + 16, false, 0), 3);
    pci_register(at + 8, true, 0x16);
    pci_register(at + 16, true, 2);
    assert_int_equal(get(0x16, 2), 2);
    pci_register(at + 12, true, 3); // no such width
    pci_register(at + 8, true, 0xffffffff);
    pci_register(at + 16, true, 1);
    (void)pci_register(at + 16, false, 0);
}

// ---- registers ----

static void features_are_negotiated(void **state)
{
    (void)state;
    assert_false(negotiate(0));                            // without VERSION_1
    assert_false(negotiate(VIRTIO_F_VERSION_1 | BIT(63))); // not offered
    assert_false(negotiate(VIRTIO_F_VERSION_1 | BIT(5)));  // it is not read-only
    assert_true(negotiate(VIRTIO_F_VERSION_1));
    set(0x0c, 4, 0xffffffff); // too late
    assert_int_equal(get(0x0c, 4), 1);
    set(0x14, 1, 0x0);
    assert_int_equal(get(0x14, 1), 0);
    assert_int_equal(get(0x0c, 4), 0);
}

static void queues_are_set_up(void **state)
{
    (void)state;
    assert_true(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET));
    set(0x16, 2, 3);
    assert_int_equal(get(0x18, 2), 0); // no such queue
    set(0x16, 2, 2);
    assert_int_equal(get(0x18, 2), 256);
    static const uint16_t bad[] = {0, 3, 257, 512, 0x8000};
    for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
        set(0x18, 2, bad[i]);
        assert_int_equal(get(0x18, 2), 256);
    }
    set(0x1a, 2, 3);
    assert_int_equal(get(0x1a, 2), 3);
    set(0x1a, 2, 4); // no such vector
    assert_int_equal(get(0x1a, 2), 0xffff);
    enable_queue(2);
    assert_int_equal(get(0x1c, 2), 1);
    set(0x20, 4, 0);
    assert_int_equal(get(0x20, 4), rings(2)); // it stands where it is
    set(0x3a, 2, 1);
    assert_int_equal(get(0x3a, 2), 0);
    assert_int_equal(get(0x1c, 2), 0);
    assert_int_equal(get(0x20, 4), 0);
    enable_queue(2);
    assert_int_equal(get(0x20, 8), rings(2));
    assert_false(needs_reset());
}

static void rings_that_are_no_ram_are_refused(void **state)
{
    (void)state;
    static const uint64_t bad[][3] = {
        {0x10008, 0x11000, 0x12000},           {0x10000, 0x11001, 0x12000},
        {0x10000, 0x11000, 0x12002},           {RAM_BYTES, 0x11000, 0x12000},
        {0x10000, RAM_BYTES - 16, 0x12000},    {0x10000, 0x11000, 0xfffffffffffffff0},
        {0xfffffffffffffff0, 0x11000, 0x12000}};
    for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
        fresh(state);
        assert_true(negotiate(VIRTIO_F_VERSION_1));
        set(0x18, 2, QUEUE_SIZE);
        set(0x20, 8, bad[i][0]);
        set(0x28, 8, bad[i][1]);
        set(0x30, 8, bad[i][2]);
        set(0x1c, 2, 1);
        assert_int_equal(get(0x1c, 2), 0);
        assert_true(needs_reset());
        assert_true(disk.virtio.is_told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(capabilities_are_listed, fresh),
        cmocka_unit_test_setup(regions_size_and_move, fresh),
        cmocka_unit_test_setup(what_was_covered_comes_back, fresh),
        cmocka_unit_test_setup(the_window_of_pci_cfg_reaches_registers, fresh),
        cmocka_unit_test_setup(features_are_negotiated, fresh),
        cmocka_unit_test_setup(queues_are_set_up, fresh),
        cmocka_unit_test(rings_that_are_no_ram_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
