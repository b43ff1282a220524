#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "vm/bus.h"
#include "vm/vm.h"

// A device that logs what reaches it and answers with its own letter and the offset.
struct recorder {
    struct vdev device;
    struct access seen[16];
    unsigned count;
    uint64_t answer;
    uint64_t due, period;
    unsigned ticks;
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

static void recorder_tick(struct vdev *device, uint64_t now)
{
    struct recorder *recorder = (struct recorder *)device;
    recorder->due = now + recorder->period;
    recorder->ticks++;
}

static const struct vdev_class class = {.access = recorder_access},
                               byte_class = {.bytewise = true, .access = recorder_access},
                               clock_class = {.size = sizeof(struct recorder),
                                              .access = recorder_access,
                                              .deadline = recorder_deadline,
                                              .tick = recorder_tick,
                                              .fields = (const struct field[]){{0}}};

static struct recorder recorder(const char *name, uint64_t answer)
{
    return (struct recorder){.device = {.name = name, .class = &class}, .answer = answer};
}

static struct access read_of(uint64_t at, uint8_t size)
{
    return (struct access){.offset = at, .size = size, .value = 0x5555};
}

static void insertion_keeps_order_and_refuses_overlap(void **state)
{
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
    static struct bus bus = {.name = "mmio"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    for (unsigned i = 0; i < BUS_REGIONS; i++)
        assert_int_equal(bus_insert(&bus, 0x1000 * (BUS_REGIONS - i), 16, &a.device, &why),
                         STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0, 16, &a.device, &why), STATUS_FULL);
}

// The same answers with and without the near table, by comparison with a linear search, below and
// above the near table.
static bool answers(const struct bus *bus, uint64_t address)
{
    return bus_access(bus, &(struct access){.offset = address, .size = 1});
}

static void look_up_agrees_with_linear_search(void **state)
{
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    assert_false(answers(&bus, 0));
    bus_index(&bus);
    assert_false(answers(&bus, 0));
    assert_false(answers(&bus, 77));
    assert_false(answers(&bus, ~0ULL));
    bus.near_end = 0;
    uint64_t at = 0;
    for (unsigned i = 0; i < 40; i++) {
        uint64_t length = 1 + (i * 7) % 13;
        assert_int_equal(bus_insert(&bus, at, length, &a.device, &why), STATUS_OK);
        at += length + (i * 1777) % 5003 * (i % 4 != 0);
    }
    assert_true(at > BUS_NEAR << BUS_NEAR_SHIFT);
    for (unsigned indexed = 0; indexed < 2; indexed++) {
        for (uint64_t address = 0; address < at + 20; address++) {
            bool expected = false;
            a.count = 0;
            for (unsigned i = 0; i < bus.count; i++)
                expected |= bus.region[i].first <= address && address <= bus.region[i].last;
            assert_int_equal(answers(&bus, address), expected);
        }
        bus_index(&bus);
    }
}

static void access_goes_to_the_device_with_its_offset(void **state)
{
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0xff00);
    struct explanation why;
    assert_int_equal(bus_insert(&bus, 0x3f8, 8, &a.device, &why), STATUS_OK);
    bus_index(&bus);
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
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    assert_int_equal(bus_insert_part(&bus, 0x20, 2, 0, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert_part(&bus, 0xa0, 2, 0x80, &a.device, &why), STATUS_OK);
    bus_index(&bus);
    struct access access = read_of(0x21, 1);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x21);
    access = read_of(0xa1, 1);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x21);
}

static void silence_is_all_ones(void **state)
{
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0);
    struct explanation why;
    a.silent = true;
    assert_int_equal(bus_insert(&bus, 0x3f8, 8, &a.device, &why), STATUS_OK);
    bus_index(&bus);
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
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0xa0), b = recorder("b", 0xb0);
    struct explanation why;
    assert_int_equal(bus_insert(&bus, 0x3e, 2, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x40, 4, &b.device, &why), STATUS_OK);
    bus_index(&bus);
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
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0x10);
    struct explanation why;
    a.device.class = &byte_class;
    assert_int_equal(bus_insert(&bus, 0x40, 4, &a.device, &why), STATUS_OK);
    bus_index(&bus);
    struct access access = read_of(0x41, 2);
    assert_true(bus_access(&bus, &access));
    assert_int_equal(access.value, 0x1211);
    assert_int_equal(a.count, 2);
}

static void removed_regions_are_nobodys(void **state)
{
    static struct bus bus = {.name = "ports"};
    struct recorder a = recorder("a", 0), b = recorder("b", 0);
    struct explanation why;
    bus_index(&bus);
    assert_int_equal(bus_insert(&bus, 0x100, 8, &a.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x108, 8, &b.device, &why), STATUS_OK);
    assert_int_equal(bus_insert(&bus, 0x20000, 8, &a.device, &why), STATUS_OK);
    bus_remove(&bus, 0x100, &b.device); // not its own
    bus_remove(&bus, 0x101, &a.device);
    assert_true(answers(&bus, 0x100));
    bus_remove(&bus, 0x100, &a.device);
    assert_false(answers(&bus, 0x100));
    assert_true(answers(&bus, 0x108));
    assert_true(answers(&bus, 0x20000));
    bus_remove(&bus, 0x20000, &a.device);
    assert_false(answers(&bus, 0x20000));
    assert_int_equal(bus_insert(&bus, 0xfc, 8, &a.device, &why), STATUS_OK);
    assert_true(answers(&bus, 0x100));
    assert_int_equal(bus.count, 2);
}

