// vm/emulate/walk.c: translation, rights, reserved bits, and the accessed and dirty flags, in every
// paging mode.

#include "tests/unit/guest.h"

#include "vm/emulate/walk.h"

static struct walk walk;
static verdict_t fault_seen;

static bool translates(uint64_t linear, uint32_t access)
{
    return walk_linear(&guest.vcpu, gva(linear), access, &walk, &fault_seen);
}

static void assert_translates(uint64_t linear, uint32_t access, uint64_t physical)
{
    assert_true(translates(linear, access));
    assert_int_equal(walk.physical.value, physical);
}

static void assert_page_fault(uint64_t linear, uint32_t access, uint32_t error)
{
    guest.vcpu.cr2_dirty = false;
    assert_false(translates(linear, access));
    assert_fault(fault_seen, VECTOR_PF, true, error);
    assert_true(guest.vcpu.cr2_dirty);
    assert_int_equal(guest.vcpu.cr2, linear);
}

static void without_paging_linear_is_physical(void **state)
{
    guest_flat32();
    assert_translates(0xfee00010, WALK_WRITE | WALK_USER, 0xfee00010);
    assert_int_equal(walk.marks, 0);
}

static void paging32(uint32_t directory_entry, uint32_t table_entry)
{
    guest_flat32();
    guest.vcpu.cr0 |= CR0_PG | CR0_WP;
    guest.vcpu.cr3 = 0x3000 | 0x18;
    memcpy(guest.ram + 0x3000 + 5 * 4, &directory_entry, 4);
    memcpy(guest.ram + 0x4000 + 7 * 4, &table_entry, 4);
}

#define LINEAR32 (UINT64_C(5) << 22 | 7 << 12 | 0x123)

static void paging_of_32_bits(void **state)
{
    paging32(0x4000 | PTE_P | PTE_W | PTE_U, 0xabcde000 | PTE_P | PTE_U);
    assert_translates(LINEAR32, WALK_USER, 0xabcde123);
    assert_page_fault(LINEAR32, WALK_WRITE, PF_PRESENT | PF_WRITE);
    guest.vcpu.cr0 &= ~CR0_WP;
    assert_translates(LINEAR32, WALK_WRITE, 0xabcde123);
    assert_page_fault(LINEAR32, WALK_WRITE | WALK_USER, PF_PRESENT | PF_WRITE | PF_USER);
    assert_page_fault(LINEAR32 + 4096, 0, 0);
    assert_page_fault(LINEAR32 + (4 << 20), WALK_USER, PF_USER);
}

static void large_pages_of_32_bits(void **state)
{
    // PSE-36: bits 20:13 are address bits 39:32; bit 21 is reserved.
    uint32_t entry = 0x40000000 | 0x24 << 13 | (uint32_t)(PTE_P | PTE_W | PTE_PS);
    paging32(entry, 0);
    guest.vcpu.cr4 |= CR4_PSE;
    assert_translates(LINEAR32, WALK_WRITE, UINT64_C(0x2440007123));
    paging32(entry | 1 << 21, 0);
    guest.vcpu.cr4 |= CR4_PSE;
    assert_page_fault(LINEAR32, 0, PF_PRESENT | PF_RESERVED);
    // A CPU of 36 bits reserves the rest.
    paging32(entry, 0);
    guest.vcpu.cr4 |= CR4_PSE;
    guest.vm.cpuid.physical_width = 36;
    assert_page_fault(LINEAR32, 0, PF_PRESENT | PF_RESERVED);
    // Without CR4.PSE the bit means nothing.
    paging32(0x4000 | (uint32_t)(PTE_P | PTE_PS), 0x5000 | (uint32_t)PTE_P);
    assert_translates(LINEAR32, 0, 0x5123);
}

static void paging_pae(uint64_t directory_entry, uint64_t table_entry)
{
    guest_flat32();
    guest.vcpu.cr0 |= CR0_PG | CR0_WP;
    guest.vcpu.cr4 |= CR4_PAE;
    guest.vcpu.pdpte[3] = 0x3000 | PTE_P;
    *guest_word(0x3000 + 5 * 8) = directory_entry;
    *guest_word(0x4000 + 7 * 8) = table_entry;
}

#define LINEAR_PAE (UINT64_C(3) << 30 | 5 << 21 | 7 << 12 | 0x123)

