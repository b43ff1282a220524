// vm/emulate_string.c: long repetitions, and those that a fault interrupts.

#include "tests/unit/emulate_run.h"

static void a_long_repetition_gives_the_cpu_back(void **state)
{
    (void)state;
    long_mode();
    guest.vcpu.gpr[RCX] = 1500;
    guest.vcpu.gpr[RAX] = 0x5a5a5a5a;
    verdict_t verdict = RUN("\xf3\xab"); // rep stosd
    assert_int_equal(verdict.kind, VERDICT_AGAIN);
    assert_int_equal(guest.vcpu.gpr[RCX], 1500 - 1024);
    assert_int_equal(guest.vcpu.gpr[RDI], DEVICE_AT + 0x10 + 4096);
    assert_int_equal(guest.vcpu.rip, CODE);
    assert_done("\xf3\xab");
    assert_int_equal(guest.vcpu.gpr[RCX], 0);
    assert_int_equal(guest.device[0x10 + 1500 * 4 - 1], 0x5a);
    assert_int_equal(guest.device[0x10 + 1500 * 4], 0);
    assert_done("\xf3\xab"); // nothing left to do
    assert_int_equal(guest.accesses, 0);
}

static void a_repetition_stops_at_the_fault_and_can_go_on(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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
        assert_done("\xf3\xa5"); // rep movsd
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
        cmocka_unit_test(a_repetition_stops_at_the_fault_and_can_go_on),
        cmocka_unit_test(a_repetition_ends_at_the_segment_limit),
        cmocka_unit_test(a_repetition_between_pages_in_both_directions),
        cmocka_unit_test(a_comparison_that_faults_keeps_its_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
