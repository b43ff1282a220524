// Features over CPUs that differ, as on hybrid ones, and the XSAVE image that all of them share.
// The files under test execute CPUID: here a table answers.

#include "tests/unit/support.h"

#include "arch/x86_64/registers.h"

static struct cpuid_result fake_cpuid(uint32_t leaf, uint32_t subleaf);
#define cpuid fake_cpuid
#include "arch/x86_64/cpu.c"
#include "arch/x86_64/features.c"

#define XSAVE  BIT32(26) // of CPUID.1:ECX
#define AVX2   BIT32(5)  // of CPUID.7.0:EBX
#define AVX512 BIT32(16)
#define HYBRID BIT32(15) // of CPUID.7.0:EDX

static const struct model {
    uint32_t last_leaf;
    uint32_t structured_ebx, structured_edx, components;
} big = {0x20, AVX2 | AVX512, HYBRID, 0x602e7}, // with AVX-512, PKRU, AMX
    small = {0x20, AVX2, HYBRID, 0x207}, old = {6, 0, 0, 0};

static const struct model *here;

static struct cpuid_result fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    // Size and place of each component, as CPUs of today have them.
    static const struct cpuid_result place[19] = {
        [2] = {256, 576, 0, 0},    [5] = {64, 1088, 0, 0}, [6] = {512, 1152, 0, 0},
        [7] = {1024, 1664, 0, 0},  [9] = {8, 2688, 0, 0},  [17] = {64, 2752, 0, 0},
        [18] = {8192, 2816, 0, 0},
    };
    struct cpuid_result none = {0};
    switch (leaf) {
    case 0:
        return (struct cpuid_result){.eax = here->last_leaf};
    case 1:
        return (struct cpuid_result){.ecx = here->components ? XSAVE : 0};
    case 7:
        return subleaf ? none
                       : (struct cpuid_result){.ebx = here->structured_ebx,
                                               .edx = here->structured_edx};
    case 0xd:
        if (subleaf == 0)
            return (struct cpuid_result){.eax = here->components, .ecx = 11008};
        return subleaf < ARRAY_LENGTH(place) ? place[subleaf] : none;
    default:
        return none;
    }
}

static int no_cpu_yet(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++)
        for (unsigned k = 0; k < 4; k++)
            rows[i].lacks[k] = 0;
    return 0;
}

static void note(const struct model *cpu)
{
    here = cpu;
    features_note();
}

static void cpus_of_one_kind_keep_all(void **state)
{
    note(&big);
    note(&big);
    assert_int_equal(features_common(7, 0).ebx, AVX2 | AVX512);
    assert_int_equal(features_common(7, 0).edx, HYBRID);
    assert_int_equal(cpu_xcr0(), 0x2e7); // guests cannot switch AMX on
    assert_int_equal(cpu_xsave_size(), 2696);
}

static void what_one_lacks_none_has(void **state)
{
    note(&small);
    note(&big);
    for (unsigned i = 0; i < 2; i++) { // wherever it is asked
        here = i ? &small : &big;
        assert_int_equal(features_common(7, 0).ebx, AVX2);
        assert_int_equal(cpu_xcr0(), 0x207);
        assert_int_equal(cpu_xsave_size(), 2696); // PKRU's place is the same
    }
    // A leaf that some CPU does not have has no features.
    note(&old);
    here = &big;
    assert_int_equal(features_common(7, 0).ebx, 0);
    assert_int_equal(features_common(7, 0).edx, 0);
}

static void without_xsave_the_image_is_fxsaves(void **state)
{
    note(&old);
    assert_int_equal(cpu_xcr0(), 0);
    assert_int_equal(cpu_xsave_size(), 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cpus_of_one_kind_keep_all, no_cpu_yet),
        cmocka_unit_test_setup(what_one_lacks_none_has, no_cpu_yet),
        cmocka_unit_test_setup(without_xsave_the_image_is_fxsaves, no_cpu_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
