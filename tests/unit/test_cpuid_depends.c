// vm/cpu/cpuid_rules.c: what is hidden with a feature. Each name of vms.conf is hidden from a CPU
// that has everything, and every other name is looked at.

#include "tests/unit/support.h"

#include "vm/cpu/cpuid.h"

#define WITH_BW " avx512bw avx512vbmi avx512_vbmi2 avx512_bitalg avx512_bf16 avx512_fp16"
#define WITH_512                                                                                   \
    " avx512f avx512dq avx512ifma avx512pf avx512er avx512cd avx512vl avx512_vnni "                \
    "avx512_vpopcntdq avx512_4vnniw avx512_4fmaps avx512_vp2intersect" WITH_BW
#define WITH_AVX2   " avx2 sha512 sm4 avx_vnni avx_ifma" WITH_512
#define WITH_AVX    " avx fma f16c sm3 vaes vpclmulqdq" WITH_AVX2
#define WITH_SSE4_2 " sse4_2" WITH_AVX
#define WITH_SSE4_1 " sse4_1" WITH_SSE4_2
#define WITH_SSSE3  " ssse3" WITH_SSE4_1
#define WITH_SSE3   " sse3" WITH_SSSE3
#define WITH_SSE2   " sse2 aes pclmulqdq sha_ni gfni" WITH_SSE3
#define WITH_SSE    " sse" WITH_SSE2
#define WITH_LM     " lm syscall lahf_lm cx16 fsgsbase pdpe1gb la57 pcid invpcid pku"

// What is not listed takes itself alone.
static const char *const hidden_together[] = {
    (" fxsr" WITH_SSE),
    WITH_SSE,
    WITH_SSE2,
    WITH_SSE3,
    WITH_SSSE3,
    WITH_SSE4_1,
    WITH_SSE4_2,
    WITH_AVX,
    WITH_AVX2,
    WITH_512,
    WITH_BW,
    (" xsave xsaveopt xsavec xgetbv1 xsaves pku" WITH_AVX),
    " aes vaes",
    " pclmulqdq vpclmulqdq",
    " pse pse36",
    " mce mca",
    (" pae nx" WITH_LM),
    WITH_LM,
    " pcid invpcid",
    " tsc tsc_deadline tsc_adjust constant_tsc rdtscp rdpid",
    " rdtscp rdpid",
    " clflush clflushopt clwb cldemote",
    " spec_ctrl stibp ssbd",
    " kvm_steal_time kvm_pv_tlb_flush",
};

static struct cpuid_policy policy;

static void build(const struct feature_switch *feature)
{
    static const struct cpuid_leaf everything[] = {
        {0, 0, 0x1f, 0, 0, 0},
        {1, 0, ~0U, ~0U, ~0U, ~0U},
        {7, 0, 1, ~0U, ~0U, ~0U},
        {7, 1, ~0U, ~0U, ~0U, ~0U},
        {0xd, 0, 0x2e7, 0xa88, 0xa88, 0},
        {0xd, 1, 0xf, 0xa00, 0, 0},
        {0xd, 2, 0x100, 0x240, 0, 0},
        {0xd, 5, 0x40, 0x440, 0, 0},
        {0xd, 6, 0x200, 0x480, 0, 0},
        {0xd, 7, 0x400, 0x680, 0, 0},
        {0xd, 9, 0x8, 0xa80, 0, 0},
        {0x80000000, 0, 0x80000008, 0, 0, 0},
        {0x80000001, 0, ~0U, ~0U, ~0U, ~0U},
        {0x80000007, 0, ~0U, ~0U, ~0U, ~0U},
        {0x80000008, 0, 0x3028, ~0U, 0, 0},
    };
    static struct cpuid_leaves host;
    host.count = ARRAY_LENGTH(everything);
    memcpy(host.leaf, everything, sizeof(everything));
    assert_int_equal(cpuid_build(&policy, &host,
                                 &(struct cpuid_inputs){.vcpu_count = 2,
                                                        .flags = ~CPUID_HOST_EMULATED,
                                                        .feature = feature,
                                                        .feature_count = feature ? 1 : 0}),
                     STATUS_OK);
}

