// vmx/policy/speculation.c: what is said and done on CPUs of several families, with what their
// CPUID and IA32_ARCH_CAPABILITIES say after the microcode updates named.

#include "tests/unit/support.h"

#include "vmx/policy/speculation.h"

#define EDX_2018 (BIT32(26) | BIT32(27) | BIT32(28) | BIT32(31)) // IBRS STIBP L1D_FLUSH SSBD
#define EDX_2019 (EDX_2018 | BIT32(10))                          // MD_CLEAR
#define EDX_ARCH (EDX_2019 | BIT32(29))                          // ARCH_CAPABILITIES

static const struct speculation_facts haswell_2017 = {.signature = 0x306c3};
static const struct speculation_facts haswell_2019 = {.signature = 0x306c3,
                                                      .structured_edx = EDX_2019 | BIT32(9)};
// RSBA, GDS_CTRL; RTM.
static const struct speculation_facts skylake = {.signature = 0x506e3,
                                                 .structured_ebx = BIT32(11),
                                                 .structured_edx = EDX_ARCH | BIT32(9),
                                                 .arch_capabilities = 0x2000c04};
// RDCL_NO IBRS_ALL SKIP_L1DFL MDS_NO PSCHANGE_MC_NO TSX_CTRL FB_CLEAR GDS_CTRL.
static const struct speculation_facts cascade_lake = {.signature = 0x50657,
                                                      .structured_ebx = BIT32(11),
                                                      .structured_edx = EDX_ARCH,
                                                      .arch_capabilities = 0x20200eb};
// As before with TAA_NO; BHI_CTRL in CPUID.7.2.
static const struct speculation_facts ice_lake = {.signature = 0x606a6,
                                                  .structured_edx = EDX_ARCH,
                                                  .predictors = BIT32(4),
                                                  .arch_capabilities = 0x202016b};
// RDCL_NO IBRS_ALL SKIP_L1DFL MDS_NO PSCHANGE_MC_NO TAA_NO, the three of MMIO, PBRSB_NO,
// RFDS_CLEAR.
static const struct speculation_facts alder_lake = {.signature = 0x90672,
                                                    .structured_edx = EDX_ARCH,
                                                    .predictors = BIT32(4),
                                                    .arch_capabilities = 0x1100e16b};

static struct speculation judged(const struct speculation_facts *facts, enum mitigations mode,
                                 enum speculation_smt smt)
{
    struct speculation result;
    speculation_judge(facts, mode, smt, &result);
    for (unsigned i = 0; i < ISSUES; i++) {
        assert_int_not_equal(result.text[i][0], '\0');
        assert_true(strlen(result.text[i]) < sizeof(result.text[i]) - 1);
    }
    return result;
}

static void says(const struct speculation *result, enum speculation_issue issue, const char *text)
{
    assert_string_equal(result->text[issue], text);
}

static void a_cpu_without_new_microcode_is_open(void **state)
{
    struct speculation result = judged(&haswell_2017, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_L1TF, "Vulnerable: VMX: no microcode");
    says(&result, ISSUE_MDS,
         "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable (one VM a core)");
    says(&result, ISSUE_SPECTRE_V2, "Vulnerable: no microcode");
    says(&result, ISSUE_SRBDS, "Vulnerable: No microcode");
    says(&result, ISSUE_TAA, "Not affected"); // it has no RTM
    says(&result, ISSUE_ITLB_MULTIHIT, "Mitigation: Split huge pages");
    assert_int_equal(result.mitigations, MITIGATION_VERW | MITIGATION_4K | MITIGATION_CORE);
    assert_int_equal(result.spec_ctrl, 0);
}

static void haswell(void **state)
{
    struct speculation result = judged(&haswell_2019, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_L1TF, "Mitigation: VMX: conditional cache flushes, SMT disabled");
    says(&result, ISSUE_MDS, "Mitigation: Clear CPU buffers; SMT disabled");
    says(&result, ISSUE_MMIO, "Not affected");
    says(&result, ISSUE_SRBDS, "Mitigation: Microcode");
    says(&result, ISSUE_SPECTRE_V2,
         "Mitigation: IBRS; IBPB: conditional; RSB filling; BHI: SW loop");
    says(&result, ISSUE_RETBLEED, "Not affected");
    assert_int_equal(result.mitigations, MITIGATION_VERW | MITIGATION_IBRS | MITIGATION_RSB_FILL |
                                             MITIGATION_BHB | MITIGATION_IBPB |
                                             MITIGATION_L1D_FLUSH | MITIGATION_4K |
                                             MITIGATION_SPEC_CTRL);
    assert_int_equal(result.spec_ctrl, SPEC_CTRL_IBRS);
}

