// vmx/policy/vmcs_config.c and vmx/policy/required.c: what is chosen on the CPUs of vmx_cpus.h, and
// what is said where one falls short.

#include "tests/unit/support.h"

#include "tests/unit/text.h"
#include "tests/unit/vmx_cpus.h"
#include "vm/cpu/cpuid.h"
#include "vmx/policy/vmcs_config.h"
#include "vmx/policy/required.h"

static struct text text;

static struct vmcs_config chosen(const struct vmx_raw *raw, const char *option)
{
    struct vmx_capabilities cpu = decoded(raw);
    struct vmcs_config config;
    uint32_t wanted = vmcs_config_default(), requested = 0;
    assert_int_equal(vmcs_config_parse(option, &wanted, &requested, NULL), STATUS_OK);
    vmcs_config_make(&config, &cpu, wanted, requested);
    return config;
}

static void every_word_is_allowed_by_the_cpu(void **state)
{
    const struct vmx_raw *cpus[] = {&bochs_icelake, &bochs_skylake, &bochs_tigerlake, &kvm_host,
                                    &virtualbox};
    const char *options[] = {"", "-vpid,-ept_ad", "user_wait,-tpr_shadow", "-all"};
    for (unsigned i = 0; i < ARRAY_LENGTH(cpus); i++) {
        for (unsigned j = 0; j < ARRAY_LENGTH(options); j++) {
            struct vmcs_config config = chosen(cpus[i], options[j]);
            struct vmx_capabilities cpu = decoded(cpus[i]);
            assert_int_equal(config.missing, 0);
            for (unsigned word = 0; word < CONTROL_WORDS; word++) {
                assert_int_equal(config.word[word] & ~cpu.control[word].may, 0);
                assert_int_equal(cpu.control[word].must & ~config.word[word], 0);
            }
        }
    }
}

static void the_words_on_bochs(void **state)
{
    struct vmcs_config config = chosen(&bochs_icelake, "");
    assert_int_equal(config.word[WORD_PIN], 0x7f & ~(PIN_POSTED_INTERRUPTS));
    assert_int_equal(config.word[WORD_PRIMARY], 0xb6206dfa);
    assert_int_equal(config.word[WORD_SECONDARY], 0x001214ea);
    assert_int_equal(config.word[WORD_VMEXIT], 0x007befff);
    assert_int_equal(config.word[WORD_VMENTRY], 0x0000d1ff);
    assert_int_equal(config.word[WORD_TERTIARY], 0);
    assert_false(config.word[WORD_PRIMARY] &
                 (PRIMARY_CR3_LOAD_EXITING | PRIMARY_CR3_STORE_EXITING | PRIMARY_MOV_DR_EXITING |
                  PRIMARY_INVLPG_EXITING | PRIMARY_RDTSC_EXITING | PRIMARY_MONITOR_TRAP_FLAG));
}

static void kvm_has_no_pause_loop_exiting(void **state)
{
    struct vmcs_config config = chosen(&kvm_host, "");
    assert_false(vmcs_config_uses(&config, FEATURE_PLE));
    assert_false(config.available & FEATURE(FEATURE_PLE));
    assert_true(vmcs_config_uses(&config, FEATURE_VPID));
    assert_true(vmcs_config_uses(&config, FEATURE_PREEMPTION_TIMER));
}

static void an_option_takes_away_and_names_what_hangs_on_it(void **state)
{
    struct vmcs_config config = chosen(&bochs_icelake, "-vpid,-tpr_shadow,-preemption_timer");
    assert_false(vmcs_config_uses(&config, FEATURE_VPID));
    assert_false(vmcs_config_uses(&config, FEATURE_INVVPID_SINGLE));
    assert_true(config.switched_off & FEATURE(FEATURE_VPID));
    assert_false(config.word[WORD_SECONDARY] & SECONDARY_VPID);
    assert_true(config.word[WORD_PRIMARY] & PRIMARY_CR8_LOAD_EXITING);
    assert_true(config.word[WORD_PRIMARY] & PRIMARY_CR8_STORE_EXITING);
    assert_false(config.word[WORD_PRIMARY] & PRIMARY_TPR_SHADOW);
    assert_false(config.word[WORD_PIN] & PIN_PREEMPTION_TIMER);
    assert_false(config.word[WORD_VMEXIT] & VMEXIT_SAVE_PREEMPTION_TIMER);
}

