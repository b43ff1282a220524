// exits/apic.c: what a CPU that virtualizes the local APIC leaves to software.
#include "tests/unit/exit_support.h"

#define APIC UINT64_C(0xfee00000)

static int set_up(void **state)
{
    fixture_protected_mode();
    lapic_set(&VCPU->lapic, LAPIC_SVR, 0x1ff);
    return 0;
}

static void code(const char *bytes, size_t count)
{
    memcpy(fixture.ram + VCPU->rip, bytes, count);
}

#define CODE(bytes) code(bytes, sizeof(bytes) - 1)

static struct exit access_exit(unsigned type, unsigned offset)
{
    return (struct exit){.reason = EXIT_APIC_ACCESS, .qualification = type << 12 | offset};
}

// The length that the CPU gives is not looked at: the emulator's own counts.
static void an_access_is_emulated(void **state)
{
    CODE("\xa3\x80\x00\xe0\xfe"); // mov [0xfee00080], eax
    VCPU->gpr[RAX] = 0x30;
    struct exit exit = access_exit(1, LAPIC_TPR);
    assert_verdict(exit_run(&exit, CHANGED(lapic)), next_len(5));
    assert_int_equal(lapic_tpr(VCPU), 0x30);
    CODE("\xa1\xa0\x00\xe0\xfe"); // mov eax, [0xfee000a0]
    VCPU->gpr[RAX] = 0;
    exit = access_exit(0, LAPIC_PPR);
    assert_verdict(exit_run(&exit, CHANGED(lapic), CHANGED(gpr[RAX])), next_len(5));
    assert_int_equal(VCPU->gpr[RAX], 0x30);
}

static void an_eoi_that_the_cpu_left_ends_what_it_delivered(void **state)
{
    uint32_t status = 0;
    lapic_set(&VCPU->lapic, LAPIC_ISR + 0x20, BIT32(1) | BIT32(2));
    lapic_hand_over(VCPU, &status);
    VCPU->gpr[RDI] = APIC + LAPIC_EOI;
    CODE("\xab"); // stosd: more than a write
    struct exit exit = access_exit(1, LAPIC_EOI);
    assert_verdict(exit_run(&exit, CHANGED(lapic), CHANGED(gpr[RDI])), next_len(1));
    assert_int_equal(VCPU->gpr[RDI], APIC + LAPIC_EOI + 4);
    assert_int_equal(lapic_get(&VCPU->lapic, LAPIC_ISR + 0x20), BIT32(1));
    lapic_hand_over(VCPU, &status);
    assert_int_equal(status, 0x4100);
}

static void what_is_no_memory_ends_the_vm(void **state)
{
    struct exit exit = access_exit(2, 0);
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, APIC >> 12));
    for (unsigned type = 3; type <= 15; type++) { // page tables, descriptor tables
        exit = access_exit(type, 0);
        assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, APIC >> 12));
    }
    exit = access_exit(3, 0);
    exit.idt_info = EVENT_VALID | 0x20;
    assert_verdict(exit_run(&exit), stop(STOP_TRIPLE_FAULT, 0));
    VCPU->cpl = 3; // user code hurts itself only, whatever it did
    assert_verdict(exit_run(&exit), fault_gp(0));
    for (unsigned type = 2; type <= 15; type++) {
        exit = access_exit(type, 0);
        assert_verdict(exit_run(&exit), fault_ud());
    }
}

static void a_write_is_completed(void **state)
{
    struct exit exit = {.reason = EXIT_APIC_WRITE, .qualification = LAPIC_LVT_ERROR, .tsc = 1000};
    lapic_set(&VCPU->lapic, LAPIC_LVT_ERROR, 0xffff0091);
    assert_verdict(exit_run(&exit, CHANGED(lapic)), again());
    assert_int_equal(lapic_get(&VCPU->lapic, LAPIC_LVT_ERROR), 0x10091);
    exit.qualification = 0xff0; // no CPU says so
    assert_verdict(exit_run(&exit), again());
    // SELF IPI exists in x2APIC mode only; a vector below 16 comes here.
    exit.qualification = LAPIC_SELF_IPI;
    assert_verdict(exit_run(&exit), again());
    VCPU->lapic.base |= APIC_BASE_X2APIC;
    lapic_set(&VCPU->lapic, LAPIC_SELF_IPI, 3);
    assert_verdict(exit_run(&exit, CHANGED(lapic)), again());
    assert_int_equal(VCPU->lapic.errors, LAPIC_ERROR_SEND_VECTOR);
}

// Behind an instruction of a guest that steps, whether its trap waits must be known; others pay
// nothing.
static void a_step_is_looked_for(void **state)
{
    static const uint8_t reasons[] = {EXIT_APIC_WRITE, EXIT_TPR_THRESHOLD};
    for (unsigned i = 0; i < sizeof(reasons); i++) {
        struct exit exit = {.reason = reasons[i], .qualification = LAPIC_LVT_ERROR};
        assert_int_equal(exit_table[reasons[i]].needs & STATE_DEBUG, 0);
        VCPU->rflags |= RFLAGS_TF;
        VCPU->fetched = STATE_FLOW;
        assert_verdict(exit_table[reasons[i]].handler(VCPU, &exit), need(STATE_DEBUG));
        VCPU->fetched |= STATE_DEBUG;
        assert_verdict(exit_table[reasons[i]].handler(VCPU, &exit), again());
        VCPU->rflags &= ~RFLAGS_TF;
        VCPU->fetched = STATE_FLOW;
        assert_verdict(exit_table[reasons[i]].handler(VCPU, &exit), again());
    }
}

static unsigned ended;

static void note_end(void *ioapic, uint8_t vector)
{
    ended = vector;
}

static void an_end_reaches_the_io_apic(void **state)
{
    struct exit exit = {.reason = EXIT_VIRTUALIZED_EOI, .qualification = 0x51};
    fixture.vm.irqchip.ioapic_eoi = note_end;
    ended = 0;
    assert_verdict(exit_run(&exit), again());
    assert_int_equal(ended, 0);
    lapic_set(&VCPU->lapic, LAPIC_TMR + 0x20, BIT32(0x11));
    assert_verdict(exit_run(&exit), again());
    assert_int_equal(ended, 0x51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_access_is_emulated, set_up),
        cmocka_unit_test_setup(an_eoi_that_the_cpu_left_ends_what_it_delivered, set_up),
        cmocka_unit_test_setup(what_is_no_memory_ends_the_vm, set_up),
        cmocka_unit_test_setup(a_write_is_completed, set_up),
        cmocka_unit_test_setup(a_step_is_looked_for, set_up),
        cmocka_unit_test_setup(an_end_reaches_the_io_apic, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
