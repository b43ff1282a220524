// exits/cr.c, xcr.c and dr.c: control, extended control and debug registers, with the rules that
// refuse them.

#include "tests/unit/exit_support.h"

#include "vm/cpu/cr.h"

#define TO(cr, gpr)   ((cr) | (uint64_t)(gpr) << 8)
#define FROM(cr, gpr) ((cr) | 1 << 4 | (uint64_t)(gpr) << 8)
#define CLTS          (2 << 4)
#define LMSW(source)  (3 << 4 | (uint64_t)(source) << 16)

static int set_up(void **state)
{
    fixture_init();
    return 0;
}

static verdict_t access(uint64_t qualification)
{
    struct exit exit = {.reason = EXIT_CR_ACCESS, .qualification = qualification};
    return exit_run(&exit, CHANGED(cr0), CHANGED(cr3), CHANGED(cr4), CHANGED(efer),
                    CHANGED(cr4_mirror), CHANGED(pdpte));
}

// MOV to a control register that must be refused: nothing at all may change.
static void refused(unsigned cr, uint64_t value)
{
    struct exit exit = {.reason = EXIT_CR_ACCESS, .qualification = TO(cr, RBX)};
    VCPU->gpr[RBX] = value;
    assert_verdict(exit_run(&exit), fault_gp(0));
    assert_int_equal(exit_dirty | exit_requests, 0);
}

static verdict_t write(unsigned cr, uint64_t value)
{
    VCPU->gpr[RBX] = value;
    return access(TO(cr, RBX));
}

static void cr0_takes_what_is_consistent(void **state)
{
    uint64_t base = VCPU->cr0;
    assert_verdict(write(0, base | CR0_CD), next());
    assert_int_equal(VCPU->cr0, base | CR0_CD);
    assert_int_equal(exit_dirty, STATE_CONTROL);
    assert_int_equal(exit_requests, 0);
    assert_verdict(write(0, base | CR0_CD | CR0_NW), next());
    assert_verdict(write(0, (base & ~(CR0_ET | CR0_NE)) | BIT(8)), next());
    assert_int_equal(VCPU->cr0, base & ~CR0_NE); // ET is fixed, reserved bits do not stick
}

static void cr0_refuses_what_is_not(void **state)
{
    uint64_t base = VCPU->cr0;
    refused(0, base | BIT(32));
    refused(0, base | CR0_NW);
    refused(0, base & ~CR0_PE);
    refused(0, base & ~CR0_PG); // in 64-bit mode
    VCPU->segment[CS].access = 0xc09b;
    VCPU->cr4 |= CR4_PCIDE;
    refused(0, base & ~CR0_PG);
}

static void paging_moves_efer_lma(void **state)
{
    fixture_protected_mode();
    VCPU->efer = EFER_LME;
    refused(0, CR0_PE | CR0_PG | CR0_CD); // without PAE
    VCPU->cr4 = CR4_PAE;
    assert_verdict(write(0, CR0_PE | CR0_PG | CR0_CD), next());
    assert_int_equal(VCPU->efer, EFER_LME | EFER_LMA);
    assert_int_equal(exit_requests, REQUEST_FLUSH_TLB);
    assert_verdict(write(0, CR0_PE | CR0_CD), next()); // compatibility mode may switch it off
    assert_int_equal(VCPU->efer, EFER_LME);
    VCPU->segment[TR].access = 0x83;
    refused(0, CR0_PE | CR0_PG | CR0_CD); // a 16-bit TSS: VM entry would refuse it
    VCPU->segment[TR].access = 0x8b;
    VCPU->segment[CS].access = 0xa09b;
    refused(0, CR0_PE | CR0_PG | CR0_CD); // CS.L
}

static void set_pdptes(uint64_t at, uint64_t second)
{
    uint64_t entries[4] = {0x3001, second, 0, 0x5001};
    memcpy(&fixture.ram[at], entries, sizeof(entries));
}