static void what_hangs_on_something_comes_and_goes_with_it(void **state)
{
    struct vmx_capabilities cpu = decoded(&bochs_icelake);
    struct vmcs_config config;
    const uint32_t apicv = FEATURE(FEATURE_APIC_ACCESS) | FEATURE(FEATURE_X2APIC_VIRT) |
                           FEATURE(FEATURE_APIC_REGISTER) | FEATURE(FEATURE_VIRTUAL_INTERRUPTS) |
                           FEATURE(FEATURE_POSTED_INTERRUPTS);
    vmcs_config_make(&config, &cpu, apicv, apicv);
    assert_int_equal(config.features, 0); // without TPR shadow none of them
    vmcs_config_make(&config, &cpu, apicv | FEATURE(FEATURE_TPR_SHADOW), apicv);
    assert_true(vmcs_config_uses(&config, FEATURE_VIRTUAL_INTERRUPTS));
    assert_false(vmcs_config_uses(&config, FEATURE_POSTED_INTERRUPTS)); // Bochs has none
    assert_true(config.requested & FEATURE(FEATURE_POSTED_INTERRUPTS));
    cpu.control[WORD_PIN].may |= PIN_POSTED_INTERRUPTS;
    vmcs_config_make(&config, &cpu, apicv | FEATURE(FEATURE_TPR_SHADOW), apicv);
    assert_true(vmcs_config_uses(&config, FEATURE_POSTED_INTERRUPTS));
}

#define MODES (SECONDARY_VIRTUALIZE_APIC_ACCESSES | SECONDARY_VIRTUALIZE_X2APIC)
#define WHOLE (SECONDARY_APIC_REGISTER | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY)

static void the_local_apic_s_controls_follow_its_mode(void **state)
{
    struct vmcs_config config = chosen(&bochs_icelake, "");
    assert_false(config.word[WORD_SECONDARY] & (MODES | WHOLE));
    assert_int_equal(vmcs_config_apic(&config, true, false, true),
                     SECONDARY_VIRTUALIZE_APIC_ACCESSES | WHOLE);
    assert_int_equal(vmcs_config_apic(&config, true, true, true),
                     SECONDARY_VIRTUALIZE_X2APIC | WHOLE);
    assert_int_equal(vmcs_config_apic(&config, false, false, true), 0);
    // One that accepts nothing is software's, but for the mark of the page.
    assert_int_equal(vmcs_config_apic(&config, true, false, false),
                     SECONDARY_VIRTUALIZE_APIC_ACCESSES);
    assert_int_equal(vmcs_config_apic(&config, true, true, false), 0);
    // Without the mode's own control nothing: the guest's accesses would miss the page.
    config = chosen(&bochs_icelake, "-x2apic_virt,-vid");
    assert_int_equal(vmcs_config_apic(&config, true, true, true), 0);
    assert_int_equal(vmcs_config_apic(&config, true, false, true),
                     SECONDARY_VIRTUALIZE_APIC_ACCESSES | SECONDARY_APIC_REGISTER);
    config = chosen(&bochs_icelake, "-apic_access,-apicv");
    assert_int_equal(vmcs_config_apic(&config, true, true, true),
                     SECONDARY_VIRTUALIZE_X2APIC | SECONDARY_VIRTUAL_INTERRUPT_DELIVERY);
    assert_int_equal(vmcs_config_apic(&config, true, false, true), 0);
    config = chosen(&bochs_icelake, "-tpr_shadow");
    assert_int_equal(vmcs_config_apic(&config, true, true, true) |
                         vmcs_config_apic(&config, true, false, true),
                     0);
}

