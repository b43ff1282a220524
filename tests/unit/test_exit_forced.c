// exits/descriptor.c, operand.c, cache.c and rdtsc.c: the instructions that exit only when they are
// made to.

#include "tests/unit/exit_gdt.h"

static int set_up(void **state)
{
    fixture_with_gdt();
    return 0;
}

#define AT(displacement)        UINT64_C(displacement)
#define MEMORY(identity)        ((uint32_t)(identity) << 28 | BIT32(27) | BIT32(22) | DS << 15 | 1 << 7)
#define OPERAND_32              BIT32(11)
#define REGISTER(identity, gpr) ((uint32_t)(identity) << 28 | BIT32(10) | (gpr) << 3)

static struct exit table_access(uint32_t reason, uint32_t info, uint64_t displacement)
{
    return (struct exit){.reason = reason, .instruction_info = info, .qualification = displacement};
}

static void tables_are_stored_and_loaded(void **state)
{
    VCPU->idtr = (struct table_register){.base = 0xff123456, .limit = 0x7ff};
    struct exit exit = table_access(EXIT_GDTR_IDTR, MEMORY(1), AT(0x9000));
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(get(0x9000, 6), UINT64_C(0xff12345607ff));

    exit = table_access(EXIT_GDTR_IDTR, MEMORY(2) | OPERAND_32, AT(0x9000));
    assert_verdict(exit_run(&exit, CHANGED(gdtr)), next());
    assert_int_equal(VCPU->gdtr.base, 0xff123456);
    assert_int_equal(VCPU->gdtr.limit, 0x7ff);
    assert_int_equal(exit_dirty, STATE_SEGMENTS);

    exit = table_access(EXIT_GDTR_IDTR, MEMORY(3), AT(0x9000)); // 16-bit operand: 24 bits of base
    assert_verdict(exit_run(&exit, CHANGED(idtr)), next());
    assert_int_equal(VCPU->idtr.base, 0x123456);

    VCPU->cpl = 3;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit = table_access(EXIT_GDTR_IDTR, MEMORY(0), AT(0x9000));
    VCPU->cr4 = CR4_UMIP;
    assert_verdict(exit_run(&exit), fault_gp(0));
}

static void ltr_takes_an_available_tss_and_makes_it_busy(void **state)
{
    struct exit exit = table_access(EXIT_LDTR_TR, REGISTER(3, RBX), 0);
    VCPU->gpr[RBX] = TSS_B;
    assert_verdict(exit_run(&exit, CHANGED(segment)), next());
    assert_int_equal(VCPU->segment[TR].base, TASK_B);
    assert_int_equal(VCPU->segment[TR].access, 0x8b);
    assert_int_equal(type_of(TSS_B), 0x8b);
    assert_verdict(exit_run(&exit), fault_gp(TSS_B)); // now it is busy
    static const struct {
        uint16_t selector;
        uint16_t error;
    } bad[] = {{0, 0}, {CODE0, CODE0}, {LDT, LDT}, {TSS_C | 4, TSS_C | 4}, {0x58, 0x58}};
    for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
        VCPU->gpr[RBX] = bad[i].selector;
        assert_verdict(exit_run(&exit), fault_gp(bad[i].error));
    }
}

static void lldt_takes_a_table_or_nothing(void **state)
{
    struct exit exit = table_access(EXIT_LDTR_TR, MEMORY(2), AT(0x9000));
    put(0x9000, 2, LDT);
    assert_verdict(exit_run(&exit, CHANGED(segment)), next());
    assert_int_equal(VCPU->segment[LDTR].base, 0x5000);
    put(0x9000, 2, TSS_B);
    assert_verdict(exit_run(&exit), fault_gp(TSS_B));
    put(0x9000, 2, 3);
    assert_verdict(exit_run(&exit, CHANGED(segment)), next());
    assert_int_equal(VCPU->segment[LDTR].access & AR_UNUSABLE, AR_UNUSABLE);
    set_descriptor(LDT, 0x5000, 0x3f, 0x02);
    put(0x9000, 2, LDT);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_NP, LDT));
}

static void selectors_are_stored_by_operand_size(void **state)
{
    struct exit exit = table_access(EXIT_LDTR_TR, REGISTER(1, RBX), 0);
    VCPU->gpr[RBX] = UINT64_C(0xaaaaaaaaaaaaaaaa);
    VCPU->rip = 0xa000;
    memcpy(&fixture.ram[0xa000], "\x66\x0f\x00\xcb", 4); // str bx
    assert_verdict(exit_run(&exit, CHANGED(gpr[RBX])), next());
    assert_int_equal(VCPU->gpr[RBX], UINT64_C(0xaaaaaaaaaaaa0000) | TSS_A);
    memcpy(&fixture.ram[0xa000], "\x0f\x00\xcb", 3); // str ebx
    assert_verdict(exit_run(&exit, CHANGED(gpr[RBX])), next());
    assert_int_equal(VCPU->gpr[RBX], TSS_A);
    VCPU->segment[CS].access |= AR_LONG;
    VCPU->segment[CS].access &= ~AR_DB;
    VCPU->efer |= EFER_LMA;
    VCPU->gpr[RBX] = UINT64_MAX;
    memcpy(&fixture.ram[0xa000], "\x66\x48\x0f\x00\xcb", 5); // str rbx: REX.W is stronger
    assert_verdict(exit_run(&exit, CHANGED(gpr[RBX])), next());
    assert_int_equal(VCPU->gpr[RBX], TSS_A);
    exit = table_access(EXIT_LDTR_TR, MEMORY(0), AT(0x9000));
    VCPU->segment[LDTR].selector = 0x40;
    put(0x9000, 4, UINT32_MAX);
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(get(0x9000, 4), 0xffff0040);
}