static void pae_paging_loads_the_page_directory_pointers(void **state)
{
    fixture_protected_mode();
    VCPU->cr4 = CR4_PAE;
    VCPU->cr3 = 0x2020;
    set_pdptes(0x2020, 0x4001);
    assert_verdict(write(0, CR0_PE | CR0_PG | CR0_CD), next());
    assert_int_equal(VCPU->pdpte[0], 0x3001);
    assert_int_equal(VCPU->pdpte[3], 0x5001);
    assert_int_equal(exit_dirty, STATE_CONTROL | STATE_SYSTEM);

    set_pdptes(0x2020, 0x4003); // reserved bit 1 in an entry that is present
    refused(3, 0x2020);
    refused(4, CR4_PAE | CR4_PGE);
    set_pdptes(0x2020, 0x4002); // not present: free
    assert_verdict(write(3, 0x2020), next());
    set_pdptes(0x2020, BIT(40) | 1); // beyond the physical width
    refused(3, 0x2020);
    refused(3, 0xfff00000); // no memory there
}

static void cr3_flushes_unless_asked_not_to(void **state)
{
    assert_verdict(write(3, 0x5000), next());
    assert_int_equal(VCPU->cr3, 0x5000);
    assert_int_equal(exit_requests, REQUEST_FLUSH_TLB);
    refused(3, BIT(63) | 0x5000);
    refused(3, BIT(40));
    VCPU->cr4 |= CR4_PCIDE;
    assert_verdict(write(3, BIT(63) | 0x6001), next());
    assert_int_equal(VCPU->cr3, 0x6001);
    assert_int_equal(exit_requests, 0);
}

static void cr4_follows_cpuid(void **state)
{
    uint64_t base = VCPU->cr4;
    refused(4, base | CR4_VMXE);
    refused(4, base | CR4_SMXE);
    refused(4, base | CR4_CET);
    refused(4, base | CR4_LA57);
    refused(4, base | BIT(40));
    refused(4, base & ~CR4_PAE); // in IA-32e mode
    VCPU->cr3 = 0x5001;
    refused(4, base | CR4_PCIDE); // PCID not zero
    VCPU->cr3 = 0x5000;
    assert_verdict(write(4, base | CR4_PCIDE | CR4_PKE), next());
    assert_int_equal(VCPU->cr4, base | CR4_PCIDE | CR4_PKE);
    assert_int_equal(VCPU->cr4_mirror, CR4_OSXSAVE | CR4_PKE);
    assert_int_equal(exit_requests, REQUEST_FLUSH_TLB);
    assert_verdict(write(4, VCPU->cr4 & ~CR4_OSXSAVE), next());
    assert_int_equal(VCPU->cr4_mirror, CR4_PKE);
    assert_int_equal(exit_requests, 0);
    fixture_protected_mode();
    refused(4, CR4_PCIDE);
}

static void what_changes_translations_flushes_them(void **state)
{
    static const struct {
        unsigned cr;
        uint64_t bit;
        bool flushes;
    } rows[] = {
        {0, CR0_WP, true},   {0, CR0_TS, false},      {0, CR0_AM, false},   {0, CR0_CD, false},
        {4, CR4_PGE, true},  {4, CR4_PSE, true},      {4, CR4_SMEP, true},  {4, CR4_SMAP, true},
        {4, CR4_PKE, true},  {4, CR4_PCIDE, true},    {4, CR4_TSD, false},  {4, CR4_DE, false},
        {4, CR4_MCE, false}, {4, CR4_OSXSAVE, false}, {4, CR4_UMIP, false},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        fixture_init();
        for (unsigned times = 0; times < 2; times++) { // set or cleared, and back
            uint64_t now = rows[i].cr ? VCPU->cr4 : VCPU->cr0;
            assert_verdict(write(rows[i].cr, now ^ rows[i].bit), next());
            if (exit_requests != (rows[i].flushes ? REQUEST_FLUSH_TLB : 0))
                fail_msg("row %u", i);
        }
    }
}

static void ownership_covers_what_the_guest_must_not_set(void **state)
{
    assert_int_equal(CR0_OWNED, CR0_NE | CR0_NW | CR0_CD);
    uint64_t allowed = cr4_guest_allowed(&fixture.vm), owned = cr4_owned(&fixture.vm);
    assert_int_equal(allowed & (CR4_VMXE | CR4_SMXE | CR4_LA57 | CR4_CET | CR4_PKS), 0);
    assert_int_equal(~allowed & ~owned, 0);
    assert_int_equal(owned & (CR4_OSXSAVE | CR4_PKE | CR4_MCE), CR4_OSXSAVE | CR4_PKE | CR4_MCE);
    assert_int_equal(owned & (CR4_PGE | CR4_PAE | CR4_PCIDE | CR4_SMEP | CR4_TSD), 0);
}