static void paging_with_pae(void **state)
{
    paging_pae(0x4000 | PTE_P | PTE_W | PTE_U, UINT64_C(0x12abcde000) | PTE_P | PTE_W);
    assert_translates(LINEAR_PAE, WALK_WRITE, UINT64_C(0x12abcde123));
    assert_page_fault(LINEAR_PAE, WALK_USER, PF_PRESENT | PF_USER);
    assert_page_fault(LINEAR_PAE - (1 << 30), 0, 0);
    // Bits 62:52 are reserved, and 63 without EFER.NXE.
    paging_pae(0x4000 | PTE_P, 0x5000 | PTE_P | BIT(52));
    assert_page_fault(LINEAR_PAE, 0, PF_PRESENT | PF_RESERVED);
    paging_pae(0x4000 | PTE_P, 0x5000 | PTE_P | PTE_NX);
    assert_page_fault(LINEAR_PAE, WALK_FETCH, PF_PRESENT | PF_RESERVED);
    guest.vcpu.efer = EFER_NXE;
    assert_translates(LINEAR_PAE, 0, 0x5123);
    assert_page_fault(LINEAR_PAE, WALK_FETCH, PF_PRESENT | PF_FETCH);
    paging_pae(0x600000 | PTE_P | PTE_PS, 0);
    assert_translates(LINEAR_PAE, 0, 0x600000 | 0x7123);
    paging_pae(0x602000 | PTE_P | PTE_PS, 0);
    assert_page_fault(LINEAR_PAE, 0, PF_PRESENT | PF_RESERVED);
}

#define KERNEL UINT64_C(0xffff800012345000)

static void four_levels(void **state)
{
    guest_long_mode();
    guest_map(KERNEL, 0x1000, PTE_P | PTE_W);
    assert_translates(KERNEL + 0x678, WALK_WRITE | WALK_FETCH, 0x1678);
    assert_page_fault(KERNEL, WALK_USER, PF_PRESENT | PF_USER);
    assert_page_fault(KERNEL, WALK_USER | WALK_FETCH, PF_PRESENT | PF_USER | PF_FETCH);
    assert_page_fault(KERNEL + 4096, WALK_FETCH, PF_FETCH);
    // The rights of the upper levels count as well.
    guest_map(KERNEL, 0x1000, PTE_P | PTE_W | PTE_U);
    assert_translates(KERNEL, WALK_USER, 0x1000);
    uint64_t *top = guest_word(guest.vcpu.cr3 + 256 * 8);
    *top &= ~PTE_W;
    assert_page_fault(KERNEL, WALK_WRITE | WALK_USER, PF_PRESENT | PF_WRITE | PF_USER);
    *top |= PTE_W | PTE_PS;
    assert_page_fault(KERNEL, 0, PF_PRESENT | PF_RESERVED);
    *top ^= PTE_PS | BIT(40);
    assert_page_fault(KERNEL, 0, PF_PRESENT | PF_RESERVED);
    guest.vm.cpuid.physical_width = 41;
    assert_false(translates(KERNEL, 0)); // 41 bits: not reserved, but no memory there
    assert_int_equal(fault_seen.kind, VERDICT_STOP);
    assert_int_equal(fault_seen.detail, STOP_BAD_MEMORY);
}

static void large_pages_of_four_levels(void **state)
{
    guest_long_mode();
    uint64_t linear = UINT64_C(0x7f1234567890);
    uint64_t third = guest_new_table(), second = guest_new_table();
    *guest_word(guest.vcpu.cr3 + 254 * 8) = third | PTE_P | PTE_W | PTE_U;
    uint64_t *giant = guest_word(third + (linear >> 30 & 511) * 8);
    *giant = PAGE_1G * 3 | PTE_P | PTE_PS;
    assert_translates(linear, 0, PAGE_1G * 3 + (linear & (PAGE_1G - 1)));
    *giant |= BIT(29);
    assert_page_fault(linear, 0, PF_PRESENT | PF_RESERVED);
    *giant = second | PTE_P;
    uint64_t *large = guest_word(second + (linear >> 21 & 511) * 8);
    *large = PAGE_2M * 5 | PTE_P | PTE_PS | BIT(12); // bit 12 is the PAT's
    assert_translates(linear, 0, PAGE_2M * 5 + (linear & (PAGE_2M - 1)));
    *large |= BIT(20);
    assert_page_fault(linear, 0, PF_PRESENT | PF_RESERVED);
}

static void five_levels(void **state)
{
    guest_long_mode();
    guest.vcpu.cr4 |= CR4_LA57;
    uint64_t linear = UINT64_C(0x00ab800012345000);
    guest_map(linear, 0x1000, PTE_P);
    assert_translates(linear + 5, 0, 0x1005);
    assert_page_fault(linear ^ BIT(50), 0, 0);
}

static void smep_and_smap_keep_the_kernel_out_of_user_pages(void **state)
{
    guest_long_mode();
    guest_map(0x5000, 0x1000, PTE_P | PTE_W | PTE_U);
    assert_translates(0x5000, WALK_FETCH, 0x1000);
    guest.vcpu.cr4 |= CR4_SMEP;
    assert_page_fault(0x5000, WALK_FETCH, PF_PRESENT | PF_FETCH);
    assert_translates(0x5000, WALK_FETCH | WALK_USER, 0x1000);
    assert_translates(0x5000, 0, 0x1000);
    guest.vcpu.cr4 |= CR4_SMAP;
    assert_page_fault(0x5000, 0, PF_PRESENT);
    assert_page_fault(0x5000, WALK_WRITE, PF_PRESENT | PF_WRITE);
    assert_translates(0x5000, WALK_USER | WALK_WRITE, 0x1000);
    guest.vcpu.rflags |= RFLAGS_AC;
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    assert_page_fault(0x5000, WALK_IMPLICIT, PF_PRESENT);
}

