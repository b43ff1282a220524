// vm/cpu/cpuid.c and exits/cpuid.c: the policy over the leaves of two host CPUs, and the exit with
// what it patches.

#include "tests/unit/support.h"

#include "vm/config/config.h"
#include "vm/vm.h"

#define GHZ_3 UINT64_C(3000000000)

// A server CPU with AVX-512 as an emulator shows it.
static const struct cpuid_leaf server[] = {
    {0x0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69},
    {0x1, 0, 0x50654, 0x00100800, 0x77faf3bf, 0xbfebfbff},
    {0x2, 0, 0x76036301, 0xf0b5ff, 0, 0xc30000},
    {0x4, 0, 0x1c004121, 0x1c0003f, 0x3f, 0},
    {0x4, 1, 0x1c004122, 0x1c0003f, 0x3f, 0},
    {0x4, 2, 0x1c004143, 0x3c0003f, 0x3ff, 0},
    {0x4, 3, 0x1c03c163, 0x280003f, 0x4fff, 6},
    {0x5, 0, 0x40, 0x40, 3, 0x2020},
    {0x6, 0, 0x77, 2, 9, 0},
    {0x7, 0, 0, 0xd19ffffb, 0x8, 0x0},
    {0xa, 0, 0x07300404, 0, 0, 0x603},
    {0xd, 0, 0xe7, 0xa80, 0xa80, 0},
    {0xd, 1, 0xf, 0xa00, 0x100, 0},
    {0xd, 2, 0x100, 0x240, 0, 0},
    {0xd, 5, 0x40, 0x440, 0, 0},
    {0xd, 6, 0x200, 0x480, 2, 0},
    {0xd, 7, 0x400, 0x680, 2, 0},
    {0x15, 0, 2, 0x124, 0, 0},
    {0x16, 0, 0xdac, 0xfa0, 0x64, 0},
    {0x80000000, 0, 0x80000008, 0, 0, 0},
    {0x80000001, 0, 0, 0, 0x121, 0x2c100800},
    {0x80000002, 0, 0x65746e49, 0x2952286c, 0x726f4320, 0x4d542865},
    {0x80000006, 0, 0, 0, 0x01006040, 0},
    {0x80000007, 0, 0, 0, 0, 0x100},
    {0x80000008, 0, 0x3028, 0, 0, 0},
};

static struct vm vm;
static struct vcpu vcpu;
static struct cpuid_leaves host;

static struct cpuid_inputs inputs(void)
{
    return (struct cpuid_inputs){
        .tsc_hz = GHZ_3,
        .apic_hz = 1000000000,
        .vcpu_count = 3,
        .flags = CPUID_HOST_RDTSCP | CPUID_HOST_INVPCID | CPUID_HOST_XSAVES,
    };
}

static void build(const struct cpuid_inputs *with)
{
    host.count = ARRAY_LENGTH(server);
    memcpy(host.leaf, server, sizeof(server));
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    vcpu.vm = &vm;
    vcpu.xcr0 = 1;
    assert_int_equal(cpuid_build(&vm.cpuid, &host, with), STATUS_OK);
}

static void build_default(void)
{
    struct cpuid_inputs with = inputs();
    build(&with);
}

// Executes CPUID in the guest.
static struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct exit exit = {.reason = EXIT_CPUID};
    vcpu.gpr[RAX] = UINT64_C(0xdead00000000) | leaf;
    vcpu.gpr[RCX] = UINT64_C(0xdead00000000) | subleaf;
    vcpu.gpr[RBX] = vcpu.gpr[RDX] = ~UINT64_C(0);
    verdict_t verdict = exit_table[EXIT_CPUID].handler(&vcpu, &exit);
    assert_int_equal(verdict.kind, VERDICT_NEXT);
    for (unsigned i = RAX; i <= RBX; i++)
        assert_int_equal(vcpu.gpr[i] >> 32, 0);
    return (struct cpuid_leaf){leaf,
                               subleaf,
                               (uint32_t)vcpu.gpr[RAX],
                               (uint32_t)vcpu.gpr[RBX],
                               (uint32_t)vcpu.gpr[RCX],
                               (uint32_t)vcpu.gpr[RDX]};
}