// Two devices change places, one beyond the near table, while another thread accesses them: each
// hears of its own letter's offsets alone, and the one between that stays always answers.
struct letter {
    struct vdev device;
    uint64_t wrong, right;
};

static bool letter_access(struct vdev *device, struct access *access)
{
    struct letter *letter = (struct letter *)device;
    if (access->offset < 16)
        letter->right++;
    else
        letter->wrong++;
    access->value = (uint64_t)(uintptr_t)letter;
    return true;
}

static const struct vdev_class letter_class = {.access = letter_access};
static struct bus moving = {.name = "ports"};
static struct letter mover[2] = {{.device = {.class = &letter_class, .name = "mover 0"}},
                                 {.device = {.class = &letter_class, .name = "mover 1"}}},
                     settled = {.device = {.class = &letter_class, .name = "settled"}};
static atomic_bool is_over;

static void *move_about(void *unused)
{
    static const uint64_t places[4] = {0x100, 0x180, 0x300, 0x123450};
    for (unsigned i = 0; i < 20000; i++) {
        struct letter *one = &mover[i % 2];
        uint64_t at = places[(i / 2 * 7 + i % 2 * 2) % 4];
        struct explanation why;
        status_t status = bus_insert(&moving, at, 16, &one->device, &why);
        assert_true(status == STATUS_OK || status == STATUS_OVERLAP);
        if (i % 3 == 2)
            for (unsigned j = 0; j < 4; j++)
                bus_remove(&moving, places[j], &mover[i / 3 % 2].device);
    }
    is_over = true;
    return NULL;
}

static void look_ups_meet_no_change(void **state)
{
    static const uint64_t places[6] = {0x100, 0x180, 0x200, 0x300, 0x123450, 0x110};
    struct explanation why;
    pthread_t thread;
    assert_int_equal(bus_insert(&moving, 0x200, 16, &settled.device, &why), STATUS_OK);
    bus_index(&moving);
    is_over = false;
    assert_int_equal(pthread_create(&thread, NULL, move_about, NULL), 0);
    uint64_t answered = 0;
    for (unsigned i = 0; !is_over; i++) {
        uint64_t at = places[i % 6] + i % 16;
        struct access access = {.offset = at, .size = 1};
        bool is_there = bus_access(&moving, &access);
        if (i % 6 == 2)
            assert_true(is_there && access.value == (uintptr_t)&settled);
        else if (i % 6 == 5)
            assert_false(is_there);
        else if (is_there)
            assert_true(access.value == (uintptr_t)&mover[0] ||
                        access.value == (uintptr_t)&mover[1]);
        answered += is_there && i % 6 != 2;
    }
    pthread_join(thread, NULL);
    assert_int_equal(mover[0].wrong + mover[1].wrong + settled.wrong, 0);
    assert_true(answered > 0);
    assert_int_equal(moving.begun, moving.done);
}

static unsigned kicks;

static void count_kick(struct vcpu *vcpu)
{
    kicks++;
}

static void earlier_deadline_reaches_the_vm(void **state)
{
    static struct vm vm;
    static struct vcpu vcpu = {.vm = &vm};
    static const struct vm_host host = {.kick = count_kick};
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm.deadlines = (struct deadlines){.first = NEVER};
    static struct recorder a, b;
    vm_plug(&vm, &b.device, &clock_class);
    vm_plug(&vm, &a.device, &clock_class);
    a.due = 2000;
    b.due = 1000;
    struct access access = read_of(0, 1);
    vdev_access(&b.device, &access);
    assert_int_equal(vm.deadlines.first, 1000);
    assert_int_equal(kicks, 1);
    vcpu.requests = 0;
    vdev_access(&a.device, &access);
    assert_int_equal(vm.deadlines.first, 1000);
    assert_int_equal(kicks, 1);
    a.due = 500;
    vdev_access(&a.device, &access);
    assert_int_equal(vm.deadlines.first, 500);
    assert_int_equal(kicks, 2);
    assert_int_equal(vcpu.requests, REQUEST_TIMER);
    assert_int_equal(a.device.lock.next, a.device.lock.serving);

    // Ticks reach who is due, and tell nobody.
    a.period = 1000;
    b.period = NEVER - 1000;
    vm_tick_devices(&vm, 499);
    assert_int_equal(a.ticks + b.ticks, 0);
    vm_tick_devices(&vm, 500);
    assert_int_equal(a.ticks, 1);
    assert_int_equal(b.ticks, 0);
    assert_int_equal(vm.deadlines.first, 1000);
    vm_tick_devices(&vm, 1000);
    assert_int_equal(b.ticks, 1);
    assert_int_equal(b.device.deadline.at, NEVER);
    assert_int_equal(vm.deadlines.first, 1500);
    a.period = 0; // never satisfied: it does not keep the loop
    vm_tick_devices(&vm, 1500);
    assert_in_range(a.ticks, 2, 1 + DEADLINES);
    assert_int_equal(b.ticks, 1);
    assert_int_equal(kicks, 2);
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
        cmocka_unit_test(removed_regions_are_nobodys),
        cmocka_unit_test(look_ups_meet_no_change),
        cmocka_unit_test(earlier_deadline_reaches_the_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
