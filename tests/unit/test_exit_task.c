// exits/task.c and task_segments.c: task switches of all kinds between 32-bit and 16-bit tasks.

#include "tests/unit/exit_gdt.h"

static void set_task_b(void)
{
    put(TASK_B + 0x20, 4, 0x12345);
    put(TASK_B + 0x24, 4, 0x202);
    for (unsigned i = 0; i < 8; i++)
        put(TASK_B + 0x28 + 4 * i, 4, 0xb0000000 + i);
    put(TASK_B + 0x38, 4, STACK); // ESP
    static const uint16_t selectors[6] = {DATA0, CODE0, DATA0, DATA0, 0, DATA3};
    for (unsigned i = 0; i < 6; i++)
        put(TASK_B + 0x48 + 4 * i, 4, 0x55550000U | selectors[i]);
    put(TASK_B + 0x60, 2, LDT);
    put(TASK_B + 0x64, 2, 0);
}

static int set_up(void **state)
{
    fixture_with_gdt();
    set_task_b();
    return 0;
}

enum source { CALL, IRET, JMP, GATE };

static struct exit task_switch(uint16_t selector, enum source source)
{
    return (struct exit){.reason = EXIT_TASK_SWITCH,
                         .qualification = selector | (uint64_t)source << 30,
                         .instruction_length = 7};
}

#define ALL_CHANGED                                                                                \
    CHANGED(gpr), CHANGED(rip), CHANGED(rflags), CHANGED(segment), CHANGED(cr0), CHANGED(cr3),     \
        CHANGED(dr7), CHANGED(dr6), CHANGED(cpl), CHANGED(interruptibility),                       \
        CHANGED(pending_debug), CHANGED(events), CHANGED(pdpte)

static verdict_t run(const struct exit *exit)
{
    return exit_run(exit, ALL_CHANGED);
}

static void a_call_saves_links_and_loads(void **state)
{
    uint64_t rax = VCPU->gpr[RAX] = 0x11223344;
    VCPU->dr7 = 0x455;
    struct exit exit = task_switch(TSS_B, CALL);
    assert_verdict(run(&exit), again());

    assert_int_equal(get(TASK_A + 0x20, 4), 0x1007); // behind the CALL
    assert_int_equal(get(TASK_A + 0x24, 4), 0x202);
    assert_int_equal(get(TASK_A + 0x28, 4), rax);
    assert_int_equal(get(TASK_A + 0x4c, 4), CODE0);
    assert_int_equal(get(TASK_B, 2), TSS_A);
    assert_int_equal(type_of(TSS_A), 0x8b);
    assert_int_equal(type_of(TSS_B), 0x8b);

    assert_int_equal(VCPU->rip, 0x12345);
    assert_int_equal(VCPU->rflags, 0x202 | RFLAGS_NT);
    assert_int_equal(VCPU->gpr[RDI], 0xb0000007);
    assert_int_equal(VCPU->gpr[RSP], STACK);
    assert_int_equal(VCPU->segment[CS].selector, CODE0);
    assert_int_equal(VCPU->segment[CS].access, 0xc09b);
    assert_int_equal(VCPU->segment[SS].limit, 0xffffffff);
    assert_int_equal(VCPU->segment[FS].access & AR_UNUSABLE, AR_UNUSABLE);
    assert_int_equal(VCPU->segment[GS].access, 0xc0f3);
    assert_int_equal(VCPU->segment[LDTR].base, 0x5000);
    assert_int_equal(VCPU->segment[TR].base, TASK_B);
    assert_int_equal(VCPU->segment[TR].access, 0x8b);
    assert_int_equal(VCPU->cr0 & CR0_TS, CR0_TS);
    assert_int_equal(VCPU->dr7, 0x400);
    assert_int_equal(type_of(CODE0) & 1, 1); // accessed
}

