#include "support.h"

#include "vm/vm.h"

static unsigned kicks[2];

static void count_kick(struct vcpu *vcpu)
{
    kicks[vcpu->id]++;
}

static struct vm vm;
static struct vcpu vcpus[2];

static int fresh_vm(void **state)
{
    static const struct vm_host host = {.kick = count_kick};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(kicks, 0, sizeof(kicks));
    vm.host = &host;
    vm.vcpu_count = 2;
    vm.deadlines = (struct deadlines){.first = NEVER};
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].id = (uint16_t)i;
        vcpus[i].vm = &vm;
        vm.vcpu[i] = &vcpus[i];
    }
    return 0;
}

static void request_sets_bits_then_kicks(void **state)
{
    vcpu_note(&vcpus[1], REQUEST_CLOCK);
    assert_int_equal(kicks[1], 0);
    vcpu_request(&vcpus[1], REQUEST_EVENT | REQUEST_TIMER);
    assert_int_equal(vcpus[1].requests, REQUEST_EVENT | REQUEST_TIMER | REQUEST_CLOCK);
    assert_int_equal(vcpus[0].requests, 0);
    assert_int_equal(kicks[1], 1);
}

static void first_stop_wins_and_reaches_all(void **state)
{
    vm_stop(&vm, STOP_DEBUG_EXIT, 42);
    vm_stop(&vm, STOP_POWEROFF, 7);
    assert_int_equal(vm.stop_reason, STOP_DEBUG_EXIT);
    assert_int_equal(vm.stop_code, 42);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kicks[i], 1);
        assert_int_equal(vcpus[i].requests, REQUEST_SCHEDULE);
    }
}

static uint64_t count_of(const struct access_counts *counts, uint64_t wanted)
{
    uint64_t address, count;
    for (unsigned position = 0; access_counts_next(counts, &position, &address, &count);)
        if (address == wanted)
            return count;
    return 0;
}

static void unclaimed_ports_are_counted_by_address(void **state)
{
    static const uint64_t ports[] = {0, 0x2f8, 0x2f8, 0xffff, 0x2f8};
    bus_index(&vm.ports);
    for (unsigned i = 0; i < ARRAY_LENGTH(ports); i++) {
        struct access access = {.offset = ports[i], .size = 4};
        vm_port_access(&vm, &access);
        assert_int_equal(access.value, 0xffffffff);
    }
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 5);
    assert_int_equal(count_of(&vm.unclaimed_ports, 0), 1);
    assert_int_equal(count_of(&vm.unclaimed_ports, 0x2f8), 3);
    assert_int_equal(count_of(&vm.unclaimed_ports, 0xffff), 1);
    assert_int_equal(count_of(&vm.unclaimed_ports, 0x60), 0);
}

// Whatever the order and number of addresses, the sum is the number of accesses.
static void full_table_loses_nothing(void **state)
{
    for (unsigned round = 0; round < 2; round++)
        for (uint64_t port = 0; port < 1000; port++)
            access_counts_add(&vm.unclaimed_ports, port * 4);
    uint64_t address, count, sum = vm.unclaimed_ports.others;
    unsigned entries = 0;
    for (unsigned position = 0;
         access_counts_next(&vm.unclaimed_ports, &position, &address, &count);) {
        assert_int_equal(count, 2);
        sum += count;
        entries++;
    }
    assert_int_equal(sum, 2000);
    assert_int_equal(entries, ACCESS_COUNTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(request_sets_bits_then_kicks, fresh_vm),
        cmocka_unit_test_setup(first_stop_wins_and_reaches_all, fresh_vm),
        cmocka_unit_test_setup(unclaimed_ports_are_counted_by_address, fresh_vm),
        cmocka_unit_test_setup(full_table_loses_nothing, fresh_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