static void invpcid_checks_its_descriptor(void **state)
{
    static const struct {
        uint64_t type, pcid, address;
        bool is_taken;
    } rows[] = {{0, 0, 0x1000, true}, {1, 0, BIT(63), true},  {2, 5, 0, true},
                {3, 0xfff, 0, true},  {4, 0, 0, false},       {3, BIT(12), 0, false},
                {0, 1, 0, false},     {0, BIT(12), 0, false}, {0, 0, BIT(63), false}};
    struct exit exit = table_access(EXIT_INVPCID, MEMORY(RDX), AT(0x9000));
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        VCPU->gpr[RDX] = UINT64_C(0xf00000000) | rows[i].type;
        put(0x9000, 8, rows[i].pcid);
        put(0x9008, 8, rows[i].address);
        assert_verdict(exit_run(&exit), rows[i].is_taken ? next() : fault_gp(0));
        assert_int_equal(exit_requests, rows[i].is_taken ? REQUEST_FLUSH_TLB : 0);
    }
}

static void caches_need_no_flush_but_translations_do(void **state)
{
    struct exit exit = {.reason = EXIT_WBINVD};
    assert_verdict(exit_run(&exit), next());
    exit.reason = EXIT_INVD;
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(exit_requests, 0);
    exit.reason = EXIT_INVLPG;
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(exit_requests, REQUEST_FLUSH_TLB);
}

static void the_tsc_is_read_with_its_offset(void **state)
{
    VCPU->tsc_offset = UINT64_C(0x500000000) - 1000;
    VCPU->live.tsc_aux = 7;
    struct exit exit = {.reason = EXIT_RDTSC, .tsc = 1100};
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX]), CHANGED(gpr[RDX])), next());
    assert_int_equal(VCPU->gpr[RAX], 100);
    assert_int_equal(VCPU->gpr[RDX], 5);
    exit.reason = EXIT_RDTSCP;
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX]), CHANGED(gpr[RDX]), CHANGED(gpr[RCX])),
                   next());
    assert_int_equal(VCPU->gpr[RCX], 7);
    VCPU->cr4 |= CR4_TSD;
    VCPU->cpl = 3;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit.reason = EXIT_RDTSC;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit.reason = EXIT_RDPMC;
    assert_verdict(exit_run(&exit), fault_gp(0));
}

static void random_numbers_fill_the_operand_and_carry(void **state)
{
    static const struct {
        const char *bytes;
        uint32_t size; // as the exit information says
        uint64_t expected;
    } rows[] = {{"\x66\x0f\xc7", 0, UINT64_C(0xaaaaaaaaaaaacdef)},
                {"\x66\x0f\xc7", 1, UINT64_C(0xaaaaaaaaaaaacdef)}, // an emulator's
                {"\x0f\xc7\xf4", 1, UINT64_C(0x89abcdef)},
                {"\x48\x0f\xc7", 2, UINT64_C(0x0123456789abcdef)}};
    const uint64_t before = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_ZF | RFLAGS_OF | RFLAGS_SF |
                            RFLAGS_AF | RFLAGS_PF | RFLAGS_DF;
    for (unsigned i = 0; i < 2 * ARRAY_LENGTH(rows); i++) {
        struct exit exit = {.reason = i & 1 ? EXIT_RDSEED : EXIT_RDRAND,
                            .instruction_info = rows[i / 2].size << 11 | RSP << 3,
                            .random = UINT64_C(0x0123456789abcdef),
                            .has_random = true};
        VCPU->gpr[RSP] = UINT64_C(0xaaaaaaaaaaaaaaaa);
        VCPU->rflags = before;
        VCPU->rip = 0xa000;
        memcpy(&fixture.ram[0xa000], rows[i / 2].bytes, 4);
        assert_verdict(exit_run(&exit, CHANGED(gpr[RSP]), CHANGED(rflags)), next());
        assert_int_equal(VCPU->gpr[RSP], rows[i / 2].expected);
        assert_int_equal(VCPU->rflags, RFLAGS_FIXED | RFLAGS_IF | RFLAGS_DF | RFLAGS_CF);
        assert_int_equal(exit_dirty, STATE_FLOW | STATE_STACK);
    }
    struct exit exit = {.reason = EXIT_RDRAND, .instruction_info = 1 << 11 | RBX << 3, .random = 5};
    assert_verdict(exit_run(&exit, CHANGED(gpr[RBX]), CHANGED(rflags)), next()); // none at hand
    assert_int_equal(VCPU->gpr[RBX], 0);
    assert_int_equal(VCPU->rflags, RFLAGS_FIXED | RFLAGS_IF | RFLAGS_DF);
    for (unsigned i = 0; i < fixture.vm.cpuid.leaves.count; i++)
        fixture.vm.cpuid.leaves.leaf[i].ebx = fixture.vm.cpuid.leaves.leaf[i].ecx = 0;
    assert_verdict(exit_run(&exit), fault_ud());
    exit.reason = EXIT_RDSEED;
    assert_verdict(exit_run(&exit), fault_ud());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tables_are_stored_and_loaded, set_up),
        cmocka_unit_test_setup(ltr_takes_an_available_tss_and_makes_it_busy, set_up),
        cmocka_unit_test_setup(lldt_takes_a_table_or_nothing, set_up),
        cmocka_unit_test_setup(selectors_are_stored_by_operand_size, set_up),
        cmocka_unit_test_setup(invpcid_checks_its_descriptor, set_up),
        cmocka_unit_test_setup(caches_need_no_flush_but_translations_do, set_up),
        cmocka_unit_test_setup(the_tsc_is_read_with_its_offset, set_up),
        cmocka_unit_test_setup(random_numbers_fill_the_operand_and_carry, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
