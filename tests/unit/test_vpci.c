#include "support.h"

#include "drivers/virt/pci/vpci.h"
#include "vm/platform.h"
#include "vm/vm.h"

static struct vm vm;
static struct vpci pci;

static int fresh_pci(void **state)
{
    memset(&vm, 0, sizeof(vm));
    memset(&pci, 0, sizeof(pci));
    vm_plug(&vm, &pci.device, &vpci_class);
    return 0;
}

// Offsets from CF8h, or addresses on the buses.
static bool access_at(uint32_t offset, struct access *access)
{
    access->offset = offset < 8 ? PORT_PCI_ADDRESS + offset : offset;
    return offset < 8 ? vdev_access(&pci.device, access)
                      : bus_access(offset <= UINT16_MAX ? &vm.ports : &vm.mmio, access);
}

// What nobody answers is all ones, as the bus makes it.
static uint32_t in(uint32_t offset, uint8_t size)
{
    struct access access = {.size = size};
    bool answered = access_at(offset, &access);
    return (uint32_t)((answered ? access.value : ~0ULL) & size_mask(size));
}

static bool out(uint32_t offset, uint8_t size, uint32_t value)
{
    return access_at(offset, &(struct access){.size = size, .write = true, .value = value});
}

static uint32_t address(unsigned bus, unsigned slot, unsigned function, unsigned reg)
{
    return 0x80000000 | bus << 16 | slot << 11 | function << 8 | reg;
}

static void mechanism_1_is_detected(void **state)
{
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
    for (unsigned reg = 0; reg < 256; reg += 4) {
        out(0, 4, address(0, 0, 0, reg));
        uint32_t before = in(4, 4);
        out(4, 4, 0xffffffff);
        assert_int_equal(in(4, 4), before);
        bool is_known = reg < 12 || reg == 52 || reg == 208; // the list, and PCI Express
        assert_true(is_known || before == 0);
    }
}

static const struct vpci_header header = {
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
    static const struct vdev_class class = {.access = probe_access};
    probe = (struct probe){.device = {.class = &class, .vm = &vm, .name = "probe"}};
    probe.function.device = &probe.device;
    vpci_function_describe(&probe.function, &header);
    vpci_function_reset(&probe.function);
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OK);
    assert_int_equal(vpci_add(&pci, 3, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 0, &probe.function, &why), STATUS_OVERLAP);
    assert_int_equal(vpci_add(&pci, 32, &probe.function, &why), STATUS_RANGE);
    return 0;
}

static void only_writable_bits_change(void **state)
{
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
        uint32_t reset = writes[i].reg < 64 ? header.reset[writes[i].reg / 4] : 0;
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
    const uint64_t second = UINT64_C(2) << 32;
    assert_true(reaches(0xd0000000, 4, 0));
    assert_true(reaches(0xd000fffe, 2, 0xfffe));
    assert_false(reaches(0xd0010000, 1, 0));
    assert_false(reaches(0xcfffffff, 1, 0));
    assert_true(reaches(0xc100, 1, second));
    assert_true(reaches(0xc1fc, 4, second | 0xfc));
    assert_false(reaches(0xc200, 1, second));
    out(0, 4, address(0, 3, 0, 16));
    out(4, 4, 0xfbb0ffff); // moves; the low bits are not the guest's
    assert_false(reaches(0xd0000000, 1, 0));
    assert_true(reaches(0xfbb00010, 4, 0x10));
    out(0, 4, address(0, 3, 0, 4));
    out(4, 2, 1); // memory off
    assert_false(reaches(0xfbb00010, 4, 0x10));
    assert_true(reaches(0xc100, 1, second));
    out(4, 2, 2); // ports off
    assert_true(reaches(0xfbb00010, 4, 0x10));
    assert_false(reaches(0xc100, 1, second));
    probe.refuses = true;
    assert_int_equal(in(0xfbb00010, 2), 0xffff);
    probe.refuses = false;
    pci_with_probe(state);
    assert_true(out(0xd0000008, 4, 0x99));
    assert_true(probe.seen.write && probe.seen.value == 0x99 && probe.seen.offset == 8);
}