static void an_unknown_word_of_the_option_is_named(void **state)
{
    uint32_t wanted = 7, requested = 0;
    struct explanation why;
    assert_int_equal(vmcs_config_parse("-vpid,-vpd,1g", &wanted, &requested, &why),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(why.text, "\"-vpd\""));
    assert_int_equal(wanted, 7);
    assert_int_equal(vmcs_config_parse("-vpid,", &wanted, &requested, &why), STATUS_OK);
    assert_int_equal(vmcs_config_parse(",", &wanted, &requested, &why), STATUS_NOT_FOUND);
    assert_int_equal(vmcs_config_parse("-", &wanted, &requested, &why), STATUS_NOT_FOUND);
    assert_int_equal(vmcs_config_parse("--vpid", &wanted, &requested, &why), STATUS_NOT_FOUND);
    wanted = vmcs_config_default() | FEATURE(FEATURE_USER_WAIT);
    assert_int_equal(vmcs_config_parse("-all,vpid", &wanted, &requested, &why), STATUS_OK);
    assert_int_equal(wanted, FEATURE(FEATURE_USER_WAIT) | FEATURE(FEATURE_VPID));
    assert_int_equal(vmcs_config_parse("+all", &wanted, &requested, &why), STATUS_OK);
    assert_int_equal(wanted & vmcs_config_default(), vmcs_config_default());
    wanted = 0;
    for (int i = 0; i < VMX_FEATURES; i++) {
        uint32_t before = wanted;
        assert_int_equal(vmcs_config_parse(feature_row[i].option, &wanted, &requested, &why),
                         STATUS_OK);
        assert_int_equal(wanted, before | FEATURE(i));
        assert_non_null(feature_row[i].name);
        assert_non_null(feature_row[i].fallback);
    }
}

static void a_broken_preemption_timer_is_not_used(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    raw.signature = 0x000206e6;
    struct vmcs_config config = chosen(&raw, "");
    assert_false(vmcs_config_uses(&config, FEATURE_PREEMPTION_TIMER));

    struct vmx_capabilities all = decoded(&bochs_icelake), one = all;
    one.timer_rate = 5;
    capabilities_intersect(&all, &one);
    vmcs_config_make(&config, &all, vmcs_config_default(), 0);
    assert_false(vmcs_config_uses(&config, FEATURE_PREEMPTION_TIMER));
}

static void delivery_without_eoi_exits_is_not_used(void **state)
{
    struct vmx_raw raw = kvm_host;
    raw.msr[MSR_VMX_SECONDARY - VMX_MSR_FIRST] |= (uint64_t)WHOLE << 32;
    struct vmcs_config config = chosen(&raw, "");
    assert_true(vmcs_config_uses(&config, FEATURE_APIC_REGISTER));
    assert_false(vmcs_config_uses(&config, FEATURE_VIRTUAL_INTERRUPTS));
    raw.msr[MSR_VMX_TRUE_PIN - VMX_MSR_FIRST] |= (uint64_t)PIN_POSTED_INTERRUPTS << 32;
    config = chosen(&raw, "");
    assert_true(vmcs_config_uses(&config, FEATURE_VIRTUAL_INTERRUPTS));
    assert_true(vmcs_config_uses(&config, FEATURE_POSTED_INTERRUPTS));
}

static void traps_are_forced_per_vm(void **state)
{
    struct explanation why;
    struct vmx_capabilities cpu = decoded(&kvm_host);
    struct vmcs_config config = chosen(&kvm_host, "");
    uint64_t before = config.word[WORD_PRIMARY];
    assert_int_equal(vmcs_config_trap(config.word, &cpu,
                                      TRAP_MOV_DR | TRAP_DESCRIPTOR_TABLES | TRAP_RDPMC, &why),
                     STATUS_OK);
    assert_int_equal(config.word[WORD_PRIMARY], before | PRIMARY_MOV_DR_EXITING);
    assert_true(config.word[WORD_SECONDARY] & SECONDARY_DESCRIPTOR_TABLE_EXITING);

    // Bitmaps would undo it.
    assert_int_equal(vmcs_config_trap(config.word, &cpu, TRAP_IO | TRAP_MSR, &why), STATUS_OK);
    assert_int_equal(config.word[WORD_PRIMARY] & (PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS |
                                                  PRIMARY_UNCONDITIONAL_IO_EXITING),
                     PRIMARY_UNCONDITIONAL_IO_EXITING);
}