static void cr8_is_the_task_priority(void **state)
{
    refused(8, 16);
    struct exit exit = {.reason = EXIT_CR_ACCESS, .qualification = TO(8, RBX)};
    VCPU->gpr[RBX] = 9;
    assert_verdict(exit_run(&exit, CHANGED(lapic)), next());
    assert_int_equal(lapic_tpr(VCPU), 0x90);
    exit.qualification = FROM(8, RDX);
    assert_verdict(exit_run(&exit, CHANGED(gpr[RDX])), next());
    assert_int_equal(VCPU->gpr[RDX], 9);
}

static void reads_have_the_operand_size_of_the_mode(void **state)
{
    VCPU->cr3 = UINT64_C(0x1200005000);
    struct exit exit = {.reason = EXIT_CR_ACCESS, .qualification = FROM(3, RSP)};
    assert_verdict(exit_run(&exit, CHANGED(gpr[RSP])), next());
    assert_int_equal(VCPU->gpr[RSP], UINT64_C(0x1200005000));
    assert_int_equal(exit_dirty, STATE_STACK);
    VCPU->segment[CS].access = 0xc09b;
    exit.qualification = FROM(3, RDI);
    assert_verdict(exit_run(&exit, CHANGED(gpr[RDI])), next());
    assert_int_equal(VCPU->gpr[RDI], 0x5000);
}

static void writes_outside_64bit_mode_use_32_bits(void **state)
{
    fixture_protected_mode();
    assert_verdict(write(0, UINT64_C(0xdead00000000) | CR0_PE | CR0_CD), next());
    assert_int_equal(VCPU->cr0, CR0_PE | CR0_CD | CR0_ET);
}

static void lmsw_sets_pe_but_never_clears_it(void **state)
{
    fixture_real_mode();
    assert_verdict(access(LMSW(0xfff1)), next());
    assert_int_equal(VCPU->cr0, CR0_PE | CR0_NE | CR0_ET);
    assert_verdict(access(LMSW(0x000e)), next());
    assert_int_equal(VCPU->cr0, CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_ET);
    assert_verdict(access(CLTS), next());
    assert_int_equal(VCPU->cr0, CR0_PE | CR0_MP | CR0_EM | CR0_NE | CR0_ET);
}

static void a_control_register_that_does_not_exist_is_undefined(void **state)
{
    assert_verdict(access(TO(5, RBX)), fault_ud());
    assert_verdict(access(FROM(15, RBX)), fault_ud());
}

// ---- XSETBV ----

static void xsetbv_checks_every_rule(void **state)
{
    static const struct {
        uint64_t value;
        uint32_t index, cpl;
        bool is_taken;
    } rows[] = {
        {0x1, 0, 0, true},   {0x3, 0, 0, true},   {0x7, 0, 0, true},
        {0xe7, 0, 0, true},  {0x2e7, 0, 0, true}, {0x0, 0, 0, false},
        {0x2, 0, 0, false},  {0x5, 0, 0, false},  {0x27, 0, 0, false},
        {0xe3, 0, 0, false}, {0x1f, 0, 0, false}, {BIT(62) | 1, 0, 0, false},
        {0x3, 1, 0, false},  {0x3, 0, 3, false},  {0x60003, 0, 0, false},
    };
    struct exit exit = {.reason = EXIT_XSETBV};
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        fixture_init();
        VCPU->cpl = rows[i].cpl;
        VCPU->gpr[RAX] = UINT64_C(0xfff00000000) | (uint32_t)rows[i].value;
        VCPU->gpr[RDX] = UINT64_C(0xfff00000000) | rows[i].value >> 32;
        VCPU->gpr[RCX] = UINT64_C(0xfff00000000) | rows[i].index;
        if (rows[i].is_taken) {
            assert_verdict(exit_run(&exit, CHANGED(xcr0)), next());
            assert_int_equal(VCPU->xcr0, rows[i].value);
            assert_int_equal(exit_dirty, STATE_XCR0);
        } else {
            assert_verdict(exit_run(&exit), fault_gp(0));
        }
    }
    VCPU->cr4_mirror = 0;
    assert_verdict(exit_run(&exit), fault_ud());
}

// ---- debug registers ----

