// The list of vmx/policy/vmcs.h, and vmx/policy/fields.c.

#include "tests/unit/support.h"

#include "vmx/policy/fields.h"
#include "vmx/policy/guest_state.h"

static void rows_are_unique_and_well_formed(void **state)
{
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
    assert_int_equal(fields_digits(VMCS_VPID), 4);
    assert_int_equal(fields_digits(VMCS_EXIT_REASON), 8);
    assert_int_equal(fields_digits(VMCS_EPT_POINTER), 16);
    assert_int_equal(fields_digits(VMCS_GUEST_RIP), 16);
    assert_null(fields_name(0x6ffe));
}

static void check_guest(const struct guest_field *fields, unsigned count, uint8_t *named)
{
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(fields_name(fields[i].encoding));
        assert_true(fields[i].size * 2 >= fields_digits(fields[i].encoding)); // nothing is cut off
        for (unsigned byte = 0; byte < fields[i].size; byte++)
            assert_int_equal(named[fields[i].offset + byte]++, 0);
    }
}

// The rows of vmx/policy/guest_state.c: each names a field of its own, and the members are all.
static void guest_state_is_moved_whole(void **state)
{
    static uint8_t named[sizeof(struct vcpu)];
    check_guest(guest_segments, GUEST_SEGMENT_FIELDS, named);
    check_guest(guest_system, GUEST_SYSTEM_FIELDS, named);
    check_guest(guest_debug, GUEST_DEBUG_FIELDS, named);
    unsigned bytes = 0;
    for (unsigned i = 0; i < sizeof(named); i++)
        bytes += named[i];
    assert_int_equal(bytes, SEGMENTS * 18 + 2 * 12 + 8 * 8 + 3 * 8);
    struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
    guest_field_set(vcpu, &guest_segments[4 * TR + 1], UINT64_C(0x1234567890)); // the limit
    assert_int_equal(vcpu->segment[TR].limit, 0x34567890);
    assert_int_equal(vcpu->segment[TR].access | vcpu->segment[TR].base, 0);
    assert_int_equal(guest_field_get(vcpu, &guest_segments[4 * TR + 1]), 0x34567890);
    free(vcpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_unique_and_well_formed),
        cmocka_unit_test(the_encoding_tells_the_width),
        cmocka_unit_test(guest_state_is_moved_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
