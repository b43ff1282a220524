#include "tests/unit/apics.h"

#include "drivers/virt/legacy/vioapic.h"

#define LEVEL      BIT(15)
#define MASKED     BIT(16)
#define REMOTE_IRR BIT(14)
#define LOGICAL    BIT(11)
#define TO(id)     ((uint64_t)(id) << 56)
#define MODE(mode) ((uint64_t)(mode) << 8)

static struct vioapic ioapic;

static uint64_t access_at(uint64_t offset, uint8_t size, bool write, uint64_t value)
{
    struct access access = {.offset = offset, .size = size, .write = write, .value = value};
    assert_true(vdev_access(&ioapic.device, &access));
    return access.value;
}

static uint32_t get(unsigned index)
{
    access_at(0x00, 4, true, index);
    return (uint32_t)access_at(0x10, 4, false, 0);
}

static void set(unsigned index, uint32_t value)
{
    access_at(0x00, 4, true, index);
    access_at(0x10, 4, true, value);
}

static uint64_t entry(unsigned pin)
{
    return (uint64_t)get(0x11 + 2 * pin) << 32 | get(0x10 + 2 * pin);
}

static void set_entry(unsigned pin, uint64_t value)
{
    set(0x11 + 2 * pin, (uint32_t)(value >> 32));
    set(0x10 + 2 * pin, (uint32_t)value);
}

static int ioapic_vm(void **state)
{
    enabled_vm(state);
    vm_plug(&vm, &ioapic.device, &vioapic_class);
    vm.irqchip.ioapic = &ioapic;
    vm.irqchip.ioapic_eoi = vioapic_eoi;
    return 0;
}

static void pulse(unsigned pin)
{
    vioapic_set(&ioapic, pin, true);
    vioapic_set(&ioapic, pin, false);
}

// ---- registers ----

static void state_after_power_on(void **state)
{
    assert_int_equal(get(0), 0);
    assert_int_equal(get(1), 0x00170011);
    for (unsigned pin = 0; pin < 24; pin++)
        assert_int_equal(entry(pin), MASKED);
}

static void what_sticks(void **state)
{
    set(0, 0xffffffff);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(2), 0x0f000000);
    set(1, 0xffffffff);
    assert_int_equal(get(1), 0x00170011);
    for (unsigned pin = 0; pin < 24; pin++) {
        set_entry(pin, UINT64_MAX);
        assert_int_equal(entry(pin), UINT64_C(0xff0000000001afff));
        set_entry(pin, MASKED);
        assert_int_equal(entry(pin), MASKED);
    }
    static const uint8_t nowhere[] = {3, 0x0f, 0x40, 0x41, 0xff};
    for (unsigned i = 0; i < ARRAY_LENGTH(nowhere); i++) {
        set(nowhere[i], 0xffffffff);
        assert_int_equal(get(nowhere[i]), 0);
    }
}

static void accesses_of_other_sizes(void **state)
{
    access_at(0x00, 1, true, 0x01); // select by a byte
    assert_int_equal(access_at(0x00, 4, false, 0), 1);
    assert_int_equal(access_at(0x10, 1, false, 0), 0x11);
    assert_int_equal(access_at(0x12, 1, false, 0), 0x17);
    assert_int_equal(access_at(0x10, 2, false, 0), 0x11);
    assert_int_equal(access_at(0x10, 8, false, 0), 0x00170011);
    assert_int_equal(access_at(0x14, 4, false, 0), 0);
    assert_int_equal(access_at(0x20, 4, false, 0), 0);
    access_at(0x00, 4, true, 0x10);
    access_at(0x10, 1, true, 0x41); // not a whole register
    access_at(0x12, 4, true, 0x41);
    assert_int_equal(entry(0), MASKED);
    access_at(0x00, 4, true, 0x10);
    access_at(0x10, 8, true, 0x10041);
    assert_int_equal(entry(0), MASKED | 0x41);
}

// ---- edges ----

