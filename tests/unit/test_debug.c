// vm/cpu/debug.c: which accesses meet a breakpoint, and when emulated instructions trap.

#include "tests/unit/emulate_run.h"

#include "vm/cpu/debug.h"

#define AT         (DEVICE_AT + 0x10) // where RDI points to
#define KIND_WRITE 1U
#define KIND_PORT  2U
#define KIND_BOTH  3U
#define LENGTH_1   0U
#define LENGTH_2   1U
#define LENGTH_8   2U
#define LENGTH_4   3U
#define HIT(i)     (BIT(i) | PENDING_DEBUG_BREAKPOINT)

static void set_breakpoint(unsigned i, uint64_t at, unsigned kind, unsigned length)
{
    guest.vcpu.dr[i] = at;
    guest.vcpu.dr7 |= BIT(2 * i) | (uint64_t)(kind | length << 2) << (16 + 4 * i);
}

static uint64_t data(uint64_t at, unsigned size, bool write)
{
    return debug_data(&guest.vcpu, gva(at), size, write);
}

static void fresh(void)
{
    long_mode();
    guest.vcpu.dr7 = 0x400;
}

// emulate_run.h's run() clears what is dirty.
#define RUN_WATCHED(bytes)                                                                         \
    (memcpy(guest.ram + CODE, bytes, sizeof(bytes) - 1), guest.vcpu.dirty = STATE_BREAKPOINTS,     \
     guest.vcpu.fetched = STATE_ALL, emulate(&guest.vcpu, &(struct exit){.tsc = 1234}))

static void an_access_meets_a_breakpoint_that_it_overlaps(void **state)
{
    fresh();
    guest.vcpu.dirty = STATE_BREAKPOINTS;
    set_breakpoint(1, 0x1006, KIND_WRITE, LENGTH_4); // 1004 to 1007: low bits do not count
    assert_int_equal(data(0x1007, 1, true), HIT(1));
    assert_int_equal(data(0x1000, 8, true), HIT(1));
    assert_int_equal(data(0x1004, 4, true), HIT(1));
    assert_int_equal(data(0x1008, 8, true), 0);
    assert_int_equal(data(0x1000, 4, true), 0);
    assert_int_equal(data(0x1004, 4, false), 0); // a read
    set_breakpoint(3, 0x100f, KIND_BOTH, LENGTH_8);
    set_breakpoint(0, 0x100e, KIND_BOTH, LENGTH_2);
    assert_int_equal(data(0x100c, 2, false), HIT(3));
    assert_int_equal(data(0x100d, 2, false), HIT(3) | HIT(0));
    assert_int_equal(data(0x1007, 2, true), HIT(3) | HIT(1));
    set_breakpoint(2, UINT64_MAX, KIND_BOTH, LENGTH_1);
    assert_int_equal(data(UINT64_MAX - 1, 2, false), HIT(2));
    assert_int_equal(data(0, 1, false), 0);
    assert_int_equal(debug_port(&guest.vcpu, 0x1004, 4), 0);
    guest.vcpu.dr7 &= ~BIT(2); // L1
    assert_int_equal(data(0x1004, 4, true), 0);
    guest.vcpu.dr7 |= BIT(3); // G1
    assert_int_equal(data(0x1004, 4, true), HIT(1));
    guest.vcpu.dirty = 0; // known to have none
    assert_int_equal(data(0x1004, 4, true), 0);
}

static void ports_are_watched_with_debug_extensions_only(void **state)
{
    fresh();
    guest.vcpu.dirty = STATE_BREAKPOINTS;
    set_breakpoint(2, 0x3f8, KIND_PORT, LENGTH_2);
    assert_int_equal(debug_port(&guest.vcpu, 0x3f9, 1), 0);
    guest.vcpu.cr4 |= CR4_DE;
    assert_int_equal(debug_port(&guest.vcpu, 0x3f9, 1), HIT(2));
    assert_int_equal(debug_port(&guest.vcpu, 0x3f6, 4), HIT(2));
    assert_int_equal(debug_port(&guest.vcpu, 0x3fa, 1), 0);
    assert_int_equal(data(0x3f8, 2, true), 0);
}

static void an_emulated_access_traps_behind_its_instruction(void **state)
{
    fresh();
    set_breakpoint(0, AT, KIND_WRITE, LENGTH_4);
    set_breakpoint(1, RAM_PAGE + 0x10, KIND_BOTH, LENGTH_1);
    expect_done(RUN_WATCHED("\x89\x07"), 2); // mov [rdi], eax
    assert_int_equal(guest.vcpu.pending_debug, HIT(0));
    assert_true(guest.vcpu.dirty & STATE_DEBUG);
    assert_true(guest.vcpu.interruptibility & BLOCKING_BY_TRAP);
    guest.vcpu.interruptibility = 0;
    guest.vcpu.pending_debug = 0;
    expect_done(RUN_WATCHED("\x8b\x07"), 2); // mov eax, [rdi]: a read
    assert_int_equal(guest.vcpu.pending_debug, 0);
    assert_false(guest.vcpu.interruptibility & BLOCKING_BY_TRAP);
    expect_done(RUN_WATCHED("\xa5"), 1); // movsd: both operands, of which one is RAM
    assert_int_equal(guest.vcpu.pending_debug, HIT(0) | HIT(1));
}

