// vmx/policy/capabilities.c with the MSRs of real and emulated CPUs.

#include "tests/unit/support.h"

#include "tests/unit/vmx_cpus.h"

static void the_true_controls_are_used(void **state)
{
    struct vmx_capabilities cpu = decoded(&bochs_icelake);
    assert_int_equal(cpu.control[WORD_PRIMARY].must, 0x04006172);
    assert_int_equal(cpu.control[WORD_PRIMARY].may, 0xfff9fffe);
    assert_int_equal(cpu.control[WORD_VMEXIT].must, 0x00036dfb);
    assert_int_equal(cpu.control[WORD_VMENTRY].must, 0x000011fb);

    struct vmx_raw old = bochs_icelake;
    old.msr[0] &= ~BASIC_TRUE_CONTROLS;
    cpu = decoded(&old);
    assert_int_equal(cpu.control[WORD_PRIMARY].must, 0x0401e172);
    assert_int_equal(cpu.control[WORD_VMEXIT].must, 0x00036dff);
    assert_int_equal(cpu.control[WORD_VMENTRY].must, 0x000011ff);
}

static void the_numbers_are_decoded(void **state)
{
    struct vmx_capabilities bochs = decoded(&bochs_skylake), kvm = decoded(&kvm_host);
    assert_int_equal(bochs.revision, 0x2b);
    assert_int_equal(bochs.timer_rate, 0);
    assert_int_equal(bochs.cr3_targets, 4);
    assert_int_equal(bochs.msr_list_limit, 512);
    assert_int_equal(bochs.cr4.may, 0x3727ff);
    assert_int_equal(kvm.revision, 0x11e57ed0);
    assert_int_equal(kvm.timer_rate, 5);
    assert_int_equal(kvm.cr3_targets, 0);
    assert_false(capabilities_allow(&kvm, WORD_SECONDARY, SECONDARY_PAUSE_LOOP_EXITING));
    assert_true(capabilities_allow(&bochs, WORD_SECONDARY, SECONDARY_PAUSE_LOOP_EXITING));
    assert_true(capabilities_ept_vpid(&kvm, EPT_WB | EPT_1G));
    assert_false(capabilities_ept_vpid(&kvm, EPT_WB | EPT_UC));
}

static void words_that_nothing_activates_are_empty(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    raw.msr[MSR_VMX_TERTIARY - VMX_MSR_FIRST] = 0xff;
    raw.msr[MSR_VMX_SECONDARY_EXIT - VMX_MSR_FIRST] = 0xff;
    struct vmx_capabilities cpu = decoded(&raw);
    assert_int_equal(cpu.control[WORD_TERTIARY].may, 0);
    assert_int_equal(cpu.control[WORD_VMEXIT2].may, 0);

    raw.msr[MSR_VMX_TRUE_PRIMARY - VMX_MSR_FIRST] |= (uint64_t)PRIMARY_TERTIARY_CONTROLS << 32;
    raw.msr[MSR_VMX_TRUE_EXIT - VMX_MSR_FIRST] |= (uint64_t)VMEXIT_SECONDARY_CONTROLS << 32;
    cpu = decoded(&raw);
    assert_int_equal(cpu.control[WORD_TERTIARY].may, 0xff);
    assert_int_equal(cpu.control[WORD_VMEXIT2].may, 0xff);

    raw.msr[MSR_VMX_TRUE_PRIMARY - VMX_MSR_FIRST] &= ~((uint64_t)PRIMARY_SECONDARY_CONTROLS << 32);
    assert_int_equal(decoded(&raw).control[WORD_SECONDARY].may, 0);
}

static void msrs_exist_by_what_was_read_before(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    assert_true(capabilities_msr_exists(&raw, MSR_VMX_BASIC));
    assert_true(capabilities_msr_exists(&raw, MSR_VMX_SECONDARY));
    assert_true(capabilities_msr_exists(&raw, MSR_VMX_EPT_VPID_CAP));
    assert_true(capabilities_msr_exists(&raw, MSR_VMX_TRUE_ENTRY));
    assert_true(capabilities_msr_exists(&raw, MSR_VMX_VMFUNC));
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_TERTIARY));
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_SECONDARY_EXIT));
    assert_false(capabilities_msr_exists(&raw, (enum vmx_msr)0x494));

    raw.msr[MSR_VMX_SECONDARY - VMX_MSR_FIRST] = 0;
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_EPT_VPID_CAP));
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_VMFUNC));
    raw.msr[0] &= ~BASIC_TRUE_CONTROLS;
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_TRUE_PIN));
    raw.msr[MSR_VMX_PRIMARY - VMX_MSR_FIRST] = 0;
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_SECONDARY));
    raw.vmx = false;
    assert_false(capabilities_msr_exists(&raw, MSR_VMX_BASIC));
}

