#include "support.h"

#include "drivers/virt/vpci.h"
#include "vm/platform.h"
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

static uint64_t address_of(uint64_t offset)
{
    return offset < 8 ? PORT_PCI_ADDRESS + offset : offset;
}

// Offsets from CF8h, or addresses in the windows. What nobody answers is all ones, as the bus makes
// it.
static uint32_t in(uint32_t offset, uint8_t size)
{
    struct access access = {.offset = address_of(offset), .size = size};
    bool answered = vdev_access(&pci.device, &access);
    return (uint32_t)((answered ? access.value : ~0ULL) & size_mask(size));
}

static bool out(uint32_t offset, uint8_t size, uint32_t value)
{
    struct access access = {
        .offset = address_of(offset), .size = size, .write = true, .value = value};
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

static const struct vpci_registers registers = {
    .reset = {0x56781234, 0x00000003, [4] = 0xd0000000, [6] = 0xc101},
    .writable = {[1] = 0x00000007, [4] = 0xffff0000, [6] = 0xffffff00, [15] = 0xff},
};

static struct probe {
    struct vdev device;
    struct vpci_function function;
    struct access seen;
    bool refuses;
} probe;

static bool probe_access(struct vdev *device, struct access *access)
{
    assert_ptr_equal(device, &probe.device);
    probe.seen = *access;
    access->value = access->write ? access->value : 0xa5;
    return !probe.refuses;
}

static int pci_with_probe(void **state)
{
    struct explanation why;
    fresh_pci(state);
    probe =
        (struct probe){.device = {.access = probe_access}, .function = {.registers = &registers}};
    probe.function.region[0] = probe.function.region[2] = &probe.device;
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OK);
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 0, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 32, &probe.function, &why), STATUS_RANGE);
    return 0;
}

static void only_writable_bits_change(void **state)
{
    (void)state;
    static const struct {
        unsigned reg, size, low;
        uint32_t value, expected; // of the whole register
    } writes[] = {
        {0, 4, 0, 0, 0x56781234},    {4, 4, 0, 0xffffffff, 7},    {4, 2, 0, 0x00f1, 1},
        {4, 1, 1, 0xff, 3},          {16, 4, 0, ~0U, 0xffff0000}, {16, 2, 2, 0x1234, 0x12340000},
        {24, 4, 0, ~0U, 0xffffff01}, {24, 4, 0, 0, 0x00000001},   {20, 4, 0, ~0U, 0},
        {60, 1, 0, 0x5b, 0x5b},      {48, 4, 0, ~0U, 0},          {64, 4, 0, ~0U, 0},
        {252, 4, 0, ~0U, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(writes); i++) {
        pci_with_probe(state);
        out(0, 4, address(0, 3, 0, writes[i].reg));
        out(4 + writes[i].low, (uint8_t)writes[i].size, writes[i].value);
        assert_int_equal(in(4, 4), writes[i].expected);
        pci_with_probe(state);
        out(0, 4, address(0, 3, 0, writes[i].reg));
        uint32_t reset = writes[i].reg < 64 ? registers.reset[writes[i].reg / 4] : 0;
        assert_int_equal(in(4, 4), reset);
        assert_int_equal(in(5, 1), reset >> 8 & 0xff);
        assert_int_equal(in(6, 2), reset >> 16);
        assert_int_equal(in(5, 2), 0xffff); // not aligned
    }
}

static bool reaches(uint32_t at, uint8_t size, uint64_t offset)
{
    probe.seen = (struct access){0};
    uint32_t value = in(at, size);
    bool reached = probe.seen.size != 0;
    assert_int_equal(value, reached ? 0xa5 : size_mask(size));
    return reached && probe.seen.offset == offset && probe.seen.size == size;
}

static void regions_answer_where_they_are(void **state)
{
    (void)state;
    const uint64_t second = UINT64_C(2) << 32;
    assert_true(reaches(0xd0000000, 4, 0));
    assert_true(reaches(0xd000fffe, 2, 0xfffe));
    assert_false(reaches(0xd000fffe, 4, 0xfffe)); // over the end
    assert_false(reaches(0xd0010000, 1, 0));
    assert_false(reaches(0xcfffffff, 1, 0));
    assert_true(reaches(0xc100, 1, second));
    assert_true(reaches(0xc1fc, 4, second | 0xfc));
    assert_false(reaches(0xc200, 1, second));
    out(0, 4, address(0, 3, 0, 16));
    out(4, 4, 0xfeb0ffff); // moves; the low bits are not the guest's
    assert_false(reaches(0xd0000000, 1, 0));
    assert_true(reaches(0xfeb00010, 4, 0x10));
    out(0, 4, address(0, 3, 0, 4));
    out(4, 2, 1); // memory off
    assert_false(reaches(0xfeb00010, 4, 0x10));
    assert_true(reaches(0xc100, 1, second));
    out(4, 2, 2); // ports off
    assert_true(reaches(0xfeb00010, 4, 0x10));
    assert_false(reaches(0xc100, 1, second));
    probe.refuses = true;
    assert_int_equal(in(0xfeb00010, 2), 0xffff);
    probe.refuses = false;
    pci_with_probe(state);
    assert_true(out(0xd0000008, 4, 0x99));
    assert_true(probe.seen.write && probe.seen.value == 0x99 && probe.seen.offset == 8);
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
        cmocka_unit_test_setup(only_writable_bits_change, pci_with_probe),
        cmocka_unit_test_setup(regions_answer_where_they_are, pci_with_probe),
        cmocka_unit_test_setup(reset_register, fresh_pci),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