static void the_vendor_passes_and_the_hypervisor_names_itself(void **state)
{
    build_default();
    struct cpuid_leaf leaf = cpuid(0, 0);
    assert_int_equal(leaf.eax, 0x16);
    assert_int_equal(leaf.ebx, 0x756e6547);
    leaf = cpuid(0x40000000, 0);
    assert_int_equal(leaf.eax, 0x40000010);
    assert_memory_equal(&leaf.ebx, "KVMKVMKVM\0\0\0", 12);
    assert_int_equal(cpuid(0x40000001, 0).eax, 0x01002aeb);
    assert_int_equal(cpuid(0x40000010, 0).eax, 3000000);
    assert_int_equal(cpuid(0x40000010, 0).ebx, 1000000);
    assert_int_equal(cpuid(1, 0).ecx >> 31, 1);
}

static void what_guests_must_not_have_is_hidden(void **state)
{
    build_default();
    struct cpuid_leaf leaf = cpuid(1, 0);
    assert_int_equal(leaf.ecx & (BIT32(2) | BIT32(3) | BIT32(5) | BIT32(6) | BIT32(15)), 0);
    assert_int_equal(cpuid(5, 0).eax, 0);
    assert_int_equal(cpuid(6, 0).eax, 4);
    assert_int_equal(cpuid(0xa, 0).eax, 0);
    // SGX, RTM, HLE, PQM, PT
    assert_int_equal(cpuid(7, 0).ebx & (BIT32(2) | BIT32(4) | BIT32(11) | BIT32(12) | BIT32(25)),
                     0);
    assert_int_equal(cpuid(7, 0).ebx & 0xd0230000, 0xd0030000);
}

static void controls_that_are_off_hide_their_features(void **state)
{
    static const struct {
        uint32_t flag;
        uint32_t feature;
    } pairs[] = {{CPUID_HOST_RDTSCP, CPUID_RDTSCP},
                 {CPUID_HOST_INVPCID, CPUID_INVPCID},
                 {CPUID_HOST_XSAVES, CPUID_XSAVES}};
    for (unsigned i = 0; i < ARRAY_LENGTH(pairs); i++) {
        struct cpuid_inputs with = inputs();
        build(&with);
        assert_true(cpuid_has(&vm.cpuid, pairs[i].feature));
        with.flags &= ~pairs[i].flag;
        build(&with);
        assert_false(cpuid_has(&vm.cpuid, pairs[i].feature));
    }
}

static void an_emulated_cpu_loses_what_it_gets_wrong(void **state)
{
    struct cpuid_inputs with = inputs();
    with.flags |= CPUID_HOST_EMULATED;
    build(&with);
    assert_int_equal(cpuid(0xd, 1).eax, 5);
    assert_int_equal(cpuid(0xd, 1).ebx, 0);
    assert_false(cpuid_has(&vm.cpuid, CPUID_PKU));
    assert_int_equal(cpuid(0xd, 0).eax, 0xe7);
}

static uint16_t named(const char *name)
{
    uint16_t i = 0;
    while (strcmp(cpu_features[i].name, name) != 0)
        i++;
    return i;
}

static void the_configuration_takes_and_gives(void **state)
{
    const struct feature_switch features[] = {
        {named("avx"), false}, {named("pku"), true}, {named("vmx"), true}, {named("sse3"), true}};
    struct cpuid_inputs with = inputs();
    with.flags |= CPUID_HOST_EMULATED;
    with.feature = features;
    with.feature_count = ARRAY_LENGTH(features);
    build(&with);
    assert_int_equal(cpuid(1, 0).ecx & (BIT32(28) | BIT32(5) | BIT32(0)), BIT32(0));
    const bool shown[] = {false, true, false, true};
    for (unsigned i = 0; i < ARRAY_LENGTH(features); i++)
        assert_int_equal(cpuid_has(&vm.cpuid, cpu_features[features[i].index].bit), shown[i]);
    assert_true(cpuid_has(&vm.cpuid, CPUID_PKU)); // hidden by default on an emulated CPU
    assert_int_equal(vm.cpuid.xcr0_allowed, 3);
}

