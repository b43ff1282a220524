// exits/table.c, refuse.c, hlt.c, vmcall.c: that every reason has a row and what the simple rows
// answer.

#include "tests/unit/exit_support.h"

static int set_up(void **state)
{
    fixture_init();
    return 0;
}

static void every_reason_has_a_whole_row(void **state)
{
    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        assert_non_null(exit_table[i].handler);
        assert_non_null(exit_table[i].name);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(exit_table[i].name, exit_table[j].name);
    }
}

static void cpuid_asks_for_nothing(void **state)
{
    assert_int_equal(exit_table[EXIT_CPUID].needs, FACT_INSTRUCTION);
}

static void instructions_that_no_guest_gets_are_undefined(void **state)
{
    static const uint8_t refused[] = {
        EXIT_GETSEC,  EXIT_RSM,      EXIT_VMCLEAR,      EXIT_VMLAUNCH, EXIT_VMPTRLD,
        EXIT_VMPTRST, EXIT_VMREAD,   EXIT_VMRESUME,     EXIT_VMWRITE,  EXIT_VMXOFF,
        EXIT_VMXON,   EXIT_INVEPT,   EXIT_INVVPID,      EXIT_VMFUNC,   EXIT_ENCLS,
        EXIT_MWAIT,   EXIT_MONITOR,  EXIT_PCONFIG,      EXIT_UMWAIT,   EXIT_TPAUSE,
        EXIT_ENCLV,   EXIT_SEAMCALL, EXIT_LOADIWKEY,    EXIT_TDCALL,   EXIT_ENQCMD_PASID,
        EXIT_XSAVES,  EXIT_XRSTORS,  EXIT_ENQCMDS_PASID};
    for (unsigned i = 0; i < sizeof(refused); i++) {
        struct exit exit = {.reason = refused[i]};
        assert_verdict(exit_run(&exit), fault_ud());
        assert_int_equal(exit_dirty | exit_requests, 0);
    }
}

static void what_nobody_asked_for_stops_the_vm_with_its_number(void **state)
{
    static const uint8_t unused[] = {EXIT_INIT, EXIT_SIPI, EXIT_IO_SMI, EXIT_OTHER_SMI, 35,
                                     38,        42,        71,          EXIT_SPP_EVENT};
    for (unsigned i = 0; i < sizeof(unused); i++) {
        struct exit exit = {.reason = unused[i]};
        assert_verdict(exit_run(&exit), stop(STOP_UNKNOWN_EXIT, unused[i]));
        assert_int_equal(exit_table[unused[i]].needs, 0);
    }
}

static void windows_and_timers_look_for_events_and_resume(void **state)
{
    static const uint8_t events[] = {
        EXIT_EXTERNAL_INTERRUPT, EXIT_INTERRUPT_WINDOW, EXIT_NMI_WINDOW, EXIT_TPR_THRESHOLD,
        EXIT_PREEMPTION_TIMER,   EXIT_MONITOR_TRAP,     EXIT_BUS_LOCK};
    for (unsigned i = 0; i < sizeof(events); i++) {
        struct exit exit = {.reason = events[i]};
        assert_verdict(exit_run(&exit), again());
        assert_int_equal(exit_requests, REQUEST_EVENT);
    }
}

// Exits that may come while an event is delivered: what they interrupted is delivered again.
static void what_interrupts_a_delivery_fetches_the_event(void **state)
{
    static const uint8_t reasons[] = {EXIT_EXCEPTION_NMI,       EXIT_TASK_SWITCH, EXIT_APIC_ACCESS,
                                      EXIT_EPT_VIOLATION,       EXIT_BUS_LOCK,    EXIT_NOTIFY,
                                      EXIT_EPT_MISCONFIGURATION};
    for (unsigned i = 0; i < sizeof(reasons); i++)
        assert_int_equal(exit_table[reasons[i]].needs & (FACT_IDT | FACT_LENGTH),
                         FACT_IDT | FACT_LENGTH);
}