static void skylake_client(void **state)
{
    struct speculation result = judged(&skylake, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_L1TF,
         "Mitigation: VMX: conditional cache flushes, SMT vulnerable (one VM a core)");
    says(&result, ISSUE_TAA, "Mitigation: Clear CPU buffers; SMT vulnerable (one VM a core)");
    says(&result, ISSUE_MMIO, "Mitigation: Clear CPU buffers; SMT vulnerable (one VM a core)");
    says(&result, ISSUE_GDS, "Mitigation: Microcode");
    says(&result, ISSUE_RETBLEED, "Mitigation: IBRS");
    assert_true(result.mitigations & MITIGATION_IBRS);
}

static void switched_off_microcode_counts_as_open(void **state)
{
    struct speculation_facts facts = skylake;
    facts.mcu_opt_ctrl = BIT(0) | BIT(4);
    struct speculation result = judged(&facts, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_GDS, "Vulnerable");
    says(&result, ISSUE_SRBDS, "Vulnerable");
}

static void cascade_lake_keeps_ibrs_on(void **state)
{
    struct speculation result = judged(&cascade_lake, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_L1TF, "Not affected");
    says(&result, ISSUE_MELTDOWN, "Not affected");
    says(&result, ISSUE_MDS, "Not affected");
    says(&result, ISSUE_TAA, "Mitigation: TSX disabled");
    says(&result, ISSUE_ITS, "Vulnerable");
    says(&result, ISSUE_SPECTRE_V2,
         "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: SW sequence; "
         "BHI: SW loop");
    assert_int_equal(result.mitigations, MITIGATION_VERW | MITIGATION_RSB_ONE | MITIGATION_BHB |
                                             MITIGATION_IBPB | MITIGATION_TSX_OFF |
                                             MITIGATION_SPEC_CTRL | MITIGATION_CORE);
}

static void ice_lake_needs_no_loop(void **state)
{
    struct speculation result = judged(&ice_lake, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_TAA, "Not affected");
    says(&result, ISSUE_MMIO, "Mitigation: Clear CPU buffers; SMT vulnerable (one VM a core)");
    assert_non_null(strstr(result.text[ISSUE_SPECTRE_V2], "BHI: BHI_DIS_S"));
    assert_false(result.mitigations & (MITIGATION_BHB | MITIGATION_IBRS | MITIGATION_RSB_FILL));
    assert_int_equal(result.spec_ctrl, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S);
}

static void alder_lake_clears_its_register_file(void **state)
{
    struct speculation result = judged(&alder_lake, MITIGATIONS_AUTO, SMT_ON);
    says(&result, ISSUE_RFDS, "Mitigation: Clear Register File");
    says(&result, ISSUE_MMIO, "Not affected");
    assert_int_equal(result.mitigations, MITIGATION_VERW | MITIGATION_IBPB | MITIGATION_SPEC_CTRL);

    struct speculation_facts old = alder_lake;
    old.predictors = 0;
    result = judged(&old, MITIGATIONS_AUTO, SMT_ON);
    assert_non_null(strstr(result.text[ISSUE_SPECTRE_V2], "BHI: Vulnerable"));
    assert_false(result.mitigations & MITIGATION_BHB);
}

// Goldmont, Silvermont; a model of the future that says everything of itself; another family.
static void models_that_lack_issues(void **state)
{
    struct speculation_facts facts = {.signature = 0x506c9};
    struct speculation result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_MDS, "Not affected");
    says(&result, ISSUE_L1TF, "Not affected");
    says(&result, ISSUE_RFDS, "Vulnerable: No microcode");
    facts.signature = 0x30678;
    result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_SSB, "Not affected");
    says(&result, ISSUE_ITLB_MULTIHIT, "Not affected");
    facts.signature = 0xc06f2; // stepping and extended model of what no table knows
    facts.structured_edx = EDX_ARCH;
    facts.arch_capabilities = 0x400000000d10e17b;
    result = judged(&facts, MITIGATIONS_AUTO, SMT_ON);
    assert_int_equal(result.mitigations, MITIGATION_IBPB | MITIGATION_SPEC_CTRL);
    facts.signature = 0x1000f00; // not family 6
    result = judged(&facts, MITIGATIONS_AUTO, SMT_ON);
    assert_int_equal(result.mitigations, MITIGATION_IBPB | MITIGATION_SPEC_CTRL);
}

static void the_stepping_decides_where_the_list_says_so(void **state)
{
    struct speculation_facts facts = {.signature = 0x50654};
    struct speculation result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_ITS, "Not affected");
    facts.signature = 0x50656;
    result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_ITS, "Vulnerable");
}

static void nothing_is_done_when_it_is_off_or_emulated(void **state)
{
    struct speculation result = judged(&skylake, MITIGATIONS_OFF, SMT_ON);
    assert_int_equal(result.mitigations, MITIGATION_SPEC_CTRL);
    assert_int_equal(result.spec_ctrl, 0);
    says(&result, ISSUE_MDS, "Vulnerable");
    says(&result, ISSUE_GDS, "Mitigation: Microcode"); // whatever Corbel wants
    struct speculation_facts facts = skylake;
    facts.emulated = true;
    result = judged(&facts, MITIGATIONS_AUTO, SMT_ON);
    assert_int_equal(result.mitigations, MITIGATION_SPEC_CTRL);
    for (unsigned i = 0; i < ISSUES; i++)
        says(&result, (enum speculation_issue)i, "Not affected");
}