static void topology_is_one_package_of_single_threaded_cores(void **state)
{
    build_default();
    vcpu.apic_id = 2;
    assert_int_equal(cpuid(1, 0).ebx, 2 << 24 | 4 << 16 | 8 << 8);
    assert_int_equal(cpuid(1, 0).edx & BIT32(28), BIT32(28));
    assert_int_equal(cpuid(4, 0).eax, 3 << 26 | 0x121);
    assert_int_equal(cpuid(4, 3).eax, 3 << 26 | 3 << 14 | 0x163);
    assert_int_equal(cpuid(4, 4).eax, 0);

    struct cpuid_leaf leaf = cpuid(0xb, 0);
    assert_int_equal(leaf.eax, 0);
    assert_int_equal(leaf.ebx, 1);
    assert_int_equal(leaf.ecx, 0x100);
    assert_int_equal(leaf.edx, 2);
    leaf = cpuid(0xb, 1);
    assert_int_equal(leaf.eax, 2);
    assert_int_equal(leaf.ebx, 3);
    assert_int_equal(leaf.ecx, 0x201);
    leaf = cpuid(0xb, 7);
    assert_int_equal(leaf.ebx, 0);
    assert_int_equal(leaf.ecx, 7);
    assert_int_equal(leaf.edx, 2);
}

static void cr4_and_the_apic_show(void **state)
{
    build_default();
    assert_int_equal(cpuid(1, 0).ecx & BIT32(27), 0);
    assert_int_equal(cpuid(1, 0).edx & BIT32(9), 0);
    vcpu.cr4 = CR4_OSXSAVE | CR4_PKE | CR4_PAE;
    vcpu_mirror_cr4(&vcpu);
    vcpu.lapic.base = BIT(11);
    assert_int_equal(cpuid(1, 0).ecx & BIT32(27), BIT32(27));
    assert_int_equal(cpuid(1, 0).edx & BIT32(9), BIT32(9));
    assert_int_equal(cpuid(7, 0).ecx & BIT32(4), BIT32(4));
    assert_int_equal(cpuid(7, 1).ecx, 0);
}

static void xsave_sizes_follow_xcr0(void **state)
{
    build_default();
    static const struct {
        uint64_t xcr0;
        uint32_t standard, compacted;
    } rows[] = {
        {0x1, 576, 576},
        {0x3, 576, 576},
        {0x7, 0x340, 0x340},
        {0xe7, 0xa80, 0x980},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        vcpu.xcr0 = rows[i].xcr0;
        assert_int_equal(cpuid(0xd, 0).ebx, rows[i].standard);
        assert_int_equal(cpuid(0xd, 1).ebx, rows[i].compacted);
    }
    assert_int_equal(cpuid(0xd, 0).eax, 0xe7);
    assert_int_equal(cpuid(0xd, 0).ecx, 0xa80);
    assert_int_equal(cpuid(0xd, 2).ebx, 0x240);
    assert_int_equal(cpuid(0xd, 3).eax, 0);
    assert_int_equal(cpuid(0xd, 63).eax, 0);
    assert_int_equal(cpuid(0xd, 1).ecx, 0);
}

static void a_component_without_a_size_is_not_offered(void **state)
{
    struct cpuid_inputs with = inputs();
    build(&with);
    for (unsigned i = 0; i < host.count; i++)
        if (host.leaf[i].leaf == 0xd && host.leaf[i].subleaf == 0)
            host.leaf[i].eax |= BIT32(9);
    assert_int_equal(cpuid_build(&vm.cpuid, &host, &with), STATUS_OK);
    assert_int_equal(vm.cpuid.xcr0_allowed, 0xe7);
}

static void without_xsave_its_leaf_is_empty(void **state)
{
    struct cpuid_inputs with = inputs();
    build(&with);
    for (unsigned i = 0; i < host.count; i++)
        if (host.leaf[i].leaf == 1)
            host.leaf[i].ecx &= ~BIT32(26);
    assert_int_equal(cpuid_build(&vm.cpuid, &host, &with), STATUS_OK);
    vcpu.xcr0 = 1;
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid_leaf leaf = cpuid(0xd, i);
        assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx | leaf.edx, 0);
    }
}

