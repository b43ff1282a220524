// exits/task.c, task_segments.c, descriptor.c, cache.c and rdtsc.c: task switches of all kinds
// between 32-bit and 16-bit tasks, and the instructions that exit only when they are made to.

#include "tests/unit/exit_support.h"

#include "vm/descriptor.h"

#define GDT    0x1000
#define TASK_A 0x2000 // the running one
#define TASK_B 0x3000 // 32-bit
#define TASK_C 0x4000 // 16-bit
#define STACK  0x8000

// Selectors.
#define CODE0 0x08
#define DATA0 0x10
#define CODE3 0x1b
#define DATA3 0x23
#define TSS_A 0x28
#define TSS_B 0x30
#define TSS_C 0x38
#define LDT   0x40
#define GONE  0x48 // not present

static void put(uint64_t at, unsigned size, uint64_t value)
{
    memcpy(&machine.ram[at], &value, size);
}

static uint64_t get(uint64_t at, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, &machine.ram[at], size);
    return value;
}

static void set_descriptor(uint16_t selector, uint32_t base, uint32_t limit, uint32_t access)
{
    uint64_t low = (limit & 0xffff) | (uint64_t)(limit & 0xf0000) << 32 |
                   (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56 |
                   (uint64_t)access << 40;
    put(GDT + (selector & SELECTOR_INDEX), 8, low);
}

static uint8_t type_of(uint16_t selector)
{
    return machine.ram[GDT + (selector & SELECTOR_INDEX) + 5];
}

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
    (void)state;
    machine_protected_mode();
    VCPU->gdtr = (struct table_register){.base = GDT, .limit = 0x4f};
    set_descriptor(CODE0, 0, 0xfffff, 0xc09a);
    set_descriptor(DATA0, 0, 0xfffff, 0xc092);
    set_descriptor(CODE3, 0, 0xfffff, 0xc0fa);
    set_descriptor(DATA3, 0, 0xfffff, 0xc0f2);
    set_descriptor(TSS_A, TASK_A, 0x67, 0x8b);
    set_descriptor(TSS_B, TASK_B, 0x67, 0x89);
    set_descriptor(TSS_C, TASK_C, 0x2b, 0x81);
    set_descriptor(LDT, 0x5000, 0x3f, 0x82);
    set_descriptor(GONE, 0, 0xfffff, 0x4012);
    VCPU->segment[TR] =
        (struct segment){.selector = TSS_A, .base = TASK_A, .limit = 0x67, .access = 0x8b};
    VCPU->segment[CS].selector = CODE0;
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
    FIELD(gpr), FIELD(rip), FIELD(rflags), FIELD(segment), FIELD(cr0), FIELD(cr3), FIELD(dr7),     \
        FIELD(dr6), FIELD(cpl), FIELD(interruptibility), FIELD(pending_debug), FIELD(events),      \
        FIELD(pdpte)

static verdict_t run(const struct exit *exit)
{
    return exit_run(exit, ALL_CHANGED);
}

static void a_call_saves_links_and_loads(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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

static void a_software_interrupt_returns_behind_itself(void **state)
{
    (void)state;
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
    (void)state;
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
        memcpy(before, machine.ram, sizeof(before));
        struct exit exit = task_switch(rows[i].selector, rows[i].source);
        assert_verdict(exit_run(&exit),
                       fault_code(rows[i].vector, SELECTOR_ERROR(rows[i].selector)));
        assert_memory_equal(before, machine.ram, sizeof(before));
    }
    set_descriptor(TSS_B, TASK_B, 0x66, 0x89);
    struct exit exit = task_switch(TSS_B, CALL);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_TS, TSS_B));
    set_descriptor(TSS_B, TASK_B, 0x67, 0x09);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_NP, TSS_B));
}

static void bad_segments_fault_in_the_new_task(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
    put(TASK_B + 0x24, 4, 0x20202);
    put(TASK_B + 0x4c, 2, 0x1234);
    put(TASK_B + 0x60, 2, 0);
    struct exit exit = task_switch(TSS_B, JMP);
    assert_verdict(run(&exit), again());
    assert_int_equal(VCPU->segment[CS].base, 0x12340);
    assert_int_equal(VCPU->segment[CS].access, 0xf3);
    assert_int_equal(VCPU->cpl, 3);
}

// ---- descriptor tables and task registers ----

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
    (void)state;
    VCPU->idtr = (struct table_register){.base = 0xff123456, .limit = 0x7ff};
    struct exit exit = table_access(EXIT_GDTR_IDTR, MEMORY(1), AT(0x9000));
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(get(0x9000, 6), UINT64_C(0xff12345607ff));

    exit = table_access(EXIT_GDTR_IDTR, MEMORY(2) | OPERAND_32, AT(0x9000));
    assert_verdict(exit_run(&exit, FIELD(gdtr)), next());
    assert_int_equal(VCPU->gdtr.base, 0xff123456);
    assert_int_equal(VCPU->gdtr.limit, 0x7ff);
    assert_int_equal(exit_dirty, STATE_SEGMENTS);

    exit = table_access(EXIT_GDTR_IDTR, MEMORY(3), AT(0x9000)); // 16-bit operand: 24 bits of base
    assert_verdict(exit_run(&exit, FIELD(idtr)), next());
    assert_int_equal(VCPU->idtr.base, 0x123456);

    VCPU->cpl = 3;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit = table_access(EXIT_GDTR_IDTR, MEMORY(0), AT(0x9000));
    VCPU->cr4 = CR4_UMIP;
    assert_verdict(exit_run(&exit), fault_gp(0));
}