static void an_edge_is_one_interrupt(void **state)
{
    set_entry(4, 0x41 | TO(2));
    vioapic_set(&ioapic, 4, true);
    assert_int_equal(kicks[2], 1);
    assert_int_equal(take_vector(&vcpus[2]), 0x41);
    lapic_eoi(&vcpus[2]);
    vioapic_set(&ioapic, 4, true); // still high
    assert_int_equal(take_vector(&vcpus[2]), -1);
    vioapic_set(&ioapic, 4, false);
    assert_int_equal(take_vector(&vcpus[2]), -1);
    vioapic_set(&ioapic, 4, true);
    assert_int_equal(take_vector(&vcpus[2]), 0x41);
    assert_int_equal(entry(4), 0x41 | TO(2)); // no remote IRR
    assert_int_equal(take_vector(&vcpus[0]), -1);
}

static void a_masked_edge_is_lost(void **state)
{
    set_entry(4, 0x41 | MASKED);
    vioapic_set(&ioapic, 4, true);
    set_entry(4, 0x41);
    assert_int_equal(take_vector(&vcpus[0]), -1);
    vioapic_set(&ioapic, 4, false);
    vioapic_set(&ioapic, 4, true);
    assert_int_equal(take_vector(&vcpus[0]), 0x41);
}

static void every_pin_and_no_more(void **state)
{
    for (unsigned pin = 0; pin < 24; pin++) {
        set_entry(pin, 0x40 + pin);
        pulse(pin);
        assert_int_equal(take_vector(&vcpus[0]), 0x40 + pin);
        lapic_eoi(&vcpus[0]);
    }
    pulse(24);
    pulse(1000);
    assert_int_equal(take_vector(&vcpus[0]), -1);
}

// ---- levels ----

static void a_level_comes_again_until_it_falls(void **state)
{
    set_entry(10, 0x51 | LEVEL);
    vioapic_set(&ioapic, 10, true);
    assert_int_equal(entry(10), 0x51 | LEVEL | REMOTE_IRR);
    assert_int_equal(take_vector(&vcpus[0]), 0x51);
    vioapic_set(&ioapic, 10, true); // on its way already
    lapic_eoi(&vcpus[0]);
    assert_int_equal(entry(10), 0x51 | LEVEL | REMOTE_IRR); // sent again
    assert_int_equal(take_vector(&vcpus[0]), 0x51);
    vioapic_set(&ioapic, 10, false);
    assert_int_equal(entry(10), 0x51 | LEVEL | REMOTE_IRR);
    lapic_eoi(&vcpus[0]);
    assert_int_equal(entry(10), 0x51 | LEVEL);
    assert_int_equal(take_vector(&vcpus[0]), -1);
}

static void a_masked_level_comes_when_unmasked(void **state)
{
    set_entry(10, 0x51 | LEVEL | MASKED);
    vioapic_set(&ioapic, 10, true);
    assert_int_equal(take_vector(&vcpus[0]), -1);
    set(0x10 + 20, 0x51 | LEVEL);
    assert_int_equal(take_vector(&vcpus[0]), 0x51);
    set(0x10 + 20, 0x51 | LEVEL | MASKED); // masked in its handler
    lapic_eoi(&vcpus[0]);
    assert_int_equal(entry(10), 0x51 | LEVEL | MASKED);
    assert_int_equal(take_vector(&vcpus[0]), -1);
    set(0x10 + 20, 0x51 | LEVEL);
    assert_int_equal(take_vector(&vcpus[0]), 0x51);
}

static void eoi_frees_its_vector_alone(void **state)
{
    set_entry(10, 0x51 | LEVEL);
    set_entry(11, 0x51 | LEVEL);
    set_entry(12, 0x52 | LEVEL);
    for (unsigned pin = 10; pin <= 12; pin++)
        pulse(pin);
    vioapic_eoi(&ioapic, 0x51);
    assert_int_equal(entry(10), 0x51 | LEVEL);
    assert_int_equal(entry(11), 0x51 | LEVEL);
    assert_int_equal(entry(12), 0x52 | LEVEL | REMOTE_IRR);
}