static void an_intersection_with_itself_changes_nothing(void **state)
{
    struct vmx_capabilities one = decoded(&bochs_tigerlake), all = one;
    capabilities_intersect(&all, &one);
    assert_memory_equal(&all, &one, sizeof(all));
}

static void an_intersection_has_what_both_have(void **state)
{
    struct vmx_capabilities all = decoded(&bochs_icelake), kvm = decoded(&kvm_host);
    capabilities_intersect(&all, &kvm);
    assert_int_equal(all.control[WORD_SECONDARY].may, 0x02977fff & 0x021378ff);
    assert_int_equal(all.control[WORD_VMENTRY].may, 0xd3ff);
    assert_false(capabilities_ept_vpid(&all, EPT_UC));
    assert_true(capabilities_ept_vpid(&all, EPT_1G | EPT_ACCESSED_DIRTY));
    assert_int_equal(all.cr3_targets, 0);
    assert_false(all.same_revision);
    assert_false(all.same_timer);
    assert_int_equal(all.raw.physical_bits, 39);
    assert_true(all.raw.hypervisor);
    assert_int_equal(vmx_msr(&all, MSR_VMX_MISC) & MISC_ACTIVITY_SHUTDOWN, 0);
    assert_int_not_equal(vmx_msr(&all, MSR_VMX_MISC) & MISC_ACTIVITY_HLT, 0);

    // What one CPU demands, all must do.
    struct vmx_raw forced = bochs_icelake;
    forced.msr[MSR_VMX_TRUE_PRIMARY - VMX_MSR_FIRST] |= PRIMARY_CR3_LOAD_EXITING;
    struct vmx_capabilities one = decoded(&forced);
    capabilities_intersect(&all, &one);
    assert_true(all.control[WORD_PRIMARY].must & PRIMARY_CR3_LOAD_EXITING);
}

static void one_cpu_without_vmx_spoils_the_intersection(void **state)
{
    struct vmx_capabilities all = decoded(&bochs_icelake), one = all;
    one.raw.feature_control = FEATURE_CONTROL_LOCK;
    capabilities_intersect(&all, &one);
    assert_false(capabilities_usable(&all.raw));

    // Not locked yet is usable, on either side.
    all = decoded(&bochs_icelake);
    one.raw.feature_control = 0;
    capabilities_intersect(&all, &one);
    assert_true(capabilities_usable(&all.raw));
    one.raw.vmx = false;
    capabilities_intersect(&all, &one);
    assert_false(all.raw.vmx);
}

static void a_memory_type_that_differs_is_not_write_back(void **state)
{
    struct vmx_capabilities all = decoded(&bochs_icelake), one = all;
    one.raw.msr[0] &= ~BASIC_MEMORY_TYPE;
    one.raw.msr[0] |= BASIC_32_BIT_ADDRESS;
    capabilities_intersect(&all, &one);
    assert_int_equal(FIELD_GET(BASIC_MEMORY_TYPE, vmx_msr(&all, MSR_VMX_BASIC)), 0);
    assert_true(vmx_msr(&all, MSR_VMX_BASIC) & BASIC_32_BIT_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_true_controls_are_used),
        cmocka_unit_test(the_numbers_are_decoded),
        cmocka_unit_test(words_that_nothing_activates_are_empty),
        cmocka_unit_test(msrs_exist_by_what_was_read_before),
        cmocka_unit_test(an_intersection_with_itself_changes_nothing),
        cmocka_unit_test(an_intersection_has_what_both_have),
        cmocka_unit_test(one_cpu_without_vmx_spoils_the_intersection),
        cmocka_unit_test(a_memory_type_that_differs_is_not_write_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
