// vm/emulate/emulate_control.c: what the comparison with libunicorn (oracle.c) leaves out:
// descriptors, refusals, steps. And MMX registers.

#include "tests/unit/emulate_run.h"

#define GDT        (RAM_PAGE + 0x100)
#define DATA       UINT64_C(0x00cf92000000ffff) // DPL 0, not accessed
#define DATA_USER  UINT64_C(0x00cff2000000ffff)
#define CODE_LONG  UINT64_C(0x00af9a000000ffff)
#define CODE_32    UINT64_C(0x00cf9a000000ffff)
#define CODE_BOTH  UINT64_C(0x00ef9a000000ffff) // L and D
#define ABSENT_SEG UINT64_C(0x00cf12000000ffff)
#define TASK       UINT64_C(0x0000890000000067)

enum {
    SEL_DATA = 8,
    SEL_USER = 16,
    SEL_LONG = 24,
    SEL_32 = 32,
    SEL_BOTH = 40,
    SEL_ABSENT = 48,
    SEL_TASK = 56
};

static void fresh(void)
{
    static const uint64_t table[] = {0,       DATA,      DATA_USER,  CODE_LONG,
                                     CODE_32, CODE_BOTH, ABSENT_SEG, TASK};
    long_mode();
    memcpy(guest.ram + GDT, table, sizeof(table));
    guest.vcpu.gdtr = (struct table_register){.base = GDT, .limit = sizeof(table) - 1};
}

static void set_operand(uint64_t offset, uint16_t selector)
{
    memcpy(guest.device + 0x10, &offset, 8);
    memcpy(guest.device + 0x18, &selector, 2);
}

static uint64_t target(verdict_t verdict)
{
    assert_int_equal(verdict.kind, VERDICT_NEXT);
    return guest.vcpu.rip + verdict.detail;
}

static void branches_go_where_the_device_says(void **state)
{
    fresh();
    set_operand(0x123456, SEL_LONG);
    assert_int_equal(target(RUN("\xff\x27")), 0x123456); // jmp [rdi]
    guest.vcpu.rip = CODE;
    assert_int_equal(target(RUN("\xff\x17")), 0x123456); // call [rdi]
    assert_int_equal(*guest_word(guest.vcpu.gpr[RSP]), CODE + 2);
    guest.vcpu.rip = CODE;
    set_operand(UINT64_C(0x1111111111111111), 0);
    assert_faults("\xff\x27", VECTOR_GP, true, 0);
    assert_faults("\xff\x17", VECTOR_GP, true, 0);
    guest.vcpu.gpr[RSP] = DEVICE_AT + 0x10;
    assert_faults("\xc3", VECTOR_GP, true, 0); // ret
}

static void a_branch_past_the_segment_is_refused(void **state)
{
    guest_flat32();
    guest.vcpu.rip = CODE;
    guest.vcpu.segment[CS].limit = 0xffff;
    guest.vcpu.gpr[RSP] = 0x9000;
    *guest_word(0x9000) = 0x10000;
    assert_faults("\xc3", VECTOR_GP, true, 0);
    *guest_word(0x9000) = 0xffff;
    assert_int_equal(target(RUN("\xc3")), 0xffff);
}

static void a_stepped_branch_traps_although_steps_are_kept_for_branches(void **state)
{
    fresh();
    set_operand(0x123456, 0);
    guest.vcpu.rflags |= RFLAGS_TF;
    guest.vcpu.debugctl = DEBUGCTL_BTF;
    target(RUN("\xff\x27"));
    assert_int_equal(guest.vcpu.pending_debug, PENDING_DEBUG_BS);
}

static void a_far_jump_loads_a_code_segment(void **state)
{
    fresh();
    set_operand(0x123456, SEL_LONG);
    assert_int_equal(target(RUN("\x48\xff\x2f")), 0x123456); // rex.w ljmp [rdi]
    assert_int_equal(guest.vcpu.segment[CS].selector, SEL_LONG);
    assert_int_equal(guest.vcpu.segment[CS].access, 0xa09b);
    assert_int_equal(guest.ram[GDT + SEL_LONG + 5], 0x9b); // accessed
    assert_true(guest.vcpu.dirty & STATE_SEGMENTS);

    static const struct {
        uint16_t selector;
        unsigned vector;
        uint32_t error;
    } wrong[] = {
        {0, VECTOR_GP, 0},   {SEL_DATA, VECTOR_GP, SEL_DATA},     {SEL_BOTH, VECTOR_GP, SEL_BOTH},
        {64, VECTOR_GP, 64}, {SEL_LONG | 3, VECTOR_GP, SEL_LONG},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        fresh();
        set_operand(0x123456, wrong[i].selector);
        assert_faults("\x48\xff\x2f", wrong[i].vector, true, wrong[i].error);
    }
    fresh();
    set_operand(UINT64_C(0x8000000000000000), SEL_LONG);
    assert_faults("\x48\xff\x2f", VECTOR_GP, true, 0);
    set_operand(0x1000, SEL_TASK);
    assert_int_equal(RUN("\x48\xff\x2f").kind, VERDICT_STOP); // a task's: none of ours
}

static void a_far_jump_in_real_mode_is_arithmetic(void **state)
{
    guest_real_mode();
    guest.vcpu.rip = CODE;
    guest.vcpu.gpr[RDI] = 0x5000;
    memcpy(guest.ram + 0x5000, "\x34\x12\x00\xf0", 4);
    assert_int_equal(target(RUN("\xff\x2d")), 0x1234); // jmp far [di]
    assert_int_equal(guest.vcpu.segment[CS].base, 0xf0000);
    assert_int_equal(guest.vcpu.segment[CS].selector, 0xf000);
}

