#include "support.h"

#include "vm/bus.h"
#include "vm/vm.h"

// A device that logs what reaches it and answers with its own letter and the offset.
struct recorder {
    struct vdev device;
    struct access seen[16];
    unsigned count;
    uint64_t answer;
    uint64_t due;
    bool silent;
};

static bool recorder_access(struct vdev *device, struct access *access)
{
    struct recorder *recorder = (struct recorder *)device;
    assert_true(recorder->count < 16);
    recorder->seen[recorder->count++] = *access;
    if (!access->write)
        access->value = recorder->answer + access->offset;
    return !recorder->silent;
}

static uint64_t recorder_deadline(struct vdev *device)
{
    return ((struct recorder *)device)->due;
}

static struct recorder recorder(const char *name, uint64_t answer)
{
    return (struct recorder){.device = {.name = name, .access = recorder_access}, .answer = answer};
}

static struct access read_of(uint64_t at, uint8_t size)
{
    return (struct access){.offset = at, .size = size, .value = 0x5555};
}

static void insertion_keeps_order_and_refuses_overlap(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0), b = recorder("b", 0);
    struct explanation why;
    assert_int_equal(bus_insert(&bus, 0x60, 1, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x20, 2, &b.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x3f8, 8, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x61, 1, &b.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x3ff, 1, &b.device, &why), STATUS_OVERLAP);
    assert_string_equal(why.text, "ports: b at 0x3ff-0x3ff overlaps a at 0x3f8: move one of them");
    assert_int_equal(bus_insert(&bus, 0x3f0, 9, &b.device, &why), STATUS_OVERLAP);
    assert_int_equal(bus_insert(&bus, 0x10, 0x1000, &b.device, &why), STATUS_OVERLAP);
    assert_int_equal(bus_insert(&bus, 0x10, 0, &b.device, &why), STATUS_RANGE);
    assert_int_equal(bus_insert(&bus, ~0ULL, 2, &b.device, &why), STATUS_RANGE);
    assert_int_equal(bus.count, 4);
    for (unsigned i = 1; i < bus.count; i++)
        assert_true(bus.region[i - 1].last < bus.region[i].first);
}

static void full_table_is_an_error(void **state)
{
    (void)state;
    static struct bus bus = {.name = "mmio"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    for (unsigned i = 0; i < BUS_REGIONS; i++)
        assert_int_equal(bus_insert(&bus, 0x1000 * (BUS_REGIONS - i), 16, &a.device, &why),
                         STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0, 16, &a.device, &why), STATUS_FULL);
}

// The same answers frozen and not frozen, by comparison with a linear search, below and above the
// near table.
static bool answers(const struct bus *bus, uint64_t address)
{
    return bus_access(bus, &(struct access){.offset = address, .size = 1});
}

static void look_up_agrees_with_linear_search(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    assert_false(answers(&bus, 0));
    bus_freeze(&bus);
    assert_false(answers(&bus, 0));
    assert_false(answers(&bus, 77));
    assert_false(answers(&bus, ~0ULL));
    bus.frozen = false;
    bus.near_end = 0;
    uint64_t at = 0;
    for (unsigned i = 0; i < 40; i++) {
        uint64_t length = 1 + (i * 7) % 13;
        assert_int_equal(bus_insert(&bus, at, length, &a.device, &why), STATUS_OK);
        at += length + (i * 1777) % 5003 * (i % 4 != 0);
    }
    assert_true(at > BUS_NEAR << BUS_NEAR_SHIFT);
    for (unsigned frozen = 0; frozen < 2; frozen++) {
        for (uint64_t address = 0; address < at + 20; address++) {
            bool expected = false;
            a.count = 0;
            for (unsigned i = 0; i < bus.count; i++)
                expected |= bus.region[i].first <= address && address <= bus.region[i].last;
            assert_int_equal(answers(&bus, address), expected);
        }
        bus_freeze(&bus);
    }
}

static void access_goes_to_the_device_with_its_offset(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0xff00);
    struct explanation why;
    assert_int_equal(bus_insert(&bus, 0x3f8, 8, &a.device, &why), STATUS_OK);
    bus_freeze(&bus);
    struct access access = read_of(0x3fb, 2);
    access.now = 99;
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0xff03);
    assert_int_equal(access.offset, 0x3fb);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.seen[0].offset, 3);
    assert_int_equal(a.seen[0].now, 99);
    access = (struct access){.offset = 0x3f8, .size = 1, .write = true, .value = 0x41};
    assert_true(bus_access(&bus, &access));
    assert_int_equal(a.seen[1].value, 0x41);
    assert_int_equal(access.value, 0x41);
}

