// The VM-entry checker (vmx/check/): valid states pass, and each single corruption is named.

#include "tests/unit/support.h"

#include "tests/unit/check_cases.h"

static void valid_states_pass_on_every_cpu(void **state)
{
    const struct vmx_raw *cpus[] = {&bochs_icelake, &bochs_skylake, &bochs_tigerlake, &kvm_host};
    // clang-format off
    const struct corruption none[] = {
        {.start = image_long_mode}, {.start = image_protected_mode},
        {.start = image_pae},       {.start = image_real_mode},
        {.start = image_virtual_8086},
    };
    // clang-format on
    for (unsigned i = 0; i < ARRAY_LENGTH(cpus); i++) {
        struct vmx_capabilities cpu = decoded(cpus[i]);
        RUN(&cpu, none, check_host);
        // The same with controls that none of them has.
        cpu.control[WORD_SECONDARY].may |= SECONDARY_BUS_LOCK_DETECTION | SECONDARY_USER_WAIT;
        RUN(&cpu, none, check_host);
    }
}

static void fields_that_a_cpu_may_lack_are_not_read(void **state)
{
    struct vmx_capabilities cpu = decoded(&kvm_host);
    struct vmcs_config config;
    vmcs_config_make(&config, &cpu, 0, 0);
    image_long_mode(&image, &config);
    struct text text = {.printer.write = collect};
    struct check check = {&cpu, image_read, &image, NULL, &text.printer, 0};
    assert_int_equal(check_entry(&check), 0);
    const uint32_t absent[] = {VMCS_VPID,
                               VMCS_TPR_THRESHOLD,
                               VMCS_VIRTUAL_APIC_ADDRESS,
                               VMCS_TERTIARY_CONTROLS,
                               VMCS_SECONDARY_EXIT_CONTROLS,
                               VMCS_GUEST_S_CET,
                               VMCS_GUEST_BNDCFGS,
                               VMCS_HOST_PERF_GLOBAL_CTRL,
                               VMCS_GUEST_PKRS,
                               VMCS_TSC_MULTIPLIER,
                               VMCS_PML_ADDRESS};
    for (unsigned i = 0; i < ARRAY_LENGTH(absent); i++)
        assert_false(image.asked[absent[i]]);
    assert_true(image.asked[VMCS_GUEST_RIP]);
}

static void the_words_of_the_cases_are_those_chosen(void **state)
{
    struct vmx_capabilities cpu = everything();
    struct vmcs_config config;
    // as on Bochs
    vmcs_config_make(&config, &cpu, vmcs_config_default() & ~FEATURE(FEATURE_BUS_LOCK), 0);
    assert_int_equal(config.word[WORD_PIN], PIN);
    assert_int_equal(config.word[WORD_PRIMARY], PRIMARY);
    assert_int_equal(config.word[WORD_SECONDARY], SECONDARY);
    assert_int_equal(config.word[WORD_VMEXIT], EXIT);
    assert_int_equal(config.word[WORD_VMENTRY], ENTRY);
}