static void protection_keys(void **state)
{
    guest_long_mode();
    guest.vcpu.cr4 |= CR4_PKE;
    guest.vm.cpuid.leaves = (struct cpuid_leaves){1, {{0xd, 9, 8, 0xa80, 0, 0}}};
    guest_map(0x5000, 0x1000, PTE_P | PTE_W | PTE_U | FIELD_MAKE(BITS(62, 59), 6));
    guest_map(0x6000, 0x1000, PTE_P | PTE_W | FIELD_MAKE(BITS(62, 59), 6));
    uint32_t write_disable = 2 << 12, access_disable = 1 << 12;
    memcpy(guest.fpu + 0xa80, &access_disable, 4);
    assert_translates(0x5000, WALK_USER, 0x1000); // PKRU is in its initial state
    guest.fpu[512 + 1] = 2;
    assert_page_fault(0x5000, WALK_USER, PF_PRESENT | PF_USER | PF_KEY);
    assert_page_fault(0x5000, 0, PF_PRESENT | PF_KEY);
    assert_translates(0x5000, WALK_USER | WALK_FETCH, 0x1000);
    assert_translates(0x6000, WALK_WRITE, 0x1000); // no user page
    memcpy(guest.fpu + 0xa80, &write_disable, 4);
    assert_translates(0x5000, WALK_USER, 0x1000);
    assert_page_fault(0x5000, WALK_WRITE, PF_PRESENT | PF_WRITE | PF_KEY);
    guest.vcpu.cr0 &= ~CR0_WP;
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    assert_page_fault(0x5000, WALK_WRITE | WALK_USER, PF_PRESENT | PF_WRITE | PF_USER | PF_KEY);
}

static void flags_are_set_by_the_mark_and_not_before(void **state)
{
    guest_long_mode();
    guest_map(0x5000, 0x1000, PTE_P | PTE_W);
    uint64_t *top = guest_word(guest.vcpu.cr3), *leaf = guest_entry(0x5000);
    *top &= ~PTE_A;
    uint64_t top_before = *top, leaf_before = *leaf;
    assert_translates(0x5000, 0, 0x1000);
    assert_int_equal(*top, top_before);
    assert_int_equal(*leaf, leaf_before);
    assert_true(walk_mark(&guest.vcpu, &walk));
    assert_int_equal(*top, top_before | PTE_A);
    assert_int_equal(*leaf, leaf_before | PTE_A);
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    assert_true(walk_mark(&guest.vcpu, &walk));
    assert_int_equal(*top, top_before | PTE_A);
    assert_int_equal(*leaf, leaf_before | PTE_A | PTE_D);
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    assert_int_equal(walk.marks, 0);
    // Both at once, on an entry fresh from the allocator.
    *leaf = leaf_before;
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    assert_int_equal(walk.marks, 1);
    assert_true(walk_mark(&guest.vcpu, &walk));
    assert_int_equal(*leaf, leaf_before | PTE_A | PTE_D);
    // An entry that another CPU changed meanwhile is left alone.
    *leaf = leaf_before;
    assert_translates(0x5000, WALK_WRITE, 0x1000);
    *leaf = 0;
    assert_false(walk_mark(&guest.vcpu, &walk));
    assert_int_equal(*leaf, 0);
}

static void what_a_walk_needs_is_named(void **state)
{
    guest_long_mode();
    assert_int_equal(walk_missing(&guest.vcpu), 0);
    guest.vcpu.fetched = STATE_FLOW;
    assert_int_equal(walk_missing(&guest.vcpu), STATE_CONTROL | STATE_MODE);
    guest.vcpu.fetched = STATE_FLOW | STATE_CONTROL | STATE_MODE;
    assert_int_equal(walk_missing(&guest.vcpu), 0);
    guest.vcpu.cr4 |= CR4_PKE;
    assert_int_equal(walk_missing(&guest.vcpu), STATE_FPU);
    paging_pae(0, 0);
    guest.vcpu.fetched = STATE_FLOW | STATE_CONTROL | STATE_MODE;
    assert_int_equal(walk_missing(&guest.vcpu), STATE_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_paging_linear_is_physical),
        cmocka_unit_test(paging_of_32_bits),
        cmocka_unit_test(large_pages_of_32_bits),
        cmocka_unit_test(paging_with_pae),
        cmocka_unit_test(four_levels),
        cmocka_unit_test(large_pages_of_four_levels),
        cmocka_unit_test(five_levels),
        cmocka_unit_test(smep_and_smap_keep_the_kernel_out_of_user_pages),
        cmocka_unit_test(protection_keys),
        cmocka_unit_test(flags_are_set_by_the_mark_and_not_before),
        cmocka_unit_test(what_a_walk_needs_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
