// The list of vmx/vmcs.h, and vmx/fields.c.

#include "tests/unit/support.h"

#include "vmx/fields.h"

static void rows_are_unique_and_well_formed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fields_count; i++) {
        assert_int_equal(fields_table[i].encoding & ~0x6ffe, 0);
        assert_true(strlen(fields_table[i].name) <= 40);
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(fields_table[i].encoding, fields_table[j].encoding);
            assert_string_not_equal(fields_table[i].name, fields_table[j].name);
        }
    }
    assert_int_equal(VMCS_GUEST_BASE(7), VMCS_GUEST_TR_BASE);
    assert_int_equal(VMCS_GUEST_SELECTOR(7), VMCS_GUEST_TR_SELECTOR);
    assert_int_equal(VMCS_GUEST_LIMIT(7), VMCS_GUEST_TR_LIMIT);
    assert_int_equal(VMCS_GUEST_ACCESS_RIGHTS(7), VMCS_GUEST_TR_ACCESS_RIGHTS);
}

static void the_encoding_tells_the_width(void **state)
{
    (void)state;
    assert_int_equal(fields_digits(VMCS_VPID), 4);
    assert_int_equal(fields_digits(VMCS_EXIT_REASON), 8);
    assert_int_equal(fields_digits(VMCS_EPT_POINTER), 16);
    assert_int_equal(fields_digits(VMCS_GUEST_RIP), 16);
    assert_null(fields_name(0x6ffe));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_unique_and_well_formed),
        cmocka_unit_test(the_encoding_tells_the_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