static void forced_is_all_that_the_cpu_can_do(void **state)
{
    struct speculation_facts facts = alder_lake;
    facts.emulated = true;
    struct speculation result = judged(&facts, MITIGATIONS_FORCE, SMT_ON);
    assert_int_equal(result.mitigations & MITIGATIONS_OF_SWITCH,
                     MITIGATION_VERW | MITIGATION_IBRS | MITIGATION_RSB_FILL | MITIGATION_BHB);
    facts.structured_edx = 0; // no MSR to write: nobody may try
    facts.arch_capabilities = 0;
    result = judged(&facts, MITIGATIONS_FORCE, SMT_ON);
    assert_false(result.mitigations &
                 (MITIGATION_IBRS | MITIGATION_IBPB | MITIGATION_L1D_FLUSH | MITIGATION_SPEC_CTRL));
    assert_int_equal(result.spec_ctrl, 0);
}

static void below_another_hypervisor_its_status_is_not_known(void **state)
{
    struct speculation_facts facts = skylake;
    facts.hypervisor = true;
    struct speculation result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_GDS, "Unknown: Dependent on hypervisor status");
    says(&result, ISSUE_MDS, "Mitigation: Clear CPU buffers; SMT Host state unknown");
    facts.arch_capabilities |= BIT(3);
    result = judged(&facts, MITIGATIONS_AUTO, SMT_OFF);
    says(&result, ISSUE_L1TF, "Mitigation: VMX: flush not necessary");
}

static void of_unlike_cpus_the_worse_counts(void **state)
{
    struct speculation all = judged(&ice_lake, MITIGATIONS_AUTO, SMT_ON);
    struct speculation one = judged(&haswell_2017, MITIGATIONS_AUTO, SMT_ON);
    uint32_t mitigations = all.mitigations | one.mitigations;
    speculation_merge(&all, &one);
    assert_int_equal(all.mitigations, mitigations);
    says(&all, ISSUE_MDS, one.text[ISSUE_MDS]);
    says(&all, ISSUE_SPECTRE_V2, "Vulnerable: no microcode");
    says(&all, ISSUE_MMIO, "Mitigation: Clear CPU buffers; SMT vulnerable (one VM a core)");
    assert_int_equal(speculation_intersect(BIT(0) | BIT(2), BIT(0) | BIT(1) | BIT(19)),
                     BIT(0) | BIT(2) | BIT(19));
}

// Alder Lake leaks nothing to its sibling: its threads run what they like.
static void threads_are_left_to_one_vm_where_they_leak(void **state)
{
    assert_true(judged(&skylake, MITIGATIONS_AUTO, SMT_ON).mitigations & MITIGATION_CORE);
    assert_false(judged(&skylake, MITIGATIONS_AUTO, SMT_OFF).mitigations & MITIGATION_CORE);
    assert_false(judged(&skylake, MITIGATIONS_OFF, SMT_ON).mitigations & MITIGATION_CORE);
    assert_false(judged(&alder_lake, MITIGATIONS_AUTO, SMT_ON).mitigations & MITIGATION_CORE);
    assert_true(judged(&alder_lake, MITIGATIONS_FORCE, SMT_ON).mitigations & MITIGATION_CORE);
    assert_false(judged(&alder_lake, MITIGATIONS_FORCE, SMT_OFF).mitigations & MITIGATION_CORE);
}

static void guests_see_no_means_of_the_host(void **state)
{
    assert_int_equal(speculation_for_guests(UINT64_MAX), 0x400000001d1ae17f);
    assert_int_equal(speculation_for_guests(BIT(7) | BIT(18) | BIT(25)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cpu_without_new_microcode_is_open),
        cmocka_unit_test(haswell),
        cmocka_unit_test(skylake_client),
        cmocka_unit_test(switched_off_microcode_counts_as_open),
        cmocka_unit_test(cascade_lake_keeps_ibrs_on),
        cmocka_unit_test(ice_lake_needs_no_loop),
        cmocka_unit_test(alder_lake_clears_its_register_file),
        cmocka_unit_test(models_that_lack_issues),
        cmocka_unit_test(the_stepping_decides_where_the_list_says_so),
        cmocka_unit_test(nothing_is_done_when_it_is_off_or_emulated),
        cmocka_unit_test(forced_is_all_that_the_cpu_can_do),
        cmocka_unit_test(below_another_hypervisor_its_status_is_not_known),
        cmocka_unit_test(of_unlike_cpus_the_worse_counts),
        cmocka_unit_test(threads_are_left_to_one_vm_where_they_leak),
        cmocka_unit_test(guests_see_no_means_of_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
