// vmx/fields.c against the enum of vmx/vmcs.h, and dumps.

#include "tests/unit/support.h"

#include "tests/unit/text.h"
#include "tests/unit/vmx_cpus.h"
#include "vmx/fields.h"

static void every_field_of_the_enum_has_a_row(void **state)
{
    (void)state;
    FILE *header = fopen("vmx/vmcs.h", "r");
    assert_non_null(header);
    char line[200], name[100];
    unsigned value, count = 0;
    while (fgets(line, sizeof(line), header) != NULL) {
        if (sscanf(line, "    VMCS_%99s = 0x%x,", name, &value) != 2)
            continue;
        count++;
        if (fields_name(value) == NULL)
            fail_msg("%s has no name", name);
    }
    fclose(header);
    assert_true(count > 150);
    assert_int_equal(count, fields_count);
}

static void rows_are_sorted_and_well_formed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fields_count; i++) {
        assert_int_equal(fields_table[i].encoding & ~0x6ffe, 0);
        assert_true(strlen(fields_table[i].name) <= 40);
        if (i > 0)
            assert_true(fields_table[i].encoding > fields_table[i - 1].encoding);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(fields_table[i].name, fields_table[j].name);
        // What depends on a control depends on one that has a name.
        if (fields_table[i].controls != 0)
            assert_non_null(
                control_name(fields_table[i].word, lowest_bit(fields_table[i].controls)));
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

static uint64_t encoding_itself(void *context, uint32_t encoding)
{
    (void)context;
    return encoding;
}

static void a_dump_has_the_fields_of_its_type_that_exist(void **state)
{
    (void)state;
    struct vmx_capabilities cpu = decoded(&kvm_host);
    struct text text = {.printer.write = collect};
    fields_print(&text.printer, VMCS_GUEST, &cpu, encoding_itself, NULL);
    assert_non_null(strstr(text.buffer, "681e guest RIP"));
    assert_non_null(strstr(text.buffer, "000000000000681e\n"));
    assert_non_null(strstr(text.buffer, "482e VMX-preemption timer value"));
    assert_null(strstr(text.buffer, "FRED"));
    assert_null(strstr(text.buffer, "host"));
    assert_null(strstr(text.buffer, "IA32_BNDCFGS"));

    text = (struct text){.printer.write = collect};
    fields_print(&text.printer, VMCS_CONTROL, &cpu, encoding_itself, NULL);
    assert_non_null(strstr(text.buffer, "201a EPT pointer"));
    assert_null(strstr(text.buffer, "CR3 target 0")); // KVM has none
    assert_null(strstr(text.buffer, "PLE_Gap"));
    cpu = decoded(&bochs_skylake);
    fields_print(&text.printer, VMCS_CONTROL, &cpu, encoding_itself, NULL);
    assert_non_null(strstr(text.buffer, "CR3 target 3"));
    assert_non_null(strstr(text.buffer, "PLE_Gap"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_the_enum_has_a_row),
        cmocka_unit_test(rows_are_sorted_and_well_formed),
        cmocka_unit_test(the_encoding_tells_the_width),
        cmocka_unit_test(a_dump_has_the_fields_of_its_type_that_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