static verdict_t load(uint16_t selector, bool is_stack)
{
    memcpy(guest.device + 0x10, &selector, 2);
    return is_stack ? RUN("\x8e\x17") : RUN("\x8e\x1f"); // mov ss, [rdi]; mov ds, [rdi]
}

static void segment_registers_load_by_the_rules(void **state)
{
    fresh();
    assert_int_equal(load(SEL_USER, false).kind, VERDICT_NEXT);
    assert_int_equal(guest.vcpu.segment[DS].selector, SEL_USER);
    assert_int_equal(guest.vcpu.segment[DS].access, 0xc0f3);
    assert_int_equal(guest.ram[GDT + SEL_USER + 5], 0xf3);
    assert_int_equal(load(3, false).kind, VERDICT_NEXT); // null
    assert_true(guest.vcpu.segment[DS].access & AR_UNUSABLE);

    verdict_t verdict = load(SEL_DATA, true);
    assert_int_equal(verdict.kind, VERDICT_NEXT);
    assert_int_equal(verdict.value, 1); // holds back what comes next
    assert_int_equal(load(0, true).kind, VERDICT_NEXT);
    expect_fault(load(3, true), VECTOR_GP, true, 0);
    expect_fault(load(SEL_USER, true), VECTOR_GP, true, SEL_USER);
    expect_fault(load(SEL_DATA | 3, true), VECTOR_GP, true, SEL_DATA);
    expect_fault(load(SEL_LONG, true), VECTOR_GP, true, SEL_LONG);
    expect_fault(load(SEL_ABSENT, true), VECTOR_SS, true, SEL_ABSENT);
    expect_fault(load(SEL_ABSENT, false), VECTOR_NP, true, SEL_ABSENT);
    expect_fault(load(64, false), VECTOR_GP, true, 64);
    guest.vcpu.cpl = 3;
    expect_fault(load(SEL_DATA, false), VECTOR_GP, true, SEL_DATA);
    expect_fault(load(3, true), VECTOR_GP, true, 0);
    guest.vcpu.cpl = 0;
    assert_faults("\x8e\x0f", VECTOR_UD, false, 0); // CS
}

static void what_frames_need_is_left_to_others(void **state)
{
    fresh();
    assert_int_equal(RUN("\xc8\x00\x00\x02").kind, VERDICT_STOP); // enter 0, 2
    guest.vcpu.cpl = 3;
    assert_faults("\xc8\x00\x00\x02", VECTOR_UD, false, 0);
}

// ---- MMX ----

static void mmx_moves_enter_mmx_mode(void **state)
{
    fresh();
    uint16_t status = 6 << 11; // TOP
    memset(guest.fpu, 0, sizeof(guest.fpu));
    guest.fpu[512] = 1;
    memcpy(guest.fpu + 2, &status, 2);
    for (unsigned i = 0; i < 8; i++)
        guest.fpu[32 + i * 16] = (uint8_t)(0x10 + i); // ST(i)
    memcpy(guest.device + 0x10, "\1\2\3\4\5\6\7\x8", 8);
    assert_done("\x0f\x6f\x1f"); // movq mm3, [rdi]
    assert_true(guest.vcpu.dirty & STATE_FPU);
    assert_memory_equal(guest.fpu + 32 + 3 * 16, "\1\2\3\4\5\6\7\x8\xff\xff", 10);
    memcpy(&status, guest.fpu + 2, 2);
    assert_int_equal(status, 0);
    assert_int_equal(guest.fpu[4], 0xff);
    assert_int_equal(guest.fpu[32 + 6 * 16], 0x10); // R6 was ST(0)
    assert_int_equal(guest.fpu[32], 0x12);          // R0 was ST(2)
    assert_done("\x0f\x7f\x37");                    // movq [rdi], mm6
    assert_int_equal(guest.device[0x10], 0x10);
    assert_done("\x0f\x6e\x07"); // movd mm0, [rdi]
    assert_memory_equal(guest.fpu + 32, "\x10\0\0\0\0\0\0\0\xff\xff", 10);
}

static void mmx_moves_are_refused_by_the_rules(void **state)
{
    fresh();
    guest.fpu[512] = 1;
    guest.fpu[2] = 0x80; // an exception waits
    assert_faults("\x0f\x7f\x07", VECTOR_MF, false, 0);
    guest.vcpu.cr0 |= CR0_TS;
    assert_faults("\x0f\x7f\x07", VECTOR_NM, false, 0);
    guest.vcpu.cr0 |= CR0_EM;
    assert_faults("\x0f\x7f\x07", VECTOR_UD, false, 0);
    assert_faults("\xc5\xf8\x7f\x07", VECTOR_UD, false, 0); // with VEX
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_go_where_the_device_says),
        cmocka_unit_test(a_branch_past_the_segment_is_refused),
        cmocka_unit_test(a_stepped_branch_traps_although_steps_are_kept_for_branches),
        cmocka_unit_test(a_far_jump_loads_a_code_segment),
        cmocka_unit_test(a_far_jump_in_real_mode_is_arithmetic),
        cmocka_unit_test(segment_registers_load_by_the_rules),
        cmocka_unit_test(what_frames_need_is_left_to_others),
        cmocka_unit_test(mmx_moves_enter_mmx_mode),
        cmocka_unit_test(mmx_moves_are_refused_by_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