static void an_iret_goes_back_and_frees_the_task(void **state)
{
    struct exit exit = task_switch(TSS_B, CALL);
    VCPU->segment[SS] = VCPU->segment[DS] = VCPU->segment[ES] =
        (struct segment){.selector = DATA0, .limit = 0xffffffff, .access = 0xc093};
    VCPU->segment[FS].selector = VCPU->segment[GS].selector = 0;
    assert_verdict(run(&exit), again());
    exit = task_switch(TSS_A, IRET);
    exit.instruction_length = 1;
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->rip, 0x1007);
    assert_int_equal(VCPU->rflags & RFLAGS_NT, 0);
    assert_int_equal(type_of(TSS_B), 0x89);
    assert_int_equal(type_of(TSS_A), 0x8b);
    assert_int_equal(get(TASK_B + 0x20, 4), 0x12346);
    assert_int_equal(get(TASK_B + 0x24, 4) & RFLAGS_NT, 0);
}

static void a_jump_to_a_16bit_task_frees_the_old_one(void **state)
{
    put(TASK_C + 0x0e, 2, 0x7777);
    put(TASK_C + 0x10, 2, 0x0002);
    put(TASK_C + 0x1a, 2, 0x6000);
    static const uint16_t selectors[4] = {DATA0, CODE0, DATA0, 0};
    for (unsigned i = 0; i < 4; i++)
        put(TASK_C + 0x22 + 2 * i, 2, selectors[i]);
    struct exit exit = task_switch(TSS_C, JMP);
    assert_verdict(run(&exit), again());
    assert_int_equal(type_of(TSS_A), 0x89);
    assert_int_equal(type_of(TSS_C), 0x83);
    assert_int_equal(get(TASK_C, 2), 0); // no link
    assert_int_equal(VCPU->rip, 0x7777);
    assert_int_equal(VCPU->rflags, RFLAGS_FIXED);
    assert_int_equal(VCPU->gpr[RSP], 0x6000);
    assert_int_equal(VCPU->segment[GS].access & AR_UNUSABLE, AR_UNUSABLE);
}

static void a_gate_pushes_the_error_and_ends_the_delivery(void **state)
{
    struct exit exit = task_switch(TSS_B, GATE);
    exit.idt_info = EVENT_VALID | EVENT_HAS_ERROR | EVENT_EXCEPTION << 8 | VECTOR_DF;
    exit.idt_error = 0xabcd;
    event_take_interrupted(VCPU, &exit);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->gpr[RSP], STACK - 4);
    assert_int_equal(get(STACK - 4, 4), 0xabcd);
    assert_int_equal(VCPU->events.pending.info, 0);
    assert_int_equal(get(TASK_A + 0x20, 4), 0x1000); // the instruction itself
}

// Events that the program did not ask for set the error code's external bit, and count as being
// delivered until the new task runs.
static void a_fault_in_the_switch_knows_what_it_serves(void **state)
{
    static const struct {
        enum event_type type;
        uint8_t vector;
        uint32_t external;
        bool keeps; // what is being delivered
    } rows[] = {{EVENT_EXCEPTION, VECTOR_UD, 1, true},
                {EVENT_EXCEPTION, VECTOR_DE, 1, true},
                {EVENT_EXTERNAL, 0x40, 1, false},
                {EVENT_NMI, VECTOR_NMI, 1, false},
                {EVENT_PRIVILEGED_EXCEPTION, VECTOR_DB, 1, false},
                {EVENT_SOFTWARE_INTERRUPT, 0x80, 0, false},
                {EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 0, false}};
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        set_up(NULL);
        struct exit exit = task_switch(TSS_B, GATE);
        exit.idt_info = EVENT_VALID | (uint32_t)rows[i].type << 8 | rows[i].vector;
        set_descriptor(TSS_B, TASK_B, 0x67, 0x09);
        event_take_interrupted(VCPU, &exit);
        assert_verdict(exit_run(&exit), fault_code(VECTOR_NP, TSS_B | rows[i].external));
        assert_int_equal(VCPU->events.pending.info, exit.idt_info);

        set_descriptor(TSS_B, TASK_B, 0x67, 0x89);
        put(TASK_B + 0x4c, 2, 0);
        assert_verdict(run(&exit), fault_code(VECTOR_TS, rows[i].external));
        assert_int_equal(VCPU->events.pending.info, rows[i].keeps ? exit.idt_info : 0);
    }
}