static void frequencies_are_exact_or_absent(void **state)
{
    build_default();
    struct cpuid_leaf leaf = cpuid(0x15, 0);
    assert_int_equal((uint64_t)leaf.ecx * leaf.ebx / leaf.eax, GHZ_3);
    assert_int_equal(cpuid(0x16, 0).eax, 3000);

    struct cpuid_inputs with = inputs();
    with.tsc_hz = GHZ_3 + 1;
    build(&with);
    assert_int_equal(cpuid(0x15, 0).eax, 0);
    with.tsc_hz = 0;
    build(&with);
    assert_int_equal(cpuid(0x15, 0).eax, 0);
    assert_int_equal(cpuid(0x16, 0).eax, 0);
}

static void leaves_out_of_range_show_the_highest_basic_one(void **state)
{
    build_default();
    static const uint32_t outside[] = {0x17,       0x20,       0x3fffffff, 0x40000011,
                                       0x40000020, 0x80000009, 0xc0000000, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_LENGTH(outside); i++)
        assert_int_equal(cpuid(outside[i], 5).eax, 3000);
    assert_int_equal(cpuid(0x14, 0).eax | cpuid(0x40000002, 0).eax | cpuid(0x80000005, 0).eax, 0);
}

// ---- exit statistics ----

static void build_stats(void)
{
    struct cpuid_inputs with = inputs();
    with.exit_stats = true;
    build(&with);
    struct vm_config config;
    config_defaults(&config);
    vm.traits = config_traits(&config);
    stats_count(&vcpu.stats, STATS_AT(EXIT_CPUID), 0xf0000000);
    stats_count(&vcpu.stats, STATS_AT(EXIT_CPUID), 0x20000000);
    stats_count(&vcpu.stats, STATS_AT(EXIT_HLT), 5);
    stats_count(&vcpu.stats, STATS_AT(STATS_OTHER), 1000);
}

static void assert_leaf(struct cpuid_leaf leaf, uint32_t eax, uint32_t ebx, uint32_t ecx,
                        uint32_t edx)
{
    assert_int_equal(leaf.eax, eax);
    assert_int_equal(leaf.ebx, ebx);
    assert_int_equal(leaf.ecx, ecx);
    assert_int_equal(leaf.edx, edx);
}

static void exits_show_where_they_are_asked_for(void **state)
{
    build_stats();
    assert_leaf(cpuid(0x4ffffffc, EXIT_CPUID), 0, 1, 0x10000000, 0);
    assert_leaf(cpuid(0x4ffffffd, EXIT_CPUID), 2, 0, 0, 0);
    assert_leaf(cpuid(0x4ffffffd, EXIT_HLT), 1, 0, 0, 0);
    assert_leaf(cpuid(0x4ffffffe, 99), 0, 1, 0x10000005, 0); // what is no exit does not count
    assert_leaf(cpuid(0x4fffffff, 99), 3, 0, 0, 0);
}

static void reasons_are_undefined_or_never_seen(void **state)
{
    build_stats();
    static const uint32_t undefined[] = {35, 38, 42, 71, EXIT_REASONS, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_LENGTH(undefined); i++) {
        assert_leaf(cpuid(0x4ffffffc, undefined[i]), 0, 0, 0, UINT32_MAX);
        assert_leaf(cpuid(0x4ffffffd, undefined[i]), 0, 0, 0, UINT32_MAX);
    }
    for (uint32_t reason = 0; reason < EXIT_REASONS; reason++)
        if (exit_is_defined(reason) && reason != EXIT_CPUID && reason != EXIT_HLT) {
            assert_leaf(cpuid(0x4ffffffc, reason), 0, 0, 0, 0);
            assert_leaf(cpuid(0x4ffffffd, reason), 0, 0, 0, 0);
        }
}

static void the_map_of_exit_statistics_is_a_setting(void **state)
{
    build_stats();
    memcpy(vm.traits.stats_leaf, "\3\0\7\5", STATS_LEAVES);
    assert_leaf(cpuid(0x4ffffffc, 99), 3, 1, 0x10000005, 0);
    assert_int_equal(cpuid(0x4ffffffd, 0).eax, 3000); // none: as any leaf out of range
    assert_leaf(cpuid(0x4ffffffe, EXIT_CPUID), 2, 1, 0x10000000, 0);
    assert_leaf(cpuid(0x4fffffff, EXIT_HLT), 1, 0, 0, 0);
}