static void parts_share_one_base(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    assert_int_equal(bus_insert_part(&bus, 0x20, 2, 0, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert_part(&bus, 0xa0, 2, 0x80, &a.device, &why), STATUS_OK);
    bus_freeze(&bus);
    struct access access = read_of(0x21, 1);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x21);
    access = read_of(0xa1, 1);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x21);
}

static void silence_is_all_ones(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    a.silent = true;
    assert_int_equal(bus_insert(&bus, 0x3f8, 8, &a.device, &why), STATUS_OK);
    bus_freeze(&bus);
    struct access access = read_of(0x3f8, 4);
    assert_false(bus_access(&bus, &access));
    assert_int_equal(access.value, 0xffffffff);
    access = read_of(0x300, 2);
    assert_false(bus_access(&bus, &access));
    assert_int_equal(access.value, 0xffff);
    access = read_of(0xfffffffffffffff8, 8);
    assert_false(bus_access(&bus, &access));
    assert_int_equal(access.value, ~0ULL);
    access = read_of(0xfffffffffffffffe, 8); // runs over the end of all addresses
    assert_false(bus_access(&bus, &access));
    assert_int_equal(access.value, ~0ULL);
}

// A dword at 0x3d: unclaimed byte, two bytes of a, one of b.
static void access_over_an_edge_is_split(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0xa0), b = recorder("b", 0xb0);
    struct explanation why;
    assert_int_equal(bus_insert(&bus, 0x3e, 2, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x40, 4, &b.device, &why), STATUS_OK);
    bus_freeze(&bus);
    struct access access = read_of(0x3d, 4);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0xb0a1a0ff);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 1);
    access = (struct access){.offset = 0x3f, .size = 2, .write = true, .value = 0x1234};
    assert_true(bus_access(&bus, &access));
    assert_int_equal(a.seen[2].value, 0x34);
    assert_int_equal(a.seen[2].offset, 1);
    assert_int_equal(b.seen[1].value, 0x12);
    assert_int_equal(b.seen[1].size, 1);
}

static void bytewise_devices_see_bytes(void **state)
{
    (void)state;
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0x10);
    struct explanation why;
    a.device.bytewise = true;
    assert_int_equal(bus_insert(&bus, 0x40, 4, &a.device, &why), STATUS_OK);
    bus_freeze(&bus);
    struct access access = read_of(0x41, 2);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x1211);
    assert_int_equal(a.count, 2);
}

static unsigned kicks;

static void count_kick(struct vcpu *vcpu)
{
    (void)vcpu;
    kicks++;
}

static void earlier_deadline_reaches_the_vm(void **state)
{
    (void)state;
    static struct vm vm;
    static struct vcpu vcpu = {.vm = &vm};
    static const struct vm_host host = {.kick = count_kick};
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm.device_deadline = 1000;
    struct recorder a = recorder("a", 0);
    a.device.vm = &vm;
    a.device.deadline = recorder_deadline;
    struct access access = read_of(0, 1);
    a.due = 2000;
    vdev_access(&a.device, &access);
    assert_int_equal(vm.device_deadline, 1000);
    assert_int_equal(kicks, 0);
    a.due = 500;
    vdev_access(&a.device, &access);
    assert_int_equal(vm.device_deadline, 500);
    assert_int_equal(kicks, 1);
    assert_int_equal(vcpu.requests, REQUEST_TIMER);
    assert_int_equal(a.device.deadline(&a.device), 500);
    assert_int_equal(a.device.lock.next, a.device.lock.serving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insertion_keeps_order_and_refuses_overlap),
        cmocka_unit_test(full_table_is_an_error),
        cmocka_unit_test(look_up_agrees_with_linear_search),
        cmocka_unit_test(access_goes_to_the_device_with_its_offset),
        cmocka_unit_test(parts_share_one_base),
        cmocka_unit_test(silence_is_all_ones),
        cmocka_unit_test(access_over_an_edge_is_split),
        cmocka_unit_test(bytewise_devices_see_bytes),
        cmocka_unit_test(earlier_deadline_reaches_the_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
