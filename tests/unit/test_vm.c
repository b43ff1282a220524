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
    (void)state;
    static const struct vm_host host = {.kick = count_kick};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(kicks, 0, sizeof(kicks));
    vm.host = &host;
    vm.vcpu_count = 2;
    vm.device_deadline = NEVER;
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].id = (uint16_t)i;
        vcpus[i].vm = &vm;
        vm.vcpu[i] = &vcpus[i];
    }
    return 0;
}

static void request_sets_bits_then_kicks(void **state)
{
    (void)state;
    vcpu_note(&vcpus[1], REQUEST_CLOCK);
    assert_int_equal(kicks[1], 0);
    vcpu_request(&vcpus[1], REQUEST_EVENT | REQUEST_NMI);
    assert_int_equal(vcpus[1].requests, REQUEST_EVENT | REQUEST_NMI | REQUEST_CLOCK);
    assert_int_equal(vcpus[0].requests, 0);
    assert_int_equal(kicks[1], 1);
}

static void first_stop_wins_and_reaches_all(void **state)
{
    (void)state;
    vm_stop(&vm, STOP_DEBUG_EXIT, 42);
    vm_stop(&vm, STOP_POWEROFF, 7);
    assert_int_equal(vm.stop_reason, STOP_DEBUG_EXIT);
    assert_int_equal(vm.stop_code, 42);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kicks[i], 1);
        assert_int_equal(vcpus[i].requests, REQUEST_SCHEDULE);
    }
}

static uint64_t count_of(const struct tally *tally, uint64_t wanted)
{
    uint64_t address, count;
    for (unsigned position = 0; tally_next(tally, &position, &address, &count);)
        if (address == wanted)
            return count;
    return 0;
}

static void unclaimed_ports_are_counted_by_address(void **state)
{
    (void)state;
    static const uint64_t ports[] = {0, 0x2f8, 0x2f8, 0xffff, 0x2f8};
    bus_freeze(&vm.ports);
    for (unsigned i = 0; i < ARRAY_LENGTH(ports); i++) {
        struct access access = {.offset = ports[i], .size = 4};
        vm_port_access(&vm, &access);
        assert_int_equal(access.value, 0xffffffff);
    }
    assert_int_equal(vm.unclaimed_ports, 5);
    assert_int_equal(count_of(&vm.port_tally, 0), 1);
    assert_int_equal(count_of(&vm.port_tally, 0x2f8), 3);
    assert_int_equal(count_of(&vm.port_tally, 0xffff), 1);
    assert_int_equal(count_of(&vm.port_tally, 0x60), 0);
}

// Whatever the order and number of addresses, the sum is the number of accesses.
static void full_tally_loses_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (uint64_t port = 0; port < 1000; port++)
            tally_count(&vm.port_tally, port * 4);
    uint64_t address, count, sum = vm.port_tally.others;
    unsigned entries = 0;
    for (unsigned position = 0; tally_next(&vm.port_tally, &position, &address, &count);) {
        assert_int_equal(count, 2);
        sum += count;
        entries++;
    }
    assert_int_equal(sum, 2000);
    assert_int_equal(entries, TALLY_ENTRIES);
}

static void deadline_only_goes_down(void **state)
{
    (void)state;
    vm_request_tick(&vm, NEVER);
    assert_int_equal(kicks[0], 0);
    vm_request_tick(&vm, 100);
    vm_request_tick(&vm, 200);
    assert_int_equal(vm.device_deadline, 100);
    assert_int_equal(kicks[0], 1);
    assert_int_equal(kicks[1], 0);
    assert_int_equal(vcpus[0].requests, REQUEST_TIMER);
    assert_false(vm_lower_deadline(&vm, 100));
    assert_true(vm_lower_deadline(&vm, 99));
    assert_int_equal(kicks[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(request_sets_bits_then_kicks, fresh_vm),
        cmocka_unit_test_setup(first_stop_wins_and_reaches_all, fresh_vm),
        cmocka_unit_test_setup(unclaimed_ports_are_counted_by_address, fresh_vm),
        cmocka_unit_test_setup(full_tally_loses_nothing, fresh_vm),
        cmocka_unit_test_setup(deadline_only_goes_down, fresh_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