static void a_trap_without_a_control_is_refused_by_name(void **state)
{
    struct explanation why;
    struct vmx_capabilities cpu = decoded(&kvm_host);
    struct vmcs_config config = chosen(&kvm_host, "");
    cpu.control[WORD_SECONDARY].may &= ~SECONDARY_RDSEED_EXITING;
    assert_int_equal(vmcs_config_trap(config.word, &cpu, TRAP_RDSEED | TRAP_RDTSC, &why),
                     STATUS_UNSUPPORTED);
    assert_string_equal(why.text,
                        "trap: these CPUs have no control \"RDSEED exiting\"; take that word out");

    // All that there are.
    config = chosen(&kvm_host, "");
    assert_int_equal(vmcs_config_trap(config.word, &cpu, TRAP_EVERY | TRAP_IF_POSSIBLE, &why),
                     STATUS_OK);
    assert_false(config.word[WORD_SECONDARY] & SECONDARY_RDSEED_EXITING);
    uint64_t primary = PRIMARY_HLT_EXITING | PRIMARY_INVLPG_EXITING | PRIMARY_MWAIT_EXITING |
                       PRIMARY_RDPMC_EXITING | PRIMARY_RDTSC_EXITING | PRIMARY_CR3_LOAD_EXITING |
                       PRIMARY_CR3_STORE_EXITING | PRIMARY_CR8_LOAD_EXITING |
                       PRIMARY_CR8_STORE_EXITING | PRIMARY_MOV_DR_EXITING |
                       PRIMARY_UNCONDITIONAL_IO_EXITING | PRIMARY_MONITOR_EXITING |
                       PRIMARY_PAUSE_EXITING;
    assert_int_equal(config.word[WORD_PRIMARY] & primary, primary);
    uint64_t secondary =
        SECONDARY_DESCRIPTOR_TABLE_EXITING | SECONDARY_WBINVD_EXITING | SECONDARY_RDRAND_EXITING;
    assert_int_equal(config.word[WORD_SECONDARY] & secondary, secondary);
}

static void bus_locks_are_seen_where_the_cpu_can(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    assert_false(chosen(&raw, "").available & FEATURE(FEATURE_BUS_LOCK));
    raw.msr[MSR_VMX_SECONDARY - MSR_VMX_BASIC] |= (uint64_t)SECONDARY_BUS_LOCK_DETECTION << 32;
    struct vmcs_config config = chosen(&raw, "");
    assert_true(config.word[WORD_SECONDARY] & SECONDARY_BUS_LOCK_DETECTION);
    config = chosen(&raw, "-bus_lock");
    assert_false(config.word[WORD_SECONDARY] & SECONDARY_BUS_LOCK_DETECTION);
}

// The CPUID of a VM on a CPU that has everything, without `hidden`.
static struct cpuid_policy *policy_without(uint32_t hidden)
{
    static const struct cpuid_leaf everything[] = {
        {0, 0, 0x1f, 0, 0, 0},        {1, 0, ~0U, ~0U, ~0U, ~0U},
        {7, 0, 1, ~0U, ~0U, ~0U},     {0xd, 0, 3, 0x240, 0x240, 0},
        {0xd, 1, 0xf, 0x240, 0, 0},   {0x80000000, 0, 0x80000008, 0, 0, 0},
        {0x80000001, 0, 0, 0, 0, ~0U}};
    static struct cpuid_policy policy;
    struct cpuid_leaves host = {.count = ARRAY_LENGTH(everything)};
    struct feature_switch off = {0};
    while (hidden && cpu_features[off.index].bit != hidden)
        off.index++;
    memcpy(host.leaf, everything, sizeof(everything));
    struct cpuid_inputs inputs = {.vcpu_count = 1,
                                  .flags = CPUID_HOST_RDTSCP | CPUID_HOST_INVPCID |
                                           CPUID_HOST_XSAVES | CPUID_HOST_USER_WAIT,
                                  .feature = &off,
                                  .feature_count = hidden ? 1 : 0};
    assert_int_equal(cpuid_build(&policy, &host, &inputs), STATUS_OK);
    return &policy;
}

