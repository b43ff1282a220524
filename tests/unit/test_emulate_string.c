// vm/emulate/emulate_string.c: long repetitions, and those that a fault interrupts.

#include "tests/unit/emulate_run.h"

static void a_long_repetition_gives_the_cpu_back(void **state)
{
    static const struct piece {
        uint64_t from, to;
        uint32_t dirty;    // STATE_BREAKPOINTS: each element is checked anew
        unsigned elements; // of one exit, at most: each has its checks and its accesses
    } pieces[] = {
        {RAM_PAGE, RAM_PAGE + 0x800, 0, 1024},
        {RAM_PAGE, DEVICE_AT, 0, 64},
        {DEVICE_AT, RAM_PAGE, 0, 64},
        {DEVICE_AT, DEVICE_AT + 0x1000, 0, 32},
        {RAM_PAGE, RAM_PAGE + 0x800, STATE_BREAKPOINTS, 32},
        {DEVICE_AT, DEVICE_AT + 0x1000, STATE_BREAKPOINTS, 16},
    };
    for (const struct piece *piece = pieces; piece < pieces + ARRAY_LENGTH(pieces); piece++) {
        struct exit exit = {.tsc = 1234};
        long_mode();
        memcpy(guest.ram + CODE, "\xf3\xa4", 2); // rep movsb
        guest.vcpu.gpr[RCX] = 2000;
        guest.vcpu.gpr[RSI] = piece->from;
        guest.vcpu.gpr[RDI] = piece->to;
        uint64_t left = 2000;
        verdict_t verdict;
        do {
            guest.vcpu.dirty = piece->dirty;
            verdict = emulate(&guest.vcpu, &exit);
            uint64_t done = left - guest.vcpu.gpr[RCX];
            assert_in_range(done, left < 8 ? left : 8, piece->elements);
            left -= done;
            assert_int_equal(guest.vcpu.gpr[RSI], piece->from + 2000 - left);
            assert_int_equal(guest.vcpu.gpr[RDI], piece->to + 2000 - left);
            assert_int_equal(guest.vcpu.rip, CODE);
        } while (verdict.kind == VERDICT_AGAIN);
        expect_done(verdict, 2);
        assert_int_equal(left, 0);
    }
    assert_done("\xf3\xa4"); // nothing left to do
    assert_int_equal(guest.accesses, 0);
}

static void what_costs_a_device_much_is_done_once_an_exit(void **state)
{
    struct exit exit = {.tsc = 1234};
    long_mode();
    memcpy(guest.ram + CODE, "\xf3\xaa", 2); // rep stosb
    guest.vcpu.gpr[RCX] = 10;
    guest.vcpu.gpr[RDI] = DEVICE_AT;
    guest.exerts = true;
    assert_int_equal(emulate(&guest.vcpu, &exit).kind, VERDICT_AGAIN);
    guest.exerts = false;
    assert_int_equal(guest.vcpu.gpr[RCX], 9);
    assert_int_equal(guest.accesses, 1);
    expect_done(emulate(&guest.vcpu, &exit), 2);
    assert_int_equal(guest.vcpu.gpr[RCX], 0);
}

static void a_repetition_stops_at_the_fault_and_can_go_on(void **state)
{
    long_mode();
    guest_map(DEVICE_AT + 0x2000, 0, 0);
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x1ff0;
    guest.vcpu.gpr[RCX] = 10;
    memset(guest.ram + RAM_PAGE + 0x10, 0x77, 40);
    verdict_t verdict = RUN("\xf3\xa5"); // rep movsd
    assert_fault(verdict, VECTOR_PF, true, PF_WRITE);
    assert_int_equal(guest.vcpu.gpr[RCX], 6);
    assert_int_equal(guest.vcpu.gpr[RDI], DEVICE_AT + 0x2000);
    assert_int_equal(guest.vcpu.gpr[RSI], RAM_PAGE + 0x20);
    assert_int_equal(guest.vcpu.cr2, DEVICE_AT + 0x2000);
    guest_map(DEVICE_AT + 0x2000, RAM_PAGE + 0x1000, RW);
    assert_done("\xf3\xa5");
    assert_int_equal(guest.ram[RAM_PAGE + 0x1000 + 23], 0x77);
    assert_int_equal(guest.vcpu.gpr[RCX], 0);
}

