#include "support.h"

#include "drivers/virt/vpci.h"
#include "vm/vm.h"

static struct vm vm;
static struct vpci pci;

static int fresh_pci(void **state)
{
    (void)state;
    vm.stop_reason = STOP_NONE;
    vpci_init(&pci, &vm);
    return 0;
}

// Offsets from CF8h. What nobody answers is all ones, as the bus makes it.
static uint32_t in(unsigned offset, uint8_t size)
{
    struct access access = {.offset = offset, .size = size};
    bool answered = vdev_access(&pci.device, &access);
    return (uint32_t)((answered ? access.value : ~0ULL) & size_mask(size));
}

static bool out(unsigned offset, uint8_t size, uint32_t value)
{
    struct access access = {.offset = offset, .size = size, .write = true, .value = value};
    return vdev_access(&pci.device, &access);
}

static uint32_t address(unsigned bus, unsigned slot, unsigned function, unsigned reg)
{
    return 0x80000000 | bus << 16 | slot << 11 | function << 8 | reg;
}

static void mechanism_1_is_detected(void **state)
{
    (void)state;
    assert_false(out(3, 1, 0x01)); // bytes go past the address register
    assert_int_equal(in(0, 4), 0);
    assert_true(out(0, 4, 0x80000000));
    assert_int_equal(in(0, 4), 0x80000000);
    assert_int_equal(in(0, 2), 0xffff);
    out(0, 4, 0xffffffff);
    assert_int_equal(in(0, 4), 0x80fffffc);
}

static void only_the_bridge_is_there(void **state)
{
    (void)state;
    for (unsigned bus = 0; bus < 256; bus += 51)
        for (unsigned slot = 0; slot < 32; slot++)
            for (unsigned function = 0; function < 8; function++) {
                out(0, 4, address(bus, slot, function, 0));
                assert_int_equal(in(4, 4), bus | slot | function ? 0xffffffff : 0x0d578086);
            }
    out(0, 4, address(0, 0, 0, 8));
    assert_int_equal(in(6, 2), 0x0600); // host bridge
    assert_int_equal(in(7, 1), 0x06);
    out(0, 4, address(0, 0, 0, 12));
    assert_int_equal(in(6, 1), 0); // an ordinary header, one function
    out(0, 4, 0);
    assert_int_equal(in(4, 4), 0xffffffff); // not enabled
}

static void bridge_has_no_resources(void **state)
{
    (void)state;
    for (unsigned reg = 0; reg < 256; reg += 4) {
        out(0, 4, address(0, 0, 0, reg));
        uint32_t before = in(4, 4);
        out(4, 4, 0xffffffff);
        assert_int_equal(in(4, 4), before);
        assert_true(reg < 12 || before == 0);
    }
}

struct probe {
    struct vpci_function function;
    struct access seen;
};

static void probe_access(struct vpci_function *function, struct access *access)
{
    struct probe *probe = (struct probe *)function;
    probe->seen = *access;
    access->value = 0x12345678;
}

static void devices_can_be_added(void **state)
{
    (void)state;
    struct explanation why;
    struct probe probe = {.function = {.access = probe_access}};
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OK);
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 0, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 32, &probe.function, &why), STATUS_RANGE);
    out(0, 4, address(0, 3, 0, 0x40));
    assert_int_equal(in(6, 2), 0x5678);
    assert_int_equal(probe.seen.offset, 0x42);
    assert_int_equal(probe.seen.size, 2);
    out(4, 1, 0x5a);
    assert_true(probe.seen.write);
    assert_int_equal(probe.seen.value, 0x5a);
    assert_int_equal(probe.seen.offset, 0x40);
    probe.seen.offset = 0;
    assert_int_equal(in(5, 2), 0xffff); // not aligned
    assert_int_equal(probe.seen.offset, 0);
    vdev_reset(&pci.device);
    assert_int_equal(in(0, 4), 0);
}

static void reset_register(void **state)
{
    (void)state;
    out(1, 1, 0x02);
    assert_int_equal(in(1, 1), 0x02);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    out(1, 1, 0x06);
    assert_int_equal(vm.stop_reason, STOP_RESET);
    fresh_pci(state);
    pci.reset = 0x04;
    out(1, 1, 0x0e); // no rising edge
    assert_int_equal(vm.stop_reason, STOP_NONE);
    assert_int_equal(in(1, 1), 0x0e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(mechanism_1_is_detected, fresh_pci),
        cmocka_unit_test_setup(only_the_bridge_is_there, fresh_pci),
        cmocka_unit_test_setup(bridge_has_no_resources, fresh_pci),
        cmocka_unit_test_setup(devices_can_be_added, fresh_pci),
        cmocka_unit_test_setup(reset_register, fresh_pci),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