static void a_level_that_nobody_accepts_is_not_on_its_way(void **state)
{
    set_entry(10, 0x51 | LEVEL | TO(9));
    vioapic_set(&ioapic, 10, true);
    assert_int_equal(entry(10), 0x51 | LEVEL | TO(9));
    set(0x11 + 20, 1 << 24); // another destination: now it goes
    assert_int_equal(take_vector(&vcpus[1]), 0x51);
    assert_int_equal(entry(10), 0x51 | LEVEL | REMOTE_IRR | TO(1));
}

static void edge_mode_clears_remote_irr(void **state)
{
    set_entry(10, 0x51 | LEVEL);
    pulse(10);
    set(0x10 + 20, 0x51 | MASKED);
    assert_int_equal(entry(10), 0x51 | MASKED);
    set(0x10 + 20, 0x51 | LEVEL);
    assert_int_equal(entry(10), 0x51 | LEVEL);
}

static void this_version_has_no_eoi_register(void **state)
{
    set_entry(10, 0x51 | LEVEL);
    pulse(10);
    access_at(0x40, 4, true, 0x51);
    assert_int_equal(entry(10), 0x51 | LEVEL | REMOTE_IRR);
}

// ---- modes and destinations ----

static void delivery_modes(void **state)
{
    static const struct {
        enum delivery_mode mode;
        uint32_t request;
    } cases[] = {
        {DELIVERY_FIXED, REQUEST_EVENT},
        {DELIVERY_LOWEST, REQUEST_EVENT},
        {DELIVERY_SMI, 0},
        {DELIVERY_RESERVED, 0},
        {DELIVERY_NMI, REQUEST_SIGNAL},
        {DELIVERY_INIT, REQUEST_SIGNAL},
        {DELIVERY_STARTUP, 0},
        {DELIVERY_EXTINT, REQUEST_EVENT},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        for (unsigned level = 0; level < 2; level++) {
            ioapic_vm(state);
            set_entry(7, 0x61 | MODE(cases[i].mode) | TO(1) | (level ? LEVEL : 0));
            vioapic_set(&ioapic, 7, true);
            assert_int_equal(take_requests(&vcpus[1]), cases[i].request);
            bool interrupts = cases[i].mode <= DELIVERY_LOWEST;
            assert_int_equal(take_vector(&vcpus[1]), interrupts ? 0x61 : -1);
            // Only interrupts know levels.
            assert_int_equal(entry(7) & REMOTE_IRR, level && interrupts ? REMOTE_IRR : 0);
        }
}

static void logical_and_broadcast_destinations(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        mmio_write(&vcpus[i], LAPIC_LDR, BIT32(24 + i));
    set_entry(3, 0x61 | LOGICAL | TO(0x0a));
    pulse(3);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(take_vector(&vcpus[i]), i & 1 ? 0x61 : -1);
    set_entry(3, 0x71 | TO(0xff));
    pulse(3);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(take_vector(&vcpus[i]), 0x71);
}

int main(void)
{
#define IOAPIC(test) cmocka_unit_test_setup(test, ioapic_vm)
    const struct CMUnitTest tests[] = {
        IOAPIC(state_after_power_on),
        IOAPIC(what_sticks),
        IOAPIC(accesses_of_other_sizes),
        IOAPIC(an_edge_is_one_interrupt),
        IOAPIC(a_masked_edge_is_lost),
        IOAPIC(every_pin_and_no_more),
        IOAPIC(a_level_comes_again_until_it_falls),
        IOAPIC(a_masked_level_comes_when_unmasked),
        IOAPIC(eoi_frees_its_vector_alone),
        IOAPIC(a_level_that_nobody_accepts_is_not_on_its_way),
        IOAPIC(edge_mode_clears_remote_irr),
        IOAPIC(this_version_has_no_eoi_register),
        IOAPIC(delivery_modes),
        IOAPIC(logical_and_broadcast_destinations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