static void control_words_within_the_capabilities(void **state)
{
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN & ~BIT(1)}}, {"pin-based controls:bit 1 (reserved) must be 1"}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN | BIT(8)}}, {"pin-based controls:bit 8 (reserved) must be 0"}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, PRIMARY & ~BIT(4)}}, {"primary controls:bit 4 (reserved) must be 1"}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, PRIMARY | BIT(18)}}, {"primary controls:bit 18"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_BUS_LOCK_DETECTION}}, {"secondary controls:bit 30 (VMM bus-lock detection) must be 0"}},
        {LONG, {{VMCS_EXIT_CONTROLS, EXIT | VMEXIT_CLEAR_BNDCFGS}}, {"VM-exit controls:bit 23 (clear IA32_BNDCFGS) must be 0"}},
        {LONG, {{VMCS_EXIT_CONTROLS, EXIT & ~BIT(0)}}, {"VM-exit controls:bit 0"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_RTIT_CTL}}, {"VM-entry controls:bit 18 (load IA32_RTIT_CTL) must be 0"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 & ~BIT(8)}}, {"VM-entry controls:bit 8"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_SMM}}, {"VM-entry controls:SMM alone"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_DEACTIVATE_DUAL_MODE}}, {"VM-entry controls:SMM alone"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = decoded(&bochs_icelake);
    RUN(&cpu, cases, check_controls);

    // A tertiary control on a CPU that has the word, but not the control.
    // clang-format off
    const struct corruption tertiary[] = {
        {LONG, {{VMCS_PRIMARY_CONTROLS, PRIMARY | PRIMARY_TERTIARY_CONTROLS}, {VMCS_TERTIARY_CONTROLS, BIT(4)}},
         {"tertiary controls:bit 4 (IPI virtualization) must be 0"}},
    };
    // clang-format on
    cpu.control[WORD_PRIMARY].may |= PRIMARY_TERTIARY_CONTROLS;
    RUN(&cpu, tertiary, check_controls);
}

static void controls_that_need_each_other(void **state)
{
    const uint64_t no_tpr = PRIMARY & ~PRIMARY_TPR_SHADOW,
                   no_ept =
                       SECONDARY & ~(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_PML);
    const uint64_t vid = SECONDARY_VIRTUAL_INTERRUPT_DELIVERY;
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN & ~PIN_NMI_EXITING}}, {"pin-based controls:\"virtual NMIs\" needs \"NMI exiting\""}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN & ~PIN_VIRTUAL_NMIS}, {VMCS_PRIMARY_CONTROLS, PRIMARY | PRIMARY_NMI_WINDOW_EXITING}}, {"primary controls:\"NMI-window exiting\" needs \"virtual NMIs\""}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, no_tpr}, {VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VIRTUALIZE_X2APIC}}, {"secondary controls:needs \"TPR shadow\""}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, no_tpr}, {VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_APIC_REGISTER}}, {"secondary controls:needs \"TPR shadow\""}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, no_tpr}, {VMCS_SECONDARY_CONTROLS, SECONDARY | vid}}, {"secondary controls:needs \"TPR shadow\""}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, no_tpr | PRIMARY_TERTIARY_CONTROLS}, {VMCS_TERTIARY_CONTROLS, TERTIARY_IPI_VIRTUALIZATION}}, {"tertiary controls:needs \"TPR shadow\""}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, no_ept | SECONDARY_UNRESTRICTED_GUEST}}, {"secondary controls:\"unrestricted guest\" needs \"EPT\""}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, no_ept | SECONDARY_PML}}, {"secondary controls:\"PML\" needs \"EPT\""}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, no_ept | SECONDARY_MODE_BASED_EXECUTE}}, {"secondary controls:needs \"EPT\""}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, no_ept | SECONDARY_SUB_PAGE_WRITE}}, {"secondary controls:needs \"EPT\""}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, no_ept}, {VMCS_PRIMARY_CONTROLS, PRIMARY | PRIMARY_TERTIARY_CONTROLS}, {VMCS_TERTIARY_CONTROLS, TERTIARY_HLAT}}, {"tertiary controls:\"HLAT\" needs \"EPT\""}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN & ~PIN_EXTERNAL_INTERRUPT_EXITING}, {VMCS_SECONDARY_CONTROLS, SECONDARY | vid}}, {"secondary controls:needs \"external-interrupt exiting\""}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN | PIN_POSTED_INTERRUPTS}}, {"pin-based controls:needs \"virtual-interrupt delivery\""}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN | PIN_POSTED_INTERRUPTS}, {VMCS_SECONDARY_CONTROLS, SECONDARY | vid}, {VMCS_EXIT_CONTROLS, EXIT & ~VMEXIT_ACKNOWLEDGE_INTERRUPT}}, {"pin-based controls:needs \"acknowledge interrupt on exit\""}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, PIN & ~PIN_PREEMPTION_TIMER}}, {"VM-exit controls:\"save VMX-preemption timer value\" needs"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VIRTUALIZE_X2APIC | SECONDARY_VIRTUALIZE_APIC_ACCESSES}}, {"secondary controls:are both 1"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_PT_GUEST_PHYSICAL}}, {"secondary controls:needs \"load IA32_RTIT_CTL\"", "secondary controls:needs \"clear IA32_RTIT_CTL\""}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_controls);
}