static void exit_statistics_hide_nothing_else(void **state)
{
    build_stats();
    static const uint32_t outside[] = {0x17,       0x3fffffff, 0x40000011, 0x40000020,
                                       0x4ffffffb, 0x50000000, 0x80000009, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_LENGTH(outside); i++)
        assert_int_equal(cpuid(outside[i], EXIT_CPUID).eax, 3000);
    // The highest basic leaf may be a live one.
    struct cpuid_inputs with = inputs();
    with.exit_stats = true;
    build(&with);
    host.leaf[0].eax = 0x1f;
    assert_int_equal(cpuid_build(&vm.cpuid, &host, &with), STATUS_OK);
    vcpu.apic_id = 2;
    assert_int_equal(cpuid(0x50000000, 1).edx, 2);
    with.exit_stats = false;
    assert_int_equal(cpuid_build(&vm.cpuid, &host, &with), STATUS_OK);
    assert_int_equal(cpuid(0x4fffffff, 1).edx, 2);
}

static void widths_fit_the_page_tables(void **state)
{
    build_default();
    assert_int_equal(cpuid(0x80000008, 0).eax, 0x3028);
    assert_int_equal(vm.cpuid.physical_width, 40);
    assert_int_equal(cpuid(0x80000000, 0).eax, 0x80000008);
    assert_int_equal(cpuid(0x80000007, 0).edx, 0x100);
    assert_int_equal(vm.cpuid.linear_width, 48);
}

static void five_levels_of_page_tables_are_the_cpus(void **state)
{
    struct cpuid_inputs with = inputs();
    struct cpuid_leaves wide = host;
    for (unsigned i = 0; i < wide.count; i++)
        if (wide.leaf[i].leaf == 7 && wide.leaf[i].subleaf == 0)
            wide.leaf[i].ecx |= BIT32(16);
    assert_int_equal(cpuid_build(&vm.cpuid, &wide, &with), STATUS_OK);
    assert_true(cpuid_has(&vm.cpuid, CPUID_LA57));
    assert_int_equal(cpuid(0x80000008, 0).eax, 0x3928);
    assert_int_equal(vm.cpuid.linear_width, 57);
}

static void execute_server(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *result)
{
    struct cpuid_leaves list = {.count = ARRAY_LENGTH(server)};
    memcpy(list.leaf, server, sizeof(server));
    *result = *cpuid_find(&list, leaf, subleaf);
}

static void collecting_finds_every_subleaf(void **state)
{
    static struct cpuid_leaves collected;
    cpuid_collect(&collected, execute_server);
    for (unsigned i = 0; i < ARRAY_LENGTH(server); i++)
        assert_memory_equal(cpuid_find(&collected, server[i].leaf, server[i].subleaf), &server[i],
                            sizeof(server[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vendor_passes_and_the_hypervisor_names_itself),
        cmocka_unit_test(what_guests_must_not_have_is_hidden),
        cmocka_unit_test(controls_that_are_off_hide_their_features),
        cmocka_unit_test(an_emulated_cpu_loses_what_it_gets_wrong),
        cmocka_unit_test(the_configuration_takes_and_gives),
        cmocka_unit_test(topology_is_one_package_of_single_threaded_cores),
        cmocka_unit_test(cr4_and_the_apic_show),
        cmocka_unit_test(xsave_sizes_follow_xcr0),
        cmocka_unit_test(without_xsave_its_leaf_is_empty),
        cmocka_unit_test(a_component_without_a_size_is_not_offered),
        cmocka_unit_test(frequencies_are_exact_or_absent),
        cmocka_unit_test(leaves_out_of_range_show_the_highest_basic_one),
        cmocka_unit_test(exits_show_where_they_are_asked_for),
        cmocka_unit_test(reasons_are_undefined_or_never_seen),
        cmocka_unit_test(the_map_of_exit_statistics_is_a_setting),
        cmocka_unit_test(exit_statistics_hide_nothing_else),
        cmocka_unit_test(widths_fit_the_page_tables),
        cmocka_unit_test(five_levels_of_page_tables_are_the_cpus),
        cmocka_unit_test(collecting_finds_every_subleaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
