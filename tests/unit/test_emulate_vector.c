// vm/emulate/emulate_vector.c: alignment, components of the XSAVE image, VEX, the switches in CR0,
// CR4 and XCR0.

#include "tests/unit/emulate_run.h"

static void *xmm(unsigned number)
{
    return guest.fpu + 160 + number * 16;
}

static void *ymm_high(unsigned number)
{
    return guest.fpu + 576 + number * 16;
}

static void set_components(uint64_t components)
{
    memcpy(guest.fpu + 512, &components, 8);
}

static void aligned_moves_demand_alignment(void **state)
{
    long_mode();
    assert_done("\x0f\x28\x07"); // movaps xmm0, [rdi]
    guest.vcpu.gpr[RDI] += 8;
    assert_faults("\x0f\x28\x07", VECTOR_GP, true, 0);
    assert_int_equal(guest.accesses, 0);
    assert_faults("\x66\x0f\xe7\x07", VECTOR_GP, true, 0);     // movntdq
    assert_faults("\xf0\x48\x0f\xc7\x0f", VECTOR_GP, true, 0); // cmpxchg16b
    assert_done("\xf0\x0f\xc7\x0f");                           // cmpxchg8b
    assert_done("\x0f\x10\x07");                               // movups
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x10;
    assert_faults("\xc5\xfc\x28\x07", VECTOR_GP, true, 0); // vmovaps ymm0: 32 bytes
}

static void vector_state_is_asked_for_and_marked(void **state)
{
    long_mode();
    guest.vcpu.fetched = STATE_ALL & ~STATE_FPU;
    verdict_t verdict = RUN("\x0f\x11\x07");
    assert_int_equal(verdict.kind, VERDICT_NEED);
    assert_int_equal(verdict.value, STATE_FPU);
    assert_nothing_changed();
    guest.vcpu.fetched = STATE_ALL;
    set_components(2);
    memset(xmm(3), 0x33, 16);
    assert_done("\x0f\x11\x1f"); // movups [rdi], xmm3
    assert_int_equal(guest.vcpu.dirty, 0);
    assert_int_equal(device_word(0x1c), 0x33333333);
    assert_int_equal(guest.accesses, 2);
    assert_done("\xf3\x0f\x10\x17"); // movss xmm2, [rdi]
    assert_int_equal(guest.vcpu.dirty, STATE_FPU);
    const uint8_t expected[16] = {0x33, 0x33, 0x33, 0x33};
    assert_memory_equal(xmm(2), expected, 16);
}

static void an_initial_component_is_zero(void **state)
{
    long_mode();
    memset(guest.device, 0xee, 64);
    memset(xmm(0), 0x99, 256); // stale bytes
    assert_done("\x0f\x11\x1f");
    assert_int_equal(device_word(0x10), 0);
    assert_done("\xf2\x0f\x10\x17"); // movsd xmm2, [rdi]
    assert_int_equal(guest.fpu[512], 2);
    const uint8_t zero[16] = {0};
    assert_memory_equal(xmm(3), zero, 16);
}

static void vex_moves_clear_the_register_above(void **state)
{
    long_mode();
    guest.vm.cpuid.leaves = (struct cpuid_leaves){1, {{0xd, 6, 512, 1152, 0, 0}}};
    set_components(2 | 4 | 64);
    memset(ymm_high(2), 0x44, 16);
    memset(guest.fpu + 1152 + 2 * 32, 0x55, 32);
    memset(guest.device, 0x66, 64);
    const uint8_t zero[32] = {0};
    assert_done("\x0f\x10\x17"); // movups: the upper half stays
    assert_int_equal(*(uint8_t *)ymm_high(2), 0x44);
    assert_done("\xc5\xfc\x10\x17"); // vmovups ymm2, [rdi]
    assert_int_equal(guest.accesses, 4);
    assert_memory_equal(ymm_high(2), guest.device, 16);
    assert_memory_equal(guest.fpu + 1152 + 2 * 32, zero, 32);
    assert_done("\xc5\xf8\x10\x17"); // vmovups xmm2, [rdi]
    assert_memory_equal(ymm_high(2), zero, 16);
    memset(ymm_high(9), 0x77, 16);
}

static void vex_stores_write_both_halves(void **state)
{
    long_mode();
    set_components(2 | 4);
    memset(xmm(9), 0x11, 16);
    memset(ymm_high(9), 0x77, 16);
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x20;
    assert_done("\xc5\x7d\x7f\x0f"); // vmovdqa [rdi], ymm9
    assert_memory_equal(guest.device + 0x20, xmm(9), 16);
    assert_memory_equal(guest.device + 0x30, ymm_high(9), 16);
    // vmovhps xmm2, xmm9, [rdi]: low half from xmm9
    assert_done("\xc5\xb0\x16\x17");
    assert_memory_equal(xmm(2), xmm(9), 8);
    assert_memory_equal((uint8_t *)xmm(2) + 8, guest.device + 0x20, 8);
}

static void vectors_obey_their_switches(void **state)
{
    long_mode();
    guest.vcpu.cr0 |= CR0_TS;
    assert_faults("\x0f\x11\x07", VECTOR_NM, false, 0);
    assert_faults("\xc5\xfc\x10\x17", VECTOR_NM, false, 0);
    guest.vcpu.cr0 ^= CR0_TS | CR0_EM;
    assert_faults("\x0f\x11\x07", VECTOR_UD, false, 0);
    guest.vcpu.cr0 &= ~CR0_EM;
    guest.vcpu.xcr0 = 3;
    assert_faults("\xc5\xfc\x10\x17", VECTOR_UD, false, 0);
    guest.vcpu.cr4 &= ~CR4_OSFXSR;
    assert_faults("\x0f\x11\x07", VECTOR_UD, false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_moves_demand_alignment),
        cmocka_unit_test(vector_state_is_asked_for_and_marked),
        cmocka_unit_test(an_initial_component_is_zero),
        cmocka_unit_test(vex_moves_clear_the_register_above),
        cmocka_unit_test(vex_stores_write_both_halves),
        cmocka_unit_test(vectors_obey_their_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