static void without_vpid(struct vmcs_image *to, const struct vmcs_config *config)
{
    image_long_mode(to, config);
    to->value[VMCS_VPID] = 0;
}

static void addresses_and_values_of_controls(void **state)
{
    const uint64_t posted = PIN | PIN_POSTED_INTERRUPTS,
                   vid = SECONDARY | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY;
    const uint64_t tertiary = PRIMARY | PRIMARY_TERTIARY_CONTROLS;
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_IO_BITMAP_A, 0x1001}}, {"I/O bitmap A:not aligned"}},
        {LONG, {{VMCS_IO_BITMAP_B, BIT(40)}}, {"I/O bitmap B:beyond"}},
        {LONG, {{VMCS_MSR_BITMAPS, 0x800}}, {"MSR bitmaps:not aligned"}},
        {LONG, {{VMCS_VIRTUAL_APIC_ADDRESS, 0x4800}}, {"virtual-APIC address:not aligned"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VIRTUALIZE_APIC_ACCESSES}, {VMCS_APIC_ACCESS_ADDRESS, 0xfee00010}}, {"APIC-access address:not aligned"}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, posted}, {VMCS_SECONDARY_CONTROLS, vid}, {VMCS_POSTED_INTERRUPT_DESCRIPTOR, 0x1020}}, {"posted-interrupt descriptor:not aligned"}},
        {LONG, {{VMCS_PIN_BASED_CONTROLS, posted}, {VMCS_SECONDARY_CONTROLS, vid}, {VMCS_POSTED_INTERRUPT_VECTOR, 0x100}}, {"posted-interrupt vector:above 255"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_PML}, {VMCS_PML_ADDRESS, 8}}, {"PML address:not aligned"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_SUB_PAGE_WRITE}, {VMCS_SUB_PAGE_PERMISSION_TABLE_POINTER, 8}}, {"sub-page-permission-table pointer:not aligned"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VMCS_SHADOWING}, {VMCS_VMREAD_BITMAP, 8}, {VMCS_VMWRITE_BITMAP, BIT(50)}}, {"VMREAD bitmap:not aligned", "VMWRITE bitmap:beyond"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_EPT_VIOLATION_VE}, {VMCS_VIRTUALIZATION_EXCEPTION_INFORMATION, 8}}, {"virtualization-exception information:not aligned"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_PASID_TRANSLATION}, {VMCS_LOW_PASID_DIRECTORY, 8}, {VMCS_HIGH_PASID_DIRECTORY, 8}}, {"low PASID directory:not aligned", "high PASID directory:not aligned"}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, tertiary}, {VMCS_TERTIARY_CONTROLS, TERTIARY_HLAT}, {VMCS_HLAT_POINTER, 0x1020}}, {"HLAT pointer:not aligned"}},
        {LONG, {{VMCS_PRIMARY_CONTROLS, tertiary}, {VMCS_TERTIARY_CONTROLS, TERTIARY_IPI_VIRTUALIZATION}, {VMCS_PID_POINTER_TABLE, 4}}, {"PID pointer table:not aligned"}},
        {LONG, {{VMCS_CR3_TARGET_COUNT, 5}}, {"CR3 target count:more"}},
        {.start = without_vpid, .says = {"VPID:the host's"}},
        {LONG, {{VMCS_EPT_POINTER, 0x5018}}, {NULL}}, // UC: Bochs has it
        {LONG, {{VMCS_EPT_POINTER, 0x5019}}, {"EPT pointer:memory type"}},
        {LONG, {{VMCS_EPT_POINTER, 0x5026}}, {"EPT pointer:walk length"}},
        {LONG, {{VMCS_EPT_POINTER, 0x5016}}, {"EPT pointer:walk length"}},
        {LONG, {{VMCS_EPT_POINTER, 0x505e}}, {NULL}},
        {LONG, {{VMCS_EPT_POINTER, 0x509e}}, {"EPT pointer:bit 7"}},
        {LONG, {{VMCS_EPT_POINTER, 0x581e}}, {"EPT pointer:not aligned"}},
        {LONG, {{VMCS_EPT_POINTER, BIT(40) | 0x1e}}, {"EPT pointer:beyond"}},
        {LONG, {{VMCS_TPR_THRESHOLD, 0x10}}, {"TPR threshold:31:4"}},
        {LONG, {{VMCS_TPR_THRESHOLD, 6}}, {"TPR threshold:VTPR"}},
        {LONG, {{VMCS_TPR_THRESHOLD, 5}}, {NULL}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, vid}, {VMCS_TPR_THRESHOLD, 0x16}}, {NULL}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_TSC_SCALING}}, {"TSC multiplier:is 0"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VM_FUNCTIONS}, {VMCS_VM_FUNCTION_CONTROLS, 2}}, {"VM-function controls:does not have"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, SECONDARY | SECONDARY_VM_FUNCTIONS}, {VMCS_VM_FUNCTION_CONTROLS, 1}, {VMCS_EPTP_LIST_ADDRESS, 8}}, {"EPTP list address:not aligned"}},
        {LONG, {{VMCS_EXIT_MSR_STORE_COUNT, 1}, {VMCS_EXIT_MSR_STORE_ADDRESS, 8}}, {"VM-exit MSR store address:not aligned"}},
        {LONG, {{VMCS_EXIT_MSR_LOAD_COUNT, 2}, {VMCS_EXIT_MSR_LOAD_ADDRESS, BIT(40) - 16}}, {"VM-exit MSR load count:runs beyond"}},
        {LONG, {{VMCS_ENTRY_MSR_LOAD_COUNT, 513}, {VMCS_ENTRY_MSR_LOAD_ADDRESS, 16}}, {"VM-entry MSR load count:recommends"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    virtual_apic[0x80] = 0x5f;
    RUN(&cpu, cases, check_controls);

    // clang-format off
    const struct corruption on_kvm[] = {
        {LONG, {{VMCS_EPT_POINTER, 0x5018}}, {"EPT pointer:memory type"}},
        {LONG, {{VMCS_CR3_TARGET_COUNT, 1}}, {"CR3 target count:more"}},
    };
    // clang-format on
    cpu = decoded(&kvm_host);
    RUN(&cpu, on_kvm, check_controls);
    cpu.raw.msr[MSR_VMX_EPT_VPID_CAP - VMX_MSR_FIRST] &= ~EPT_ACCESSED_DIRTY;
    const struct corruption without_ad[] = {
        {LONG, {{VMCS_EPT_POINTER, 0x505e}}, {"EPT pointer:bit 6"}}};
    RUN(&cpu, without_ad, check_controls);
}

#define INFO      VMCS_ENTRY_INTERRUPTION_INFORMATION
#define VALID     0x80000000
#define INFO_NAME "VM-entry interruption information"

static void injected_events(void **state)
{
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{INFO, 0x00000fff}}, {NULL}}, // not valid: not looked at
        {LONG, {{INFO, VALID | 0x100}}, {INFO_NAME ":type 1"}},
        {LONG, {{INFO, VALID | 0x203}}, {INFO_NAME ":NMI has vector 2"}},
        {LONG, {{INFO, VALID | 0x202}}, {NULL}},
        {LONG, {{INFO, VALID | 0x320}}, {INFO_NAME ":up to 31"}},
        {LONG, {{INFO, VALID | 0x701}}, {INFO_NAME ":type 7 has vector 0"}},
        {LONG, {{INFO, VALID | 0x700}}, {NULL}},
        {LONG, {{INFO, VALID | 0x1202}}, {INFO_NAME ":30:12"}},
        {LONG, {{INFO, VALID | 0xb0d}}, {NULL}},
        {LONG, {{INFO, VALID | 0x30d}}, {INFO_NAME ":has an error code"}},
        {LONG, {{INFO, VALID | 0xb06}}, {INFO_NAME ":has no error code"}},
        {LONG, {{INFO, VALID | 0xa02}}, {INFO_NAME ":only hardware"}},
        {LONG, {{INFO, VALID | 0xb0e}, {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0x10000}}, {"VM-entry exception error code:31:16"}},
        {REAL, {{INFO, VALID | 0xb0d}}, {INFO_NAME ":CR0.PE is 0"}},
        {REAL, {{INFO, VALID | 0x30d}}, {NULL}},
        {LONG, {{INFO, VALID | 0x480}, {VMCS_ENTRY_INSTRUCTION_LENGTH, 16}}, {"VM-entry instruction length:1 to 15"}},
        {LONG, {{INFO, VALID | 0x603}, {VMCS_ENTRY_INSTRUCTION_LENGTH, 1}}, {NULL}},
        {LONG, {{INFO, VALID | 0x603}}, {NULL}}, // length 0: this CPU lets it in
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_controls);

    // clang-format off
    const struct corruption no_zero_length[] = {
        {LONG, {{INFO, VALID | 0x501}}, {"VM-entry instruction length:1 to 15"}},
        {LONG, {{INFO, VALID | 0x480}}, {"VM-entry instruction length:1 to 15"}},
    };
    // clang-format on
    cpu = decoded(&kvm_host);
    RUN(&cpu, no_zero_length, check_controls);
    cpu.control[WORD_PRIMARY].may &= ~PRIMARY_MONITOR_TRAP_FLAG;
    const struct corruption no_trap_flag[] = {
        {LONG, {{INFO, VALID | 0x700}}, {INFO_NAME ":type 7 (pending MTF)"}}};
    RUN(&cpu, no_trap_flag, check_controls);

    const struct corruption any_error_code[] = {{LONG, {{INFO, VALID | 0xb06}}, {NULL}},
                                                {LONG, {{INFO, VALID | 0x30d}}, {NULL}}};
    cpu = decoded(&bochs_tigerlake);
    RUN(&cpu, any_error_code, check_controls);
}