static void a_comparison_that_faults_keeps_its_flags(void **state)
{
    long_mode();
    guest_map(DEVICE_AT + 0x2000, 0, 0);
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x1ffe;
    guest.vcpu.gpr[RCX] = 10;
    guest.vcpu.gpr[RAX] = 0;
    assert_false(guest.vcpu.rflags & RFLAGS_ZF);
    assert_int_equal(RUN("\xf3\xae").kind, VERDICT_FAULT); // repe scasb
    assert_int_equal(guest.vcpu.gpr[RCX], 8);
    assert_false(guest.vcpu.rflags & RFLAGS_ZF);
}

static void a_repetition_ends_at_the_segment_limit(void **state)
{
    guest_real_mode();
    guest.vcpu.rip = CODE;
    guest.vcpu.segment[ES].limit = 0x7fff;
    guest.vcpu.gpr[RDI] = 0x7ff0;
    guest.vcpu.gpr[RCX] = 0x20;
    guest.vcpu.gpr[RAX] = 0x42;
    assert_fault(RUN("\xf3\xaa"), VECTOR_GP, true, 0); // rep stosb
    assert_int_equal(guest.vcpu.gpr[RCX], 0x10);
    assert_int_equal(guest.vcpu.gpr[RDI], 0x8000);
    assert_int_equal(guest.ram[0x7fff], 0x42);
    assert_int_equal(guest.ram[0x8000], 0);
    // Downwards it wraps at the end of the address size.
    guest.vcpu.segment[ES].limit = 0xffff;
    guest.vcpu.rflags |= RFLAGS_DF;
    guest.vcpu.gpr[RDI] = 2;
    guest.vcpu.gpr[RCX] = 4;
    assert_done("\xf3\xaa");
    assert_int_equal(guest.vcpu.gpr[RDI], 0xfffe);
    assert_int_equal(guest.ram[0xffff], 0x42);
    assert_int_equal(guest.ram[0], 0x42);
}

static void a_repetition_between_pages_in_both_directions(void **state)
{
    for (unsigned downward = 0; downward < 2; downward++) {
        long_mode();
        guest_map(DEVICE_AT - 0x1000, 0x7000, RW);
        for (unsigned i = 0; i < 3000; i++)
            guest.ram[RAM_PAGE + i] = (uint8_t)(i * 7 + 1);
        // From RAM to half RAM, half device; the sources and destinations end their pages at
        // different elements.
        uint64_t from = RAM_PAGE + 0x203, to = DEVICE_AT - 0x300;
        guest.vcpu.rflags |= downward ? RFLAGS_DF : 0;
        guest.vcpu.gpr[RSI] = from + (downward ? 299 * 4 : 0);
        guest.vcpu.gpr[RDI] = to + (downward ? 299 * 4 : 0);
        guest.vcpu.gpr[RCX] = 300;
        verdict_t verdict;
        while ((verdict = RUN("\xf3\xa5")).kind == VERDICT_AGAIN) // rep movsd
            ;
        expect_done(verdict, 2);
        assert_memory_equal(guest.ram + 0x7d00, guest.ram + from, 0x300);
        assert_memory_equal(guest.device, guest.ram + from + 0x300, 300 * 4 - 0x300);
        assert_int_equal(guest.device[300 * 4 - 0x300], 0);
        assert_int_equal(guest.ram[0x7cff], 0);
        assert_int_equal(guest.vcpu.gpr[RCX], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_repetition_gives_the_cpu_back),
        cmocka_unit_test(what_costs_a_device_much_is_done_once_an_exit),
        cmocka_unit_test(a_repetition_stops_at_the_fault_and_can_go_on),
        cmocka_unit_test(a_repetition_ends_at_the_segment_limit),
        cmocka_unit_test(a_repetition_between_pages_in_both_directions),
        cmocka_unit_test(a_comparison_that_faults_keeps_its_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