static void an_nmi_blocks_others_until_the_task_returns(void **state)
{
    struct exit exit = task_switch(TSS_B, GATE);
    exit.idt_info = EVENT_VALID | EVENT_NMI << 8 | VECTOR_NMI;
    event_take_interrupted(VCPU, &exit);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->interruptibility & BLOCKING_BY_NMI, BLOCKING_BY_NMI);
    assert_true(VCPU->events.nmi_blocked && !VCPU->events.nmi_returned);
    exit = task_switch(TSS_A, IRET);
    VCPU->segment[CS].selector = CODE0;
    put(TASK_A + 0x4c, 2, CODE0);
    put(TASK_A + 0x48, 2, 0);
    put(TASK_A + 0x50, 2, DATA0);
    put(TASK_A + 0x54, 8, 0);
    put(TASK_A + 0x5c, 8, 0);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->interruptibility & BLOCKING_BY_NMI, 0);
    assert_false(VCPU->events.nmi_blocked);
}

static void a_software_interrupt_returns_behind_itself(void **state)
{
    struct exit exit = task_switch(TSS_B, GATE);
    exit.instruction_length = 2;
    exit.idt_info = EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x80;
    event_take_interrupted(VCPU, &exit);
    assert_verdict(run(&exit), again());
    assert_int_equal(get(TASK_A + 0x20, 4), 0x1002);
    assert_int_equal(VCPU->gpr[RSP], STACK);
}

static void a_bad_target_changes_nothing(void **state)
{
    static const struct {
        uint16_t selector;
        enum source source;
        enum exception vector;
    } rows[] = {
        {TSS_A, CALL, VECTOR_GP}, {TSS_A, JMP, VECTOR_GP},     {TSS_B, IRET, VECTOR_TS},
        {CODE0, CALL, VECTOR_GP}, {TSS_B | 4, JMP, VECTOR_GP}, {0x50, CALL, VECTOR_GP},
        {0x50, IRET, VECTOR_TS},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        static uint8_t before[RAM_SIZE];
        memcpy(before, fixture.ram, sizeof(before));
        struct exit exit = task_switch(rows[i].selector, rows[i].source);
        assert_verdict(exit_run(&exit),
                       fault_code(rows[i].vector, SELECTOR_ERROR(rows[i].selector)));
        assert_memory_equal(before, fixture.ram, sizeof(before));
    }
    set_descriptor(TSS_B, TASK_B, 0x66, 0x89);
    struct exit exit = task_switch(TSS_B, CALL);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_TS, TSS_B));
    set_descriptor(TSS_B, TASK_B, 0x67, 0x09);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_NP, TSS_B));
}

static void bad_segments_fault_in_the_new_task(void **state)
{
    static const struct {
        uint8_t field; // of the new TSS
        uint16_t selector;
        enum exception vector;
        uint16_t error;
    } rows[] = {
        {0x4c, 0, VECTOR_TS, 0},         {0x4c, DATA0, VECTOR_TS, DATA0},
        {0x4c, CODE3, VECTOR_TS, DATA0}, // then SS does not fit
        {0x50, 0, VECTOR_TS, 0},         {0x50, CODE0, VECTOR_TS, CODE0},
        {0x50, DATA3, VECTOR_TS, 0x20},  {0x50, GONE, VECTOR_SS, GONE},
        {0x48, GONE, VECTOR_NP, GONE},   {0x48, 0x58, VECTOR_TS, 0x58},
        {0x60, CODE0, VECTOR_TS, CODE0}, {0x60, 0x44, VECTOR_TS, 0x44},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        set_up(NULL);
        put(TASK_B + rows[i].field, 2, rows[i].selector);
        struct exit exit = task_switch(TSS_B, CALL);
        assert_verdict(run(&exit), fault_code(rows[i].vector, rows[i].error));
        assert_int_equal(VCPU->rip, 0x12345);
        assert_int_equal(VCPU->segment[TR].selector, TSS_B);
        // What VM entry demands of CS.
        assert_int_equal(VCPU->segment[CS].access & (AR_PRESENT | AR_CODE_DATA | 9),
                         AR_PRESENT | AR_CODE_DATA | 9);
    }
}

static void a_task_beyond_its_code_or_with_the_trap_flag_faults(void **state)
{
    set_descriptor(CODE0, 0, 0xfff, 0x409a);
    struct exit exit = task_switch(TSS_B, CALL);
    assert_verdict(run(&exit), fault_gp(0));
    set_up(NULL);
    put(TASK_B + 0x64, 2, 1);
    assert_verdict(run(&exit), fault(VECTOR_DB));
    assert_int_equal(VCPU->dr6 & BIT(15), BIT(15));
}

