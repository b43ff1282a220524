// vm/emulate/linear.c: segmentation, accesses across pages, routing between RAM and devices,
// instruction fetch.

#include "tests/unit/guest.h"

#include "vm/emulate/linear.h"

#define NOW 1234

static verdict_t fault_seen;
static gva_t linear;

static bool reaches(enum segment_register segment, uint64_t offset, unsigned size, bool write)
{
    return segment_linear(&guest.vcpu, segment, offset, size, write, &linear, &fault_seen);
}

static void real_mode_adds_the_base_and_knows_a_limit(void **state)
{
    guest_real_mode();
    guest.vcpu.segment[DS].base = 0xffff0;
    assert_true(reaches(DS, 0xfffe, 2, true));
    assert_int_equal(linear.value, 0x10ffee);
    assert_false(reaches(DS, 0xffff, 2, true));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
    assert_false(reaches(SS, 0xffff, 2, false));
    assert_fault(fault_seen, VECTOR_SS, true, 0);
    assert_true(reaches(CS, 0, 2, true)); // no types in real mode
}

static void protected_mode_checks_types_and_limits(void **state)
{
    guest_flat32();
    assert_true(reaches(DS, 0xfffffffc, 4, true));
    assert_false(reaches(DS, 0xfffffffd, 4, true));
    assert_true(reaches(CS, 0, 4, false));
    assert_false(reaches(CS, 0, 4, true));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
    guest.vcpu.segment[CS].access &= ~UINT32_C(2); // execute only
    assert_false(reaches(CS, 0, 4, false));
    guest.vcpu.segment[ES].access &= ~UINT32_C(2); // read only
    assert_true(reaches(ES, 0, 4, false));
    assert_false(reaches(ES, 0, 4, true));
    guest.vcpu.segment[ES].access = AR_UNUSABLE;
    assert_false(reaches(ES, 0, 4, false));
    guest.vcpu.segment[GS].base = 0xfffff000;
    assert_true(reaches(GS, 0x2000, 4, false));
    assert_int_equal(linear.value, 0x1000);
}

static void expand_down_segments_are_valid_above_the_limit(void **state)
{
    guest_flat32();
    struct segment *stack = &guest.vcpu.segment[SS];
    stack->access |= 4;
    stack->limit = 0xfff;
    assert_false(reaches(SS, 0xfff, 1, false));
    assert_fault(fault_seen, VECTOR_SS, true, 0);
    assert_true(reaches(SS, 0x1000, 4, true));
    assert_true(reaches(SS, 0xfffffffc, 4, true));
    stack->access &= ~AR_DB;
    assert_true(reaches(SS, 0xfffe, 2, true));
    assert_false(reaches(SS, 0xffff, 2, true));
    assert_false(reaches(SS, 0x10000, 1, true));
}

static void in_64_bit_mode_addresses_are_canonical(void **state)
{
    guest_long_mode();
    guest.vcpu.segment[DS].base = 0x1000;
    guest.vcpu.segment[DS].access = AR_UNUSABLE;
    guest.vcpu.segment[FS].base = 0x1000;
    assert_true(reaches(DS, UINT64_C(0xffff800000000000), 8, true));
    assert_int_equal(linear.value, UINT64_C(0xffff800000000000));
    assert_true(reaches(FS, 0x10, 8, true));
    assert_int_equal(linear.value, 0x1010);
    assert_true(reaches(DS, UINT64_C(0x7ffffffffff8), 8, true));
    assert_false(reaches(DS, UINT64_C(0x7ffffffffff9), 8, true));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
    assert_false(reaches(SS, UINT64_C(0x800000000000), 8, true));
    assert_fault(fault_seen, VECTOR_SS, true, 0);
    guest.vcpu.cr4 |= CR4_LA57;
    assert_true(reaches(SS, UINT64_C(0x800000000000), 8, true));
    guest.vcpu.cr4 &= ~CR4_LA57;
    guest.vcpu.segment[CS].access = AR_CODE32; // compatibility mode
    guest.vcpu.segment[SS].base = 0x1000;
    assert_true(reaches(SS, 0xfffff000, 8, true));
    assert_int_equal(linear.value, 0);
}

static void a_write_across_pages_faults_before_it_writes(void **state)
{
    guest_long_mode();
    guest_map(0x5000, 0x1000, PTE_P | PTE_W | PTE_U);
    guest_map(0x6000, 0x8000, PTE_P | PTE_U);
    uint64_t value = UINT64_C(0x8877665544332211);
    uint64_t entry = *guest_entry(0x5000);
    assert_false(linear_write(&guest.vcpu, gva(0x5ffd), &value, 8, true, NOW, &fault_seen));
    assert_fault(fault_seen, VECTOR_PF, true, PF_PRESENT | PF_WRITE | PF_USER);
    assert_int_equal(guest.vcpu.cr2, 0x6000);
    assert_int_equal(guest.ram[0x1ffd], 0);
    assert_int_equal(*guest_entry(0x5000), entry);
    guest_map(0x6000, 0x8000, PTE_P | PTE_W | PTE_U);
    assert_true(linear_write(&guest.vcpu, gva(0x5ffd), &value, 8, true, NOW, &fault_seen));
    assert_memory_equal(guest.ram + 0x1ffd, &value, 3);
    assert_memory_equal(guest.ram + 0x8000, (char *)&value + 3, 5);
    assert_int_equal(guest.ram[0x2000], 0);
    assert_int_equal(*guest_entry(0x6000) & (PTE_A | PTE_D), PTE_A | PTE_D);
    uint64_t back = 0;
    assert_true(linear_read(&guest.vcpu, gva(0x5ffd), &back, 8, true, NOW, &fault_seen));
    assert_int_equal(back, value);
    assert_int_equal(guest.accesses, 0);
}