static void the_ends_of_a_vm_have_names(void **state)
{
    struct exit exit = {.reason = EXIT_TRIPLE_FAULT, .qualification = 2};
    assert_verdict(exit_run(&exit), stop(STOP_TRIPLE_FAULT, 0));
    exit.reason = EXIT_ENTRY_GUEST_STATE;
    assert_verdict(exit_run(&exit), stop(STOP_ENTRY_FAILED, 2));
    exit.reason = EXIT_NOTIFY;
    assert_verdict(exit_run(&exit), again());
    exit.qualification = 1;
    assert_verdict(exit_run(&exit), stop(STOP_UNKNOWN_EXIT, EXIT_NOTIFY));
}

static void hlt_waits_and_pause_yields(void **state)
{
    struct exit exit = {.reason = EXIT_HLT};
    assert_verdict(exit_run(&exit), wait());
    exit.reason = EXIT_PAUSE;
    assert_verdict(exit_run(&exit), yield());
}

static verdict_t hypercall_high(uint64_t number, uint64_t low, uint64_t high, uint64_t first,
                                uint64_t icr)
{
    struct exit exit = {.reason = EXIT_VMCALL};
    VCPU->gpr[RAX] = number;
    VCPU->gpr[RBX] = low;
    VCPU->gpr[RCX] = high;
    VCPU->gpr[RDX] = first;
    VCPU->gpr[RSI] = icr;
    return exit_run(&exit, CHANGED(gpr[RAX]), CHANGED(lapic), CHANGED(events));
}

static verdict_t hypercall(uint64_t number, uint64_t low, uint64_t first, uint64_t icr)
{
    return hypercall_high(number, low, 0, first, icr);
}

static void an_unknown_hypercall_says_so(void **state)
{
    struct exit exit = {.reason = EXIT_VMCALL};
    VCPU->gpr[RAX] = 77;
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], (uint64_t)-1000);
    assert_int_equal(exit_table[EXIT_VMCALL].needs, FACT_INSTRUCTION);
}

static void an_ipi_by_hypercall_reaches_the_apics_in_the_bitmap(void **state)
{
    lapic_virtual_wire(VCPU); // an APIC that is off takes nothing
    assert_verdict(hypercall(10, 1, 0, 0x41), next());
    assert_int_equal(VCPU->gpr[RAX], 1);
    assert_int_equal(lapic_get(&VCPU->lapic, LAPIC_IRR + 0x20), 2);
    assert_verdict(hypercall(10, 3, 5, 0x42), next()); // nobody there
    assert_int_equal(VCPU->gpr[RAX], 0);
    static const uint64_t wrong[] = {0x541, 0x141, 0x80041, 0x1041, UINT64_C(0x100000041)};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_verdict(hypercall(10, 1, 0, wrong[i]), next());
        assert_int_equal(VCPU->gpr[RAX], (uint64_t)-22);
    }
    VCPU->cpl = 3;
    assert_verdict(hypercall(10, 1, 0, 0x43), next());
    assert_int_equal(VCPU->gpr[RAX], (uint64_t)-1);
    assert_int_equal(lapic_get(&VCPU->lapic, LAPIC_IRR + 0x20), 2);
}

// No sum of the first APIC ID and a bit's place wraps to the first APICs, and none is a broadcast.
static void an_ipi_by_hypercall_ends_at_the_last_apic_id(void **state)
{
    static const uint64_t first[] = {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 62, UINT32_MAX - 127};
    lapic_virtual_wire(VCPU);
    for (unsigned i = 0; i < ARRAY_LENGTH(first); i++)
        for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
            VCPU->segment[CS].access =
                is_64bit ? VCPU->segment[CS].access | AR_LONG : VCPU->segment[CS].access & ~AR_LONG;
            assert_verdict(hypercall_high(10, UINT64_MAX, UINT64_MAX, first[i], 0x41), next());
            assert_int_equal(VCPU->gpr[RAX], 0);
        }
    assert_int_equal(lapic_get(&VCPU->lapic, LAPIC_IRR + 0x20), 0);
}