static void what_cpuid_hides_is_undefined(void **state)
{
    static const struct {
        uint32_t feature, cleared, set;
    } rows[] = {
        {0, 0, 0},
        {CPUID_SSE3, 0, 0},
        {CPUID_RDTSCP, SECONDARY_RDTSCP, 0},
        {CPUID_TSC, SECONDARY_RDTSCP, 0},
        {CPUID_RDPID, 0, 0},
        {CPUID_INVPCID, SECONDARY_INVPCID, 0},
        {CPUID_PCID, SECONDARY_INVPCID, 0},
        {CPUID_XSAVES, SECONDARY_XSAVES, 0},
        {CPUID_XSAVE, SECONDARY_XSAVES, 0},
        {CPUID_WAITPKG, SECONDARY_USER_WAIT, 0},
        {CPUID_RDRAND, 0, SECONDARY_RDRAND_EXITING},
        {CPUID_RDSEED, 0, SECONDARY_RDSEED_EXITING},
    };
    struct vmx_raw raw = bochs_icelake;
    raw.msr[MSR_VMX_SECONDARY - MSR_VMX_BASIC] |= (uint64_t)SECONDARY_USER_WAIT << 32;
    struct vmx_capabilities cpu = decoded(&raw);
    struct vmcs_config config = chosen(&raw, "user_wait");
    const uint64_t all = config.word[WORD_SECONDARY];
    assert_int_equal(all & (SECONDARY_USER_WAIT | SECONDARY_INVPCID | SECONDARY_XSAVES),
                     SECONDARY_USER_WAIT | SECONDARY_INVPCID | SECONDARY_XSAVES);
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t word[CONTROL_WORDS] = {[WORD_SECONDARY] = all};
        vmcs_config_hide(word, &cpu, policy_without(rows[i].feature));
        assert_int_equal(word[WORD_SECONDARY], (all & ~(uint64_t)rows[i].cleared) | rows[i].set);
    }
    // What must be set stays, what must not be does not come.
    cpu.control[WORD_SECONDARY].must |= SECONDARY_INVPCID;
    cpu.control[WORD_SECONDARY].may &= ~SECONDARY_RDRAND_EXITING;
    vmcs_config_hide(config.word, &cpu, policy_without(CPUID_INVPCID));
    vmcs_config_hide(config.word, &cpu, policy_without(CPUID_RDRAND));
    assert_int_equal(config.word[WORD_SECONDARY], all);
}