static void the_host(void **state)
{
    const uint64_t odd = UINT64_C(0x0000800000000000);
    const uint64_t exit_cet = EXIT | VMEXIT_LOAD_CET;
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_HOST_CR0, 0x80010013}}, {"host CR0:fixes to 1"}},
        {LONG, {{VMCS_HOST_CR0, 0x180010033}}, {"host CR0:fixes to 0"}},
        {LONG, {{VMCS_HOST_CR4, 0x620}}, {"host CR4:fixes to 1"}},
        {LONG, {{VMCS_HOST_CR4, 0x2620 | BIT(30)}}, {"host CR4:fixes to 0"}},
        {LONG, {{VMCS_HOST_CR4, 0x2600}}, {"host CR4:PAE"}},
        {LONG, {{VMCS_HOST_CR4, 0x2620 | CR4_CET}, {VMCS_HOST_CR0, 0x80000033}}, {"host CR4:CET"}},
        {LONG, {{VMCS_HOST_CR3, BIT(40)}}, {"host CR3:beyond"}},
        {LONG, {{VMCS_HOST_SYSENTER_ESP, odd}}, {"host IA32_SYSENTER_ESP:canonical"}},
        {LONG, {{VMCS_HOST_SYSENTER_EIP, odd}}, {"host IA32_SYSENTER_EIP:canonical"}},
        {LONG, {{VMCS_HOST_PAT, 0x0207040600070406}}, {"host IA32_PAT:each byte"}},
        {LONG, {{VMCS_HOST_PAT, 0x0007040600070408}}, {"host IA32_PAT:each byte"}},
        {LONG, {{VMCS_HOST_EFER, 0xd02}}, {"host IA32_EFER:reserved"}},
        {LONG, {{VMCS_HOST_EFER, EFER_LME}}, {"host IA32_EFER:LMA"}},
        {LONG, {{VMCS_HOST_EFER, EFER_LMA}}, {"host IA32_EFER:LMA"}},
        {LONG, {{VMCS_EXIT_CONTROLS, EXIT & ~VMEXIT_HOST_64_BIT}}, {"host IA32_EFER:LMA", "VM-exit controls:host address-space size"}},
        {LONG, {{VMCS_EXIT_CONTROLS, EXIT | VMEXIT_LOAD_PERF_GLOBAL_CTRL}, {VMCS_HOST_PERF_GLOBAL_CTRL, BIT(60)}}, {"host IA32_PERF_GLOBAL_CTRL:reserved"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_S_CET, 0x40}}, {"host IA32_S_CET:9:6"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_S_CET, 0xc00}}, {"host IA32_S_CET:both 1"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_S_CET, odd}}, {"host IA32_S_CET:canonical"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_SSP, 2}}, {"host SSP:1:0"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_SSP, odd}}, {"host SSP:canonical"}},
        {LONG, {{VMCS_EXIT_CONTROLS, exit_cet}, {VMCS_HOST_INTERRUPT_SSP_TABLE, odd}}, {"host IA32_INTERRUPT_SSP_TABLE_ADDR:canonical"}},
        {LONG, {{VMCS_EXIT_CONTROLS, EXIT | VMEXIT_LOAD_PKRS}, {VMCS_HOST_PKRS, BIT(32)}}, {"host PKRS:63:32"}},
        {LONG, {{VMCS_HOST_ES_SELECTOR, 1}}, {"host ES selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_CS_SELECTOR, 0xb}}, {"host CS selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_SS_SELECTOR, 4}}, {"host SS selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_DS_SELECTOR, 2}}, {"host DS selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_FS_SELECTOR, 7}}, {"host FS selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_GS_SELECTOR, 3}}, {"host GS selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_TR_SELECTOR, 0x1c}}, {"host TR selector:RPL or TI"}},
        {LONG, {{VMCS_HOST_CS_SELECTOR, 0}}, {"host CS selector:null"}},
        {LONG, {{VMCS_HOST_TR_SELECTOR, 0}}, {"host TR selector:null"}},
        {LONG, {{VMCS_HOST_FS_BASE, odd}}, {"host FS base:canonical"}},
        {LONG, {{VMCS_HOST_GS_BASE, odd}}, {"host GS base:canonical"}},
        {LONG, {{VMCS_HOST_TR_BASE, odd}}, {"host TR base:canonical"}},
        {LONG, {{VMCS_HOST_GDTR_BASE, odd}}, {"host GDTR base:canonical"}},
        {LONG, {{VMCS_HOST_IDTR_BASE, odd}}, {"host IDTR base:canonical"}},
        {LONG, {{VMCS_HOST_RIP, odd}}, {"host RIP:canonical"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_states_pass_on_every_cpu),
        cmocka_unit_test(fields_that_a_cpu_may_lack_are_not_read),
        cmocka_unit_test(the_words_of_the_cases_are_those_chosen),
        cmocka_unit_test(control_words_within_the_capabilities),
        cmocka_unit_test(controls_that_need_each_other),
        cmocka_unit_test(addresses_and_values_of_controls),
        cmocka_unit_test(injected_events),
        cmocka_unit_test(the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