static void a_task_in_virtual_8086_mode_needs_no_descriptors(void **state)
{
    put(TASK_B + 0x24, 4, 0x20202);
    put(TASK_B + 0x4c, 2, 0x1234);
    put(TASK_B + 0x60, 2, 0);
    struct exit exit = task_switch(TSS_B, CALL);
    assert_verdict(run(&exit), fault_gp(0)); // EIP is beyond 64 KiB
    set_descriptor(TSS_B, TASK_B, 0x67, 0x89);
    VCPU->segment[TR].base = TASK_A;
    VCPU->segment[TR].selector = TSS_A;
    put(TASK_B + 0x20, 4, 0x2345);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->segment[CS].base, 0x12340);
    assert_int_equal(VCPU->segment[CS].access, 0xf3);
    assert_int_equal(VCPU->cpl, 3);
}

static void with_paging_the_new_tables_hold_at_once(void **state)
{
    struct exit exit = task_switch(TSS_B, JMP);
    put(TASK_B + 0x1c, 4, 0x10000);
    assert_verdict(run(&exit), again()); // without paging CR3 stays
    assert_int_equal(VCPU->cr3, 0);
    assert_int_equal(exit_requests & REQUEST_FLUSH_TLB, 0);

    set_up(NULL);
    for (uint32_t tables = 0x10000; tables <= 0x11000; tables += 0x1000)
        put(tables, 4, 0xe7); // 4 MiB one to one
    VCPU->cr0 |= CR0_PG;
    VCPU->cr4 |= CR4_PSE;
    VCPU->cr3 = 0x11000;
    put(TASK_B + 0x1c, 4, 0x10000);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->cr3, 0x10000);
    assert_int_equal(exit_requests & REQUEST_FLUSH_TLB, REQUEST_FLUSH_TLB);
}

// The new task's page directory changes whenever it is to be marked: here, lies where nothing can
// be exchanged. Its first step faults; nobody waits for ever, and no VM ends.
static void lost_races_are_a_fault_of_the_new_task(void **state)
{
    static uint8_t moving[8192];
    const uint32_t large = 0x83, marked = large | 0x60; // writable, 4 MiB; accessed, dirty
    gmem_add(&fixture.vm.memory, gpa(PAGE_2M), moving + 4096 - (uintptr_t)moving % 4096 + 1, 4096);
    assert_true(gmem_write(&fixture.vm.memory, gpa(PAGE_2M), &large, 4));
    put(0x10000, 4, marked);
    put(TASK_B + 0x1c, 4, PAGE_2M);
    VCPU->cr0 |= CR0_PG;
    VCPU->cr4 |= CR4_PSE;
    VCPU->cr3 = 0x10000;
    struct exit exit = task_switch(TSS_B, JMP);
    assert_verdict(run(&exit), fault_code(VECTOR_TS, TSS_B));
    assert_int_equal(VCPU->segment[TR].selector, TSS_B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_call_saves_links_and_loads, set_up),
        cmocka_unit_test_setup(an_iret_goes_back_and_frees_the_task, set_up),
        cmocka_unit_test_setup(a_jump_to_a_16bit_task_frees_the_old_one, set_up),
        cmocka_unit_test_setup(a_gate_pushes_the_error_and_ends_the_delivery, set_up),
        cmocka_unit_test_setup(a_fault_in_the_switch_knows_what_it_serves, set_up),
        cmocka_unit_test_setup(an_nmi_blocks_others_until_the_task_returns, set_up),
        cmocka_unit_test_setup(a_software_interrupt_returns_behind_itself, set_up),
        cmocka_unit_test_setup(a_bad_target_changes_nothing, set_up),
        cmocka_unit_test_setup(bad_segments_fault_in_the_new_task, set_up),
        cmocka_unit_test_setup(a_task_beyond_its_code_or_with_the_trap_flag_faults, set_up),
        cmocka_unit_test_setup(a_task_in_virtual_8086_mode_needs_no_descriptors, set_up),
        cmocka_unit_test_setup(with_paging_the_new_tables_hold_at_once, set_up),
        cmocka_unit_test_setup(lost_races_are_a_fault_of_the_new_task, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