static void a_fault_leaves_no_trap(void **state)
{
    fresh();
    set_breakpoint(0, RAM_PAGE + 0x10, KIND_BOTH, LENGTH_1);
    guest.vcpu.gpr[RDI] = ABSENT;
    assert_fault(RUN_WATCHED("\xa4"), VECTOR_PF, true, PF_WRITE); // movsb
    assert_int_equal(guest.vcpu.pending_debug, 0);
    assert_false(guest.vcpu.dirty & STATE_DEBUG);
}

static void a_guest_with_breakpoints_needs_its_debug_registers(void **state)
{
    fresh();
    guest.vcpu.dirty = STATE_BREAKPOINTS;
    guest.vcpu.fetched = STATE_ALL & ~(uint32_t)(STATE_DEBUG | STATE_DR);
    verdict_t verdict = emulate(&guest.vcpu, &(struct exit){.tsc = 1234});
    assert_int_equal(verdict.kind, VERDICT_NEED);
    assert_int_equal(verdict.value, STATE_DEBUG | STATE_DR);
}

static void a_repetition_traps_after_the_iteration(void **state)
{
    fresh();
    set_breakpoint(3, AT + 8, KIND_WRITE, LENGTH_4);
    guest.vcpu.gpr[RCX] = 5;
    assert_int_equal(RUN_WATCHED("\xf3\xab").kind, VERDICT_AGAIN); // rep stosd
    assert_int_equal(guest.vcpu.gpr[RCX], 2);
    assert_int_equal(guest.vcpu.pending_debug, HIT(3));
    assert_true(guest.vcpu.rflags & RFLAGS_RF);
    guest.vcpu.pending_debug = 0;
    expect_done(RUN_WATCHED("\xf3\xab"), 2);
    assert_int_equal(guest.vcpu.pending_debug, 0);
    guest.vcpu.gpr[RDI] = AT;
    guest.vcpu.gpr[RCX] = 3;
    expect_done(RUN_WATCHED("\xf3\xab"), 2); // the last iteration ends the instruction
    assert_int_equal(guest.vcpu.pending_debug, HIT(3));
}

static void a_stepped_repetition_traps_after_each_iteration(void **state)
{
    fresh();
    guest.vcpu.rflags |= RFLAGS_TF;
    guest.vcpu.gpr[RCX] = 3;
    assert_int_equal(RUN("\xf3\xab").kind, VERDICT_AGAIN);
    assert_int_equal(guest.vcpu.gpr[RCX], 2);
    assert_int_equal(guest.vcpu.pending_debug, PENDING_DEBUG_BS);
    guest.vcpu.pending_debug = 0;
    guest.vcpu.debugctl = DEBUGCTL_BTF; // no branch
    assert_int_equal(RUN("\xf3\xab").kind, VERDICT_AGAIN);
    assert_int_equal(guest.vcpu.gpr[RCX], 1);
    assert_int_equal(guest.vcpu.pending_debug, 0);
    expect_done(RUN("\xf3\xab"), 2);
}

static void a_step_is_kept_for_branches(void **state)
{
    fresh();
    debug_step(&guest.vcpu, true);
    assert_int_equal(guest.vcpu.pending_debug, 0);
    guest.vcpu.rflags |= RFLAGS_TF;
    guest.vcpu.debugctl = DEBUGCTL_BTF;
    debug_step(&guest.vcpu, false);
    assert_int_equal(guest.vcpu.pending_debug, 0);
    debug_step(&guest.vcpu, true);
    assert_int_equal(guest.vcpu.pending_debug, PENDING_DEBUG_BS);
    guest.vcpu.pending_debug = guest.vcpu.debugctl = 0;
    debug_step(&guest.vcpu, false);
    assert_int_equal(guest.vcpu.pending_debug, PENDING_DEBUG_BS);
    assert_true(guest.vcpu.dirty & STATE_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_access_meets_a_breakpoint_that_it_overlaps),
        cmocka_unit_test(ports_are_watched_with_debug_extensions_only),
        cmocka_unit_test(an_emulated_access_traps_behind_its_instruction),
        cmocka_unit_test(a_fault_leaves_no_trap),
        cmocka_unit_test(a_guest_with_breakpoints_needs_its_debug_registers),
        cmocka_unit_test(a_repetition_traps_after_the_iteration),
        cmocka_unit_test(a_stepped_repetition_traps_after_each_iteration),
        cmocka_unit_test(a_step_is_kept_for_branches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