static verdict_t debug(uint64_t number, bool is_read, enum gpr gpr)
{
    struct exit exit = {.reason = EXIT_MOV_DR,
                        .qualification = number | (is_read ? BIT(4) : 0) | (uint64_t)gpr << 8};
    return exit_run(&exit, CHANGED(dr), CHANGED(dr6), CHANGED(dr7), CHANGED(gpr), CHANGED(events),
                    CHANGED(rflags));
}

static void debug_registers_read_back_what_they_hold(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        VCPU->gpr[RBX] = UINT64_C(0xffff800000000000) + i;
        assert_verdict(debug(i, false, RBX), next());
        assert_verdict(debug(i, true, RSP), next());
        assert_int_equal(VCPU->gpr[RSP], UINT64_C(0xffff800000000000) + i);
        assert_true(exit_dirty & STATE_STACK);
    }
    VCPU->gpr[RBX] = 0xffffffff;
    assert_verdict(debug(6, false, RBX), next());
    assert_int_equal(VCPU->dr6, 0xffffeff0 | 0xf);
    VCPU->gpr[RBX] = 0xffff0fff;
    assert_verdict(debug(7, false, RBX), next());
    assert_int_equal(VCPU->dr7, 0xffff07ff);
    assert_int_equal(exit_dirty, STATE_DEBUG);
}

static void debug_registers_are_refused_by_the_rules(void **state)
{
    VCPU->gpr[RBX] = BIT(32);
    assert_verdict(debug(6, false, RBX), fault_gp(0));
    assert_verdict(debug(7, false, RBX), fault_gp(0));
    assert_false(VCPU->dirty & STATE_BREAKPOINTS); // nothing was set
    assert_verdict(debug(4, true, RBX), next());   // DR6 without CR4.DE
    assert_int_equal(VCPU->gpr[RBX], VCPU->dr6);
    VCPU->cr4 |= CR4_DE;
    assert_verdict(debug(4, true, RBX), fault_ud());
    assert_verdict(debug(5, false, RBX), fault_ud());
    VCPU->cpl = 3;
    assert_verdict(debug(0, true, RBX), fault_gp(0));
}

static void general_detect_comes_before_the_access(void **state)
{
    uint64_t rbx = VCPU->gpr[RBX];
    VCPU->dr7 = 0x400 | BIT(13);
    assert_verdict(debug(0, true, RBX), again());
    assert_int_equal(VCPU->gpr[RBX], rbx);
    assert_int_equal(VCPU->dr7, 0x400);
    assert_int_equal(VCPU->dr6, 0xffff0ff0 | BIT(13));
    assert_true(VCPU->rflags & RFLAGS_RF);
    assert_int_equal(VCPU->events.pending.info, EVENT_VALID | EVENT_EXCEPTION << 8 | VECTOR_DB);
    assert_int_equal(exit_requests, REQUEST_EVENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cr0_takes_what_is_consistent, set_up),
        cmocka_unit_test_setup(cr0_refuses_what_is_not, set_up),
        cmocka_unit_test_setup(paging_moves_efer_lma, set_up),
        cmocka_unit_test_setup(pae_paging_loads_the_page_directory_pointers, set_up),
        cmocka_unit_test_setup(cr3_flushes_unless_asked_not_to, set_up),
        cmocka_unit_test_setup(cr4_follows_cpuid, set_up),
        cmocka_unit_test_setup(what_changes_translations_flushes_them, set_up),
        cmocka_unit_test_setup(ownership_covers_what_the_guest_must_not_set, set_up),
        cmocka_unit_test_setup(cr8_is_the_task_priority, set_up),
        cmocka_unit_test_setup(reads_have_the_operand_size_of_the_mode, set_up),
        cmocka_unit_test_setup(writes_outside_64bit_mode_use_32_bits, set_up),
        cmocka_unit_test_setup(lmsw_sets_pe_but_never_clears_it, set_up),
        cmocka_unit_test_setup(a_control_register_that_does_not_exist_is_undefined, set_up),
        cmocka_unit_test_setup(xsetbv_checks_every_rule, set_up),
        cmocka_unit_test_setup(debug_registers_read_back_what_they_hold, set_up),
        cmocka_unit_test_setup(debug_registers_are_refused_by_the_rules, set_up),
        cmocka_unit_test_setup(general_detect_comes_before_the_access, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