static bool lists(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += length)
        if (at[-1] == ' ' && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

// The list that begins with the name, or NULL.
static const char *list_of(const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < ARRAY_LENGTH(hidden_together); i++)
        if (strncmp(hidden_together[i] + 1, name, length) == 0 &&
            hidden_together[i][length + 1] == ' ')
            return hidden_together[i];
    return NULL;
}

static void a_hidden_feature_takes_what_needs_it(void **state)
{
    static bool shown[256];
    unsigned seen = 0, found = 0;
    build(NULL);
    for (unsigned i = 0; i < cpu_feature_count; i++)
        shown[i] = cpuid_has(&policy, cpu_features[i].bit);
    for (unsigned hidden = 0; hidden < cpu_feature_count; hidden++) {
        const char *name = cpu_features[hidden].name, *list = list_of(name);
        found += list != NULL;
        build(&(struct feature_switch){.index = (uint16_t)hidden});
        for (unsigned i = 0; i < cpu_feature_count; i++) {
            bool goes = i == hidden || (list && lists(list, cpu_features[i].name));
            if (cpuid_has(&policy, cpu_features[i].bit) != (shown[i] && !goes))
                fail_msg("without %s, %s is %s", name, cpu_features[i].name,
                         goes ? "shown" : "hidden");
            seen += shown[i] && goes;
        }
    }
    assert_int_equal(found, ARRAY_LENGTH(hidden_together));
    assert_true(seen > cpu_feature_count);
}

// What gives a feature by name does not give what it stands on.
static void a_feature_is_not_given_without_what_it_needs(void **state)
{
    static const struct cpuid_leaf old[] = {
        {0, 0, 7, 0, 0, 0}, {1, 0, ~0U, ~0U, ~BIT32(26), ~0U}, {7, 0, 0, ~0U, ~0U, ~0U}};
    struct cpuid_leaves host = {.count = ARRAY_LENGTH(old)};
    memcpy(host.leaf, old, sizeof(old));
    for (uint16_t i = 0; i < cpu_feature_count; i++) {
        struct feature_switch on = {.index = i, .enable = true};
        struct cpuid_inputs inputs = {.vcpu_count = 1, .feature = &on, .feature_count = 1};
        assert_int_equal(cpuid_build(&policy, &host, &inputs), STATUS_OK);
        assert_false(cpuid_has(&policy, CPUID_AVX) || cpuid_has(&policy, CPUID_AVX512BW));
    }
}

static void without_xsave_nothing_of_its_state_is_left(void **state)
{
    for (uint16_t i = 0; i < cpu_feature_count; i++)
        if (cpu_features[i].bit == CPUID_XSAVE)
            build(&(struct feature_switch){.index = i});
    assert_int_equal(policy.xcr0_allowed, 0);
    assert_int_equal(policy.slot[cpuid_slot_of(0xd)].first, policy.zero);
}

// One switch of the CPU for RDTSCP and RDPID.
static void what_a_guest_does_not_get_is_told(void **state)
{
    for (uint16_t i = 0; i < cpu_feature_count; i++) {
        uint32_t feature = cpu_features[i].bit;
        build(&(struct feature_switch){.index = i});
        const char *unmet = cpuid_unmet(&policy, feature, false);
        if (feature == CPUID_RDPID)
            assert_non_null(strstr(unmet, "hide -rdtscp for both"));
        else
            assert_null(unmet);
        assert_non_null(strstr(cpuid_unmet(&policy, feature, true), "take it out"));
        if (feature == CPUID_RDTSCP)
            assert_null(cpuid_unmet(&policy, CPUID_RDPID, false));
    }
    build(NULL);
    assert_null(cpuid_unmet(&policy, CPUID_RDPID, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hidden_feature_takes_what_needs_it),
        cmocka_unit_test(a_feature_is_not_given_without_what_it_needs),
        cmocka_unit_test(without_xsave_nothing_of_its_state_is_left),
        cmocka_unit_test(what_a_guest_does_not_get_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