// A second vCPU, which the hypercalls name by its APIC ID.
static struct vcpu other;

static verdict_t hypercall_to_other(uint64_t number, enum gpr argument, bool is_there)
{
    struct exit exit = {.reason = EXIT_VMCALL};
    other = (struct vcpu){.vm = &fixture.vm, .id = 1, .apic_id = 9};
    fixture.vm.vcpu[1] = &other;
    fixture.vm.vcpu_count = 2;
    VCPU->gpr[RAX] = number;
    VCPU->gpr[argument] = is_there ? 9 : 8;
    return exit_run(&exit, CHANGED(gpr[RAX]));
}

static void a_kick_ends_a_halt(void **state)
{
    assert_verdict(hypercall_to_other(5, RCX, true), next());
    assert_int_equal(VCPU->gpr[RAX], 0);
    assert_int_equal(atomic_load(&other.requests), REQUEST_UNHALT);
    assert_verdict(hypercall_to_other(5, RCX, false), next());
    assert_int_equal(VCPU->gpr[RAX], 0);
    assert_int_equal(atomic_load(&other.requests), 0);
    VCPU->cpl = 3;
    assert_verdict(hypercall_to_other(5, RCX, true), next());
    assert_int_equal((int64_t)VCPU->gpr[RAX], -1);
    assert_int_equal(atomic_load(&other.requests), 0);
}

static void a_yield_names_who_should_run(void **state)
{
    assert_verdict(hypercall_to_other(11, RBX, true), yield_to(1));
    assert_int_equal(VCPU->gpr[RAX], 0);
    assert_verdict(hypercall_to_other(11, RBX, false), next());
    VCPU->cpl = 3;
    assert_verdict(hypercall_to_other(11, RBX, true), next());
    assert_int_equal((int64_t)VCPU->gpr[RAX], -1);
}

// What CPUID does not announce is not there either.
static void hypercalls_follow_their_features(void **state)
{
    static const uint32_t numbers[] = {5, 10, 11};
    struct cpuid_leaf *features =
        (struct cpuid_leaf *)cpuid_find(&fixture.vm.cpuid.leaves, 0x40000001, 0);
    features->eax = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(numbers); i++) {
        assert_verdict(hypercall_to_other(numbers[i], RBX, true), next());
        assert_int_equal((int64_t)VCPU->gpr[RAX], -1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_reason_has_a_whole_row, set_up),
        cmocka_unit_test_setup(cpuid_asks_for_nothing, set_up),
        cmocka_unit_test_setup(instructions_that_no_guest_gets_are_undefined, set_up),
        cmocka_unit_test_setup(what_nobody_asked_for_stops_the_vm_with_its_number, set_up),
        cmocka_unit_test_setup(windows_and_timers_look_for_events_and_resume, set_up),
        cmocka_unit_test_setup(what_interrupts_a_delivery_fetches_the_event, set_up),
        cmocka_unit_test_setup(the_ends_of_a_vm_have_names, set_up),
        cmocka_unit_test_setup(hlt_waits_and_pause_yields, set_up),
        cmocka_unit_test_setup(an_unknown_hypercall_says_so, set_up),
        cmocka_unit_test_setup(an_ipi_by_hypercall_reaches_the_apics_in_the_bitmap, set_up),
        cmocka_unit_test_setup(an_ipi_by_hypercall_ends_at_the_last_apic_id, set_up),
        cmocka_unit_test_setup(a_kick_ends_a_halt, set_up),
        cmocka_unit_test_setup(a_yield_names_who_should_run, set_up),
        cmocka_unit_test_setup(hypercalls_follow_their_features, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
