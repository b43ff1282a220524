// KVM's paravirtual EOI: when the local APIC lets a guest end an interrupt in its memory, and that
// it looks there before anything depends on it.
#include "tests/unit/apics.h"
#include "tests/ram.h"

#define FLAG 0x104

static struct vcpu *const cpu = &vcpus[0];
static struct lapic *const apic = &vcpus[0].lapic;
static _Alignas(4096) uint8_t ram[0x1000];

static int with_memory(void **state)
{
    x2apic_vm(state);
    memset(ram, 0, sizeof(ram));
    ram_is(&vm.memory, ram, sizeof(ram));
    return 0;
}

static int with_flag(void **state)
{
    with_memory(state);
    assert_true(lapic_set_eoi_flag(cpu, FLAG | 1));
    return 0;
}

// As the guest does it: true if no write of the register is needed.
static bool guest_ends_in_memory(void)
{
    bool offered = ram[FLAG] & 1;
    ram[FLAG] &= (uint8_t)~1;
    return offered;
}

static void the_address_must_be_memory(void **state)
{
    static const uint64_t wrong[] = {FLAG | 3, FLAG | 2, 0x1001, 0xfffffffffffffffd};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_false(lapic_set_eoi_flag(cpu, wrong[i]));
        assert_int_equal(cpu->msr.kvm_eoi, 0);
    }
    assert_true(lapic_set_eoi_flag(cpu, 0xffc | 1));
    assert_int_equal(cpu->msr.kvm_eoi, 0xffd);
    assert_true(lapic_set_eoi_flag(cpu, 0xdead0000)); // off: any address
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(ram[0xffc], 0);
}

static void a_lone_interrupt_ends_in_memory(void **state)
{
    for (unsigned round = 0; round < 3; round++) {
        lapic_post(cpu, 0x41, false);
        assert_int_equal(take_vector(cpu), 0x41);
        assert_true(guest_ends_in_memory());
    }
    assert_int_equal(read_ok(cpu, 0x812), 0); // ISR 40H to 5FH
    assert_int_equal(apic->in_service, -1);
}

static void an_end_that_was_not_seen_yet_frees_the_next(void **state)
{
    lapic_post(cpu, 0x45, false);
    assert_int_equal(take_vector(cpu), 0x45);
    assert_true(guest_ends_in_memory());
    lapic_post(cpu, 0x41, false); // of the same class
    assert_int_equal(take_vector(cpu), 0x41);
    assert_true(guest_ends_in_memory());
    lapic_raise(cpu, 0x31);
    assert_int_equal(take_vector(cpu), 0x31);
}

static void whoever_waits_for_the_end_takes_the_offer_back(void **state)
{
    lapic_post(cpu, 0x45, false);
    assert_int_equal(take_vector(cpu), 0x45);
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), -1);
    assert_false(guest_ends_in_memory()); // it must write the register
    take_requests(cpu);
    write_ok(cpu, 0x80b, 0);
    assert_true(take_requests(cpu) & REQUEST_EVENT);
    assert_int_equal(take_vector(cpu), 0x41);
}

static void nested_ones_end_in_their_order(void **state)
{
    lapic_post(cpu, 0x31, false);
    assert_int_equal(take_vector(cpu), 0x31);
    lapic_post(cpu, 0x81, false);
    assert_int_equal(take_vector(cpu), 0x81);
    assert_true(guest_ends_in_memory());  // the inner one
    assert_false(guest_ends_in_memory()); // the outer one
    write_ok(cpu, 0x80b, 0);
    assert_int_equal(apic->in_service, -1);
    assert_int_equal(apic->isr_groups, 0);
}

static void the_register_still_ends_what_was_offered(void **state)
{
    lapic_post(cpu, 0x31, false);
    assert_int_equal(take_vector(cpu), 0x31);
    lapic_post(cpu, 0x81, false);
    assert_int_equal(take_vector(cpu), 0x81);
    write_ok(cpu, 0x80b, 0);
    assert_int_equal(apic->in_service, 0x31);
    assert_false(guest_ends_in_memory());
}

static void count_eoi(void *ioapic, uint8_t vector)
{
    *(unsigned *)ioapic += vector;
}

static void level_triggered_ones_are_never_offered(void **state)
{
    unsigned sum = 0;
    vm.irqchip.ioapic = &sum;
    vm.irqchip.ioapic_eoi = count_eoi;
    lapic_post(cpu, 0x41, true);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_false(guest_ends_in_memory());
    write_ok(cpu, 0x80b, 0);
    assert_int_equal(sum, 0x41);
}

static void registers_show_what_the_guest_has_ended(void **state)
{
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_true(guest_ends_in_memory());
    assert_int_equal(read_ok(cpu, 0x80a), 0); // PPR
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(read_ok(cpu, 0x80a), 0x40);
}

static void a_reset_takes_the_offer_back(void **state)
{
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    vcpu_reset(cpu, true);
    assert_false(guest_ends_in_memory());
    assert_int_equal(cpu->msr.kvm_eoi, 0);
    lapic_set(apic, LAPIC_SVR, 0x1ff);
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(ram[FLAG], 0);
}

static void a_new_place_settles_the_old_one(void **state)
{
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    ram[0x200] = 0xff;
    assert_true(lapic_set_eoi_flag(cpu, 0x201));
    assert_int_equal(ram[FLAG], 0);
    assert_int_equal(ram[0x200], 0xfe);
    assert_int_equal(apic->in_service, 0x41);
    write_ok(cpu, 0x80b, 0);
    lapic_post(cpu, 0x41, false);
    assert_int_equal(take_vector(cpu), 0x41);
    assert_int_equal(ram[0x200], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_address_must_be_memory, with_memory),
        cmocka_unit_test_setup(a_lone_interrupt_ends_in_memory, with_flag),
        cmocka_unit_test_setup(an_end_that_was_not_seen_yet_frees_the_next, with_flag),
        cmocka_unit_test_setup(whoever_waits_for_the_end_takes_the_offer_back, with_flag),
        cmocka_unit_test_setup(nested_ones_end_in_their_order, with_flag),
        cmocka_unit_test_setup(the_register_still_ends_what_was_offered, with_flag),
        cmocka_unit_test_setup(level_triggered_ones_are_never_offered, with_flag),
        cmocka_unit_test_setup(registers_show_what_the_guest_has_ended, with_flag),
        cmocka_unit_test_setup(a_reset_takes_the_offer_back, with_flag),
        cmocka_unit_test_setup(a_new_place_settles_the_old_one, with_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