// Two that want one place: who is there stays, and the other comes when it goes.
static void regions_do_not_overlap(void **state)
{
    struct explanation why;
    struct vpci_function second = {.device = &probe.device};
    static const struct vpci_header one_region = {.reset = {[1] = 3, [4] = 0xd0000000},
                                                  .writable = {[1] = 7, [4] = 0xffff0000}};
    vpci_function_describe(&second, &one_region);
    vpci_function_reset(&second);
    assert_int_equal(vpci_add(&pci, 4, &second, &why), STATUS_OK);
    assert_int_equal(second.placed[0], 0);
    assert_int_equal(vm.mmio.count, 1);
    out(0, 4, address(0, 3, 0, 16));
    out(4, 4, 0xd0010000);
    assert_int_equal(second.placed[0], 0xd0000000);
    assert_true(reaches(0xd0000004, 4, 4) && reaches(0xd0010004, 4, 4));
    out(0, 4, address(0, 4, 0, 16));
    out(4, 4, 0xd0010000);
    assert_false(reaches(0xd0000004, 4, 4));
    static const uint32_t outside[] = {0xbfff0000, 0xfec00000, 0xffff0000, 0};
    for (unsigned i = 0; i < ARRAY_LENGTH(outside); i++) {
        out(4, 4, outside[i]);
        assert_int_equal(second.placed[0], 0);
    }
    assert_int_equal(vm.mmio.count, 1);
    out(4, 4, 0xfbff0000);
    assert_true(reaches(0xfbff0000, 4, 0));
}

static uint64_t ecam(unsigned slot, unsigned reg, uint8_t size)
{
    struct access access = {.offset = PCI_ECAM + (slot << 15) + reg, .size = size};
    assert_true(vdev_access(&pci.device, &access));
    return access.value;
}

static void memory_reaches_the_same_registers(void **state)
{
    (void)state;
    assert_int_equal(ecam(0, 0, 4), 0x0d578086);
    assert_int_equal(ecam(3, 2, 2), 0x5678);
    assert_int_equal(ecam(2, 0, 4), 0xffffffff);
    assert_int_equal(ecam(3, 0x1000, 4), 0xffffffff); // another function
    assert_int_equal(ecam(3, 0x100, 4), 0);           // no extended capabilities
    assert_int_equal(ecam(3, 0xffc, 4), 0);
    assert_int_equal(ecam(3, 3, 2), 0xffff);
    struct access write = {
        .offset = PCI_ECAM + (3 << 15) + 60, .size = 1, .write = true, .value = 9};
    assert_true(vdev_access(&pci.device, &write));
    out(0, 4, address(0, 3, 0, 60));
    assert_int_equal(in(4, 4), 9);
}

static void a_loaded_state_moves_regions(void **state)
{
    static uint8_t was[4096];
    struct vpci_function moved = probe.function;
    moved.value[4] = 0xd0020001; // the low bit is not the guest's
    size_t length = fields_save(vpci_function_fields, &moved, was, sizeof(was));
    assert_int_equal(
        fields_load(vpci_function_fields, &probe.function, 0, was, length, true, "probe", NULL),
        STATUS_OK);
    vdev_loaded(&pci.device);
    assert_false(reaches(0xd0000000, 4, 0));
    assert_true(reaches(0xd0020000, 4, 0));
    assert_int_equal(probe.function.value[4], 0xd0020000);
}

static void reset_register(void **state)
{
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
        cmocka_unit_test_setup(regions_do_not_overlap, pci_with_probe),
        cmocka_unit_test_setup(memory_reaches_the_same_registers, pci_with_probe),
        cmocka_unit_test_setup(a_loaded_state_moves_regions, pci_with_probe),
        cmocka_unit_test_setup(reset_register, fresh_pci),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