static void ltr_takes_an_available_tss_and_makes_it_busy(void **state)
{
    (void)state;
    struct exit exit = table_access(EXIT_LDTR_TR, REGISTER(3, RBX), 0);
    VCPU->gpr[RBX] = TSS_B;
    assert_verdict(exit_run(&exit, FIELD(segment)), next());
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
    (void)state;
    struct exit exit = table_access(EXIT_LDTR_TR, MEMORY(2), AT(0x9000));
    put(0x9000, 2, LDT);
    assert_verdict(exit_run(&exit, FIELD(segment)), next());
    assert_int_equal(VCPU->segment[LDTR].base, 0x5000);
    put(0x9000, 2, TSS_B);
    assert_verdict(exit_run(&exit), fault_gp(TSS_B));
    put(0x9000, 2, 3);
    assert_verdict(exit_run(&exit, FIELD(segment)), next());
    assert_int_equal(VCPU->segment[LDTR].access & AR_UNUSABLE, AR_UNUSABLE);
    set_descriptor(LDT, 0x5000, 0x3f, 0x02);
    put(0x9000, 2, LDT);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_NP, LDT));
}

static void selectors_are_stored_by_operand_size(void **state)
{
    (void)state;
    struct exit exit = table_access(EXIT_LDTR_TR, REGISTER(1, RBX), 0);
    VCPU->gpr[RBX] = UINT64_C(0xaaaaaaaaaaaaaaaa);
    VCPU->rip = 0xa000;
    memcpy(&machine.ram[0xa000], "\x66\x0f\x00\xcb", 4); // str bx
    assert_verdict(exit_run(&exit, FIELD(gpr[RBX])), next());
    assert_int_equal(VCPU->gpr[RBX], UINT64_C(0xaaaaaaaaaaaa0000) | TSS_A);
    memcpy(&machine.ram[0xa000], "\x0f\x00\xcb", 3); // str ebx
    assert_verdict(exit_run(&exit, FIELD(gpr[RBX])), next());
    assert_int_equal(VCPU->gpr[RBX], TSS_A);
    exit = table_access(EXIT_LDTR_TR, MEMORY(0), AT(0x9000));
    VCPU->segment[LDTR].selector = 0x40;
    put(0x9000, 4, UINT32_MAX);
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(get(0x9000, 4), 0xffff0040);
}

static void invpcid_checks_its_descriptor(void **state)
{
    (void)state;
    static const struct {
        uint64_t type, pcid, address;
        bool is_taken;
    } rows[] = {{0, 0, 0x1000, true},     {1, 0, BIT(63), true}, {2, 5, 0, true},
                {3, UINT64_MAX, 0, true}, {4, 0, 0, false},      {0, 1, 0, false},
                {0, BIT(12), 0, false},   {0, 0, BIT(63), false}};
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
    (void)state;
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
    (void)state;
    VCPU->tsc_offset = UINT64_C(0x500000000) - 1000;
    VCPU->live.tsc_aux = 7;
    struct exit exit = {.reason = EXIT_RDTSC, .tsc = 1100};
    assert_verdict(exit_run(&exit, FIELD(gpr[RAX]), FIELD(gpr[RDX])), next());
    assert_int_equal(VCPU->gpr[RAX], 100);
    assert_int_equal(VCPU->gpr[RDX], 5);
    exit.reason = EXIT_RDTSCP;
    assert_verdict(exit_run(&exit, FIELD(gpr[RAX]), FIELD(gpr[RDX]), FIELD(gpr[RCX])), next());
    assert_int_equal(VCPU->gpr[RCX], 7);
    VCPU->cr4 |= CR4_TSD;
    VCPU->cpl = 3;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit.reason = EXIT_RDTSC;
    assert_verdict(exit_run(&exit), fault_gp(0));
    exit.reason = EXIT_RDPMC;
    assert_verdict(exit_run(&exit), fault_gp(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_call_saves_links_and_loads, set_up),
        cmocka_unit_test_setup(an_iret_goes_back_and_frees_the_task, set_up),
        cmocka_unit_test_setup(a_jump_to_a_16bit_task_frees_the_old_one, set_up),
        cmocka_unit_test_setup(a_gate_pushes_the_error_and_ends_the_delivery, set_up),
        cmocka_unit_test_setup(a_software_interrupt_returns_behind_itself, set_up),
        cmocka_unit_test_setup(a_bad_target_changes_nothing, set_up),
        cmocka_unit_test_setup(bad_segments_fault_in_the_new_task, set_up),
        cmocka_unit_test_setup(a_task_beyond_its_code_or_with_the_trap_flag_faults, set_up),
        cmocka_unit_test_setup(a_task_in_virtual_8086_mode_needs_no_descriptors, set_up),
        cmocka_unit_test_setup(tables_are_stored_and_loaded, set_up),
        cmocka_unit_test_setup(ltr_takes_an_available_tss_and_makes_it_busy, set_up),
        cmocka_unit_test_setup(lldt_takes_a_table_or_nothing, set_up),
        cmocka_unit_test_setup(selectors_are_stored_by_operand_size, set_up),
        cmocka_unit_test_setup(invpcid_checks_its_descriptor, set_up),
        cmocka_unit_test_setup(caches_need_no_flush_but_translations_do, set_up),
        cmocka_unit_test_setup(the_tsc_is_read_with_its_offset, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
