// msi_deliver(): each delivery mode, destinations, and what is no message. SDM: "Message Signalled
// Interrupts".
#include "tests/unit/apics.h"

#define TO(id)     (MSI_ADDRESS | (uint64_t)(id) << 12)
#define MODE(mode) ((uint32_t)(mode) << 8)

static bool is_level(const struct vcpu *vcpu, unsigned vector)
{
    return lapic_get(&vcpu->lapic, LAPIC_TMR + vector / 32 * 16) >> vector % 32 & 1;
}

static void fixed_goes_to_its_destination(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_true(msi_deliver(&vm, TO(i), 0x41));
        assert_int_equal(receivers(0x41), BIT32(i));
    }
    assert_true(msi_deliver(&vm, TO(0xff), 0x41 | MSI_ASSERT));
    assert_int_equal(receivers(0x41), 0xf);
    assert_false(msi_deliver(&vm, TO(9), 0x41));
    assert_int_equal(receivers(0x41), 0);
}

static void logical_destinations(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        lapic_set(&vcpus[i].lapic, LAPIC_LDR, BIT32(24 + i));
    assert_true(msi_deliver(&vm, TO(0xa) | MSI_LOGICAL, 0x42));
    assert_int_equal(receivers(0x42), 0xa);
    assert_false(msi_deliver(&vm, TO(0xf0) | MSI_LOGICAL, 0x42));
}

static void the_least_busy_gets_it(void **state)
{
    static const struct {
        uint64_t hint;
        uint32_t mode;
    } ways[] = {{0, DELIVERY_LOWEST}, {MSI_REDIRECT, DELIVERY_LOWEST}, {MSI_REDIRECT, 0}};
    for (unsigned i = 0; i < VCPUS; i++) {
        lapic_set(&vcpus[i].lapic, LAPIC_LDR, BIT32(24 + i));
        lapic_set_tpr(&vcpus[i], i == 2 ? 0x10 : 0x30);
    }
    for (unsigned i = 0; i < ARRAY_LENGTH(ways); i++) {
        assert_true(
            msi_deliver(&vm, TO(0xf) | MSI_LOGICAL | ways[i].hint, MODE(ways[i].mode) | 0x63));
        assert_int_equal(receivers(0x63), BIT32(2));
    }
    assert_true(msi_deliver(&vm, TO(1) | MSI_REDIRECT, 0x63));
    assert_int_equal(receivers(0x63), BIT32(1));
}

static void levels(void **state)
{
    assert_true(msi_deliver(&vm, TO(1), MSI_LEVEL | MSI_ASSERT | 0x44));
    assert_int_equal(lapic_pending(&vcpus[1]), 0x44);
    assert_true(is_level(&vcpus[1], 0x44));
    assert_int_equal(receivers(0x44), BIT32(1));
    assert_false(msi_deliver(&vm, TO(1), MSI_LEVEL | 0x44)); // its end
    assert_int_equal(receivers(0x44), 0);
    assert_true(msi_deliver(&vm, TO(1), 0x44));
    assert_int_equal(lapic_pending(&vcpus[1]), 0x44);
    assert_false(is_level(&vcpus[1], 0x44));
}

static void other_modes(void **state)
{
    assert_true(msi_deliver(&vm, TO(1), MODE(DELIVERY_NMI)));
    assert_true(take_requests(&vcpus[1]) & REQUEST_SIGNAL);
    assert_true(msi_deliver(&vm, TO(2), MODE(DELIVERY_INIT) | MSI_LEVEL)); // the level is nothing
    assert_true(take_requests(&vcpus[2]) & REQUEST_SIGNAL);
    assert_true(msi_deliver(&vm, TO(3), MODE(DELIVERY_EXTINT)));
    assert_int_equal(vcpus[3].lapic.posted_extint, 1);
    assert_false(msi_deliver(&vm, TO(0), MODE(DELIVERY_SMI)));
    assert_false(msi_deliver(&vm, TO(0), MODE(DELIVERY_RESERVED) | 0x45));
    assert_false(msi_deliver(&vm, TO(0), MODE(DELIVERY_STARTUP) | 0x45));
    assert_int_equal(vcpus[0].requests, 0);
}

static void what_is_no_message(void **state)
{
    static const uint64_t addresses[] = {0, 0xfed00000, 0xfef00000, UINT64_C(0x1fee00000), ~0ULL};
    for (unsigned i = 0; i < ARRAY_LENGTH(addresses); i++)
        assert_false(msi_deliver(&vm, addresses[i], 0x41));
    assert_int_equal(receivers(0x41), 0);
    // Reserved bits say nothing.
    assert_true(msi_deliver(&vm, TO(1) | 0xff3, 0xffff3041));
    assert_int_equal(receivers(0x41), BIT32(1));
}

static void a_vector_below_16_is_an_error_there(void **state)
{
    for (uint8_t vector = 0; vector < 16; vector++)
        (void)msi_deliver(&vm, TO(1), vector);
    assert_int_equal(take_vector(&vcpus[1]), -1);
    mmio_write(&vcpus[1], LAPIC_ESR, 0);
    assert_int_equal(mmio_read(&vcpus[1], LAPIC_ESR), LAPIC_ERROR_RECEIVE_VECTOR);
}

static void any_message_leaves_the_vm_whole(void **state)
{
    uint64_t random = 1;
    for (unsigned i = 0; i < 100000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t address = random >> 60 ? MSI_ADDRESS | (random >> 20 & 0xfffff) : random;
        (void)msi_deliver(&vm, address, (uint32_t)(random >> 32));
        for (unsigned cpu = 0; cpu < VCPUS; cpu++) {
            int vector = lapic_pending(&vcpus[cpu]);
            assert_true(vector == -1 || (vector >= 16 && vector <= 255));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fixed_goes_to_its_destination, enabled_vm),
        cmocka_unit_test_setup(logical_destinations, enabled_vm),
        cmocka_unit_test_setup(the_least_busy_gets_it, enabled_vm),
        cmocka_unit_test_setup(levels, enabled_vm),
        cmocka_unit_test_setup(other_modes, enabled_vm),
        cmocka_unit_test_setup(what_is_no_message, enabled_vm),
        cmocka_unit_test_setup(a_vector_below_16_is_an_error_there, enabled_vm),
        cmocka_unit_test_setup(any_message_leaves_the_vm_whole, enabled_vm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