static void says(const struct vmx_raw *raw, const char *thing, const char *remedy)
{
    struct vmx_capabilities cpu = decoded(raw);
    text = (struct text){.printer.write = collect};
    assert_int_not_equal(required_missing(&cpu, &text.printer), 0);
    for (char *line = strtok(text.buffer, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strstr(line, thing) != NULL && strstr(line, remedy) != NULL)
            return;
    fail_msg("nothing said about %s", thing);
}

static void each_requirement_is_missed_by_name(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    raw.vmx = false;
    says(&raw, "Intel VMX", "Westmere");
    raw.hypervisor = true;
    says(&raw, "Intel VMX", "nested=1");
    struct vmx_capabilities none = decoded(&raw);
    assert_int_equal(required_missing(&none, NULL), 1); // and nothing else is guessed at

    raw = bochs_icelake;
    raw.feature_control = FEATURE_CONTROL_LOCK;
    says(&raw, "firmware", "enable VT-x");
    raw = bochs_icelake;
    raw.no_execute = false;
    says(&raw, "no-execute", "Westmere");
    raw = bochs_icelake;
    raw.msr[0] ^= UINT64_C(6) << 50;
    says(&raw, "write-back memory", "MSR 480=");
    raw = bochs_icelake;
    raw.msr[MSR_VMX_TRUE_PRIMARY - VMX_MSR_FIRST] |= PRIMARY_CR3_LOAD_EXITING;
    says(&raw, "CR3 accesses without exits", "MSR 48e=");
    raw = bochs_icelake;
    raw.msr[MSR_VMX_MISC - VMX_MSR_FIRST] &= ~MISC_STORES_LMA;
    says(&raw, "EFER.LMA", "MSR 485=");
}

static void cpus_of_two_formats_are_refused(void **state)
{
    struct vmx_capabilities all = decoded(&bochs_icelake), one = decoded(&bochs_skylake);
    assert_int_equal(required_missing(&all, NULL), 0);
    capabilities_intersect(&all, &one);
    text = (struct text){.printer.write = collect};
    assert_int_not_equal(required_missing(&all, &text.printer), 0);
    assert_non_null(strstr(text.buffer, "the same VMCS revision on all CPUs"));
    assert_non_null(strstr(text.buffer, "switch the cores of one kind off"));
}

// Takes away each control that a word of ours needs, one at a time: each must be missed, the
// optional ones must not.
static void every_control_of_the_base_is_required(void **state)
{
    static const enum vmx_msr msr[CONTROL_WORDS] = {
        [WORD_PIN] = MSR_VMX_TRUE_PIN,        [WORD_PRIMARY] = MSR_VMX_TRUE_PRIMARY,
        [WORD_SECONDARY] = MSR_VMX_SECONDARY, [WORD_VMEXIT] = MSR_VMX_TRUE_EXIT,
        [WORD_VMENTRY] = MSR_VMX_TRUE_ENTRY,
    };
    struct vmx_capabilities cpu = decoded(&bochs_icelake);
    struct vmcs_config bare;
    vmcs_config_make(&bare, &cpu, 0, 0);
    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        for (unsigned bit = 0; msr[word] != 0 && bit < 32; bit++) {
            uint32_t control = BIT32(bit);
            bool forced = cpu.control[word].must & control;
            bool optional = word == WORD_PRIMARY &&
                            (control & (PRIMARY_CR8_LOAD_EXITING | PRIMARY_CR8_STORE_EXITING));
            if (!(bare.word[word] & control) || forced || optional)
                continue;
            if (control & VMEXIT_SAVE_DEBUG_CONTROLS &&
                (word == WORD_VMEXIT || word == WORD_VMENTRY))
                continue;
            struct vmx_raw raw = bochs_icelake;
            raw.msr[msr[word] - VMX_MSR_FIRST] &= ~((uint64_t)control << 32);
            struct vmx_capabilities less = decoded(&raw);
            if (required_missing(&less, NULL) == 0)
                fail_msg("%s is not required", control_name(word, bit));
        }
    }
    const uint64_t ept[] = {EPT_4_LEVEL, EPT_WB, EPT_2M, EPT_INVEPT, EPT_INVEPT_ALL};
    for (unsigned i = 0; i < ARRAY_LENGTH(ept); i++) {
        struct vmx_raw raw = bochs_icelake;
        raw.msr[MSR_VMX_EPT_VPID_CAP - VMX_MSR_FIRST] &= ~ept[i];
        struct vmx_capabilities less = decoded(&raw);
        assert_int_not_equal(required_missing(&less, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_is_allowed_by_the_cpu),
        cmocka_unit_test(the_words_on_bochs),
        cmocka_unit_test(kvm_has_no_pause_loop_exiting),
        cmocka_unit_test(an_option_takes_away_and_names_what_hangs_on_it),
        cmocka_unit_test(what_hangs_on_something_comes_and_goes_with_it),
        cmocka_unit_test(the_local_apic_s_controls_follow_its_mode),
        cmocka_unit_test(an_unknown_word_of_the_option_is_named),
        cmocka_unit_test(a_broken_preemption_timer_is_not_used),
        cmocka_unit_test(delivery_without_eoi_exits_is_not_used),
        cmocka_unit_test(traps_are_forced_per_vm),
        cmocka_unit_test(a_trap_without_a_control_is_refused_by_name),
        cmocka_unit_test(bus_locks_are_seen_where_the_cpu_can),
        cmocka_unit_test(what_cpuid_hides_is_undefined),
        cmocka_unit_test(each_requirement_is_missed_by_name),
        cmocka_unit_test(cpus_of_two_formats_are_refused),
        cmocka_unit_test(every_control_of_the_base_is_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