static void devices_see_pieces_of_natural_sizes(void **state)
{
    guest_long_mode();
    guest_map(0x5000, 0x1000, PTE_P | PTE_W);
    guest_map(0x6000, DEVICE, PTE_P | PTE_W);
    uint64_t value = UINT64_C(0x8877665544332211), back = 0;
    assert_true(linear_write(&guest.vcpu, gva(0x5fff), &value, 8, false, NOW, &fault_seen));
    assert_int_equal(guest.ram[0x1fff], 0x11);
    const struct device_log expected[] = {
        {DEVICE, 0x55443322, 4, true}, {DEVICE + 4, 0x7766, 2, true}, {DEVICE + 6, 0x88, 1, true}};
    assert_int_equal(guest.accesses, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(guest.log[i].address, expected[i].address);
        assert_int_equal(guest.log[i].value, expected[i].value);
        assert_int_equal(guest.log[i].size, expected[i].size);
        assert_true(guest.log[i].write);
    }
    assert_true(linear_read(&guest.vcpu, gva(0x5fff), &back, 8, false, NOW, &fault_seen));
    assert_int_equal(back, value);
    uint8_t wide[32];
    guest.accesses = 0;
    assert_true(linear_read(&guest.vcpu, gva(0x6004), wide, 32, false, NOW, &fault_seen));
    assert_int_equal(guest.accesses, 4);
    assert_int_equal(guest.log[3].address, DEVICE + 28);
    assert_int_equal(guest.log[3].size, 8);
}

static void a_supervisor_access_at_cpl_3_is_implicit(void **state)
{
    guest_long_mode();
    guest.vcpu.cpl = 3;
    guest.vcpu.cr4 |= CR4_SMAP;
    guest.vcpu.rflags |= RFLAGS_AC;
    guest_map(0x5000, 0x1000, PTE_P | PTE_W | PTE_U);
    guest_map(0x6000, 0x1000, PTE_P | PTE_W);
    uint32_t value = 0;
    assert_true(linear_read(&guest.vcpu, gva(0x6000), &value, 4, false, NOW, &fault_seen));
    assert_false(linear_read(&guest.vcpu, gva(0x5000), &value, 4, false, NOW, &fault_seen));
    assert_fault(fault_seen, VECTOR_PF, true, PF_PRESENT);
    assert_false(linear_read(&guest.vcpu, gva(0x6000), &value, 4, true, NOW, &fault_seen));
    guest.vcpu.cpl = 0;
    assert_true(linear_read(&guest.vcpu, gva(0x5000), &value, 4, false, NOW, &fault_seen));
}

static void a_fetch_stops_at_the_end_of_its_page(void **state)
{
    guest_long_mode();
    guest_map(0x5000, 0x1000, PTE_P);
    guest.vcpu.rip = 0x5ffb;
    for (unsigned i = 0; i < 15; i++)
        guest.ram[0x1ffb + i] = (uint8_t)(i + 1);
    uint8_t bytes[INSTRUCTION_MAX] = {0};
    unsigned count = 0;
    assert_true(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_int_equal(count, 5);
    assert_false(guest.vcpu.cr2_dirty);
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_fault(fault_seen, VECTOR_PF, true, PF_FETCH);
    assert_int_equal(guest.vcpu.cr2, 0x6000);
    guest_map(0x6000, 0x2000, PTE_P);
    assert_true(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_int_equal(count, 15);
    assert_memory_equal(bytes, guest.ram + 0x1ffb, 15);
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_fault(fault_seen, VECTOR_GP, true, 0); // longer than an instruction can be
}

static void a_fetch_keeps_to_the_code_segment(void **state)
{
    guest_real_mode();
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    guest.vcpu.segment[CS].base = 0x10000;
    guest.vcpu.rip = 0xfffe;
    guest.ram[0x1ffff] = 0x90;
    assert_true(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_int_equal(count, 2);
    assert_int_equal(bytes[1], 0x90);
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
    guest_long_mode();
    guest.vcpu.rip = UINT64_C(0x800000000000);
    count = 0;
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
}

static void code_in_a_device_ends_the_kernel_but_not_for_its_user(void **state)
{
    guest_long_mode();
    guest_map(0x5000, DEVICE, PTE_P | PTE_U);
    guest.vcpu.rip = 0x5000;
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_int_equal(fault_seen.kind, VERDICT_STOP);
    assert_int_equal(fault_seen.detail, STOP_BAD_MEMORY);
    guest.vcpu.cpl = 3;
    assert_false(linear_fetch(&guest.vcpu, bytes, &count, &fault_seen));
    assert_fault(fault_seen, VECTOR_GP, true, 0);
    assert_int_equal(guest.accesses, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_mode_adds_the_base_and_knows_a_limit),
        cmocka_unit_test(protected_mode_checks_types_and_limits),
        cmocka_unit_test(expand_down_segments_are_valid_above_the_limit),
        cmocka_unit_test(in_64_bit_mode_addresses_are_canonical),
        cmocka_unit_test(a_write_across_pages_faults_before_it_writes),
        cmocka_unit_test(devices_see_pieces_of_natural_sizes),
        cmocka_unit_test(a_supervisor_access_at_cpl_3_is_implicit),
        cmocka_unit_test(a_fetch_stops_at_the_end_of_its_page),
        cmocka_unit_test(a_fetch_keeps_to_the_code_segment),
        cmocka_unit_test(code_in_a_device_ends_the_kernel_but_not_for_its_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
