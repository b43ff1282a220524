// vm/emulate/emulate.c and its families where libunicorn cannot judge: faults that change nothing,
// locked accesses, long repetitions, alignment, AVX, segment limits, what is unknown. The
// arithmetic itself: test_oracle_*.c.

#include "tests/unit/emulate_run.h"

static void moves_reach_the_device_in_one_access(void **state)
{
    long_mode();
    guest.vcpu.gpr[RAX] = UINT64_C(0x1122334455667788);
    assert_done("\x89\x07"); // mov [rdi], eax
    assert_int_equal(guest.accesses, 1);
    assert_int_equal(guest.log[0].size, 4);
    assert_int_equal(device_word(0x10), 0x55667788);
    assert_int_equal(guest.vcpu.dirty, 0);
    assert_done("\x8b\x1f"); // mov ebx, [rdi]
    assert_int_equal(guest.vcpu.gpr[RBX], 0x55667788);
    assert_done("\x48\x89\x07"); // mov [rdi], rax
    assert_int_equal(guest.log[0].size, 8);
    assert_done("\x8b\x27"); // mov esp, [rdi]
    assert_int_equal(guest.vcpu.gpr[RSP], 0x55667788);
    assert_int_equal(guest.vcpu.dirty, STATE_STACK);
    assert_done("\x38\x07"); // cmp [rdi], al
    assert_int_equal(guest.vcpu.dirty, STATE_FLOW);
    assert_true(guest.vcpu.rflags & RFLAGS_ZF);
    // movabs eax, [0x8010]
    assert_done("\xa1\x10\x80\x00\x00\x00\x00\x00\x00");
    assert_int_equal(guest.vcpu.gpr[RAX], 0x55667788);
}

static void movbe_swaps_bytes(void **state)
{
    long_mode();
    guest.vcpu.gpr[RAX] = UINT64_C(0x1122334455667788);
    assert_done("\x0f\x38\xf1\x07");
    assert_int_equal(device_word(0x10), 0x88776655);
    assert_done("\x66\x0f\x38\xf1\x07");
    assert_int_equal(device_word(0x10) & 0xffff, 0x8877);
    assert_done("\x48\x0f\x38\xf1\x07");
    assert_int_equal(guest.log[0].value, UINT64_C(0x8877665544332211));
    guest.vcpu.gpr[RAX] = 0;
    assert_done("\x48\x0f\x38\xf0\x07");
    assert_int_equal(guest.vcpu.gpr[RAX], UINT64_C(0x1122334455667788));
}

// Encodings on which the oracle errs.
static void odd_encodings_mean_what_the_manual_says(void **state)
{
    long_mode();
    assert_done("\x44\xc7\x07\x01\x02\x03\x04"); // mov dword [rdi], 0x4030201, with REX.R
    assert_int_equal(device_word(0x10), 0x04030201);
    assert_done("\x41\x66\xc7\x07\x99\x88"); // REX.B before 66: void
    assert_int_equal(device_word(0x10), 0x04038899);
    assert_done("\xf7\x0f\x00\x00\x00\x04"); // test dword [rdi], 0x4000000, as /1
    assert_false(guest.vcpu.rflags & RFLAGS_ZF);
    assert_done("\xf0\xf7\x1f"); // lock neg dword [rdi]
    assert_int_equal(device_word(0x10), -UINT32_C(0x04038899));
    assert_int_equal(guest.vcpu.rflags & (RFLAGS_SF | RFLAGS_CF | RFLAGS_ZF),
                     RFLAGS_SF | RFLAGS_CF);
    guest.vcpu.gpr[RAX] = 0xf0000000;
    // shld [rip + disp], eax, 4: relative to the end of the instruction, immediate included
    assert_done("\x0f\xa4\x05\x08\x70\x00\x00\x04");
    assert_int_equal(guest.log[0].address, DEVICE + 0x10);
    // SIB without a base stays without one under REX.B: mov eax, [r8d*1 + 0x8010] is not there; mov
    // eax, [0x8010]
    assert_done("\x67\x41\x8b\x04\x25\x10\x80\x00\x00");
    assert_int_equal(guest.log[0].address, DEVICE + 0x10);
}

static void a_failed_cmpxchg_touches_rax_only(void **state)
{
    long_mode();
    guest.vcpu.gpr[RAX] = UINT64_C(0xffffffff00000001);
    guest.vcpu.gpr[RBX] = UINT64_C(0xaaaaaaaa00000002);
    assert_done("\x0f\xb1\xcb"); // cmpxchg ebx, ecx
    assert_int_equal(guest.vcpu.gpr[RBX], UINT64_C(0xaaaaaaaa00000002));
    assert_int_equal(guest.vcpu.gpr[RAX], 2);
    guest.vcpu.gpr[RAX] = UINT64_C(0xffffffff00000000);
    guest.vcpu.gpr[RCX] = 7;
    assert_done("\xf0\x0f\xb1\x0f"); // lock cmpxchg [rdi], ecx
    assert_int_equal(guest.vcpu.gpr[RAX], UINT64_C(0xffffffff00000000));
    assert_int_equal(device_word(0x10), 7);
    assert_int_equal(guest.accesses, 2);
}

static void page_faults_change_nothing(void **state)
{
    long_mode();
    guest.vcpu.cpl = 3;
    guest.vcpu.gpr[RDI] = ABSENT;
    assert_faults("\x89\x07", VECTOR_PF, true, PF_WRITE | PF_USER);
    assert_int_equal(guest.vcpu.cr2, ABSENT);
    assert_faults("\x48\x01\x07", VECTOR_PF, true, PF_WRITE | PF_USER); // add: a write at once
    assert_faults("\x48\x03\x07", VECTOR_PF, true, PF_USER);
    assert_faults("\xa4", VECTOR_PF, true, PF_WRITE | PF_USER); // movsb: the source is not read
    assert_int_equal(guest.accesses, 0);
    // From the device into nothing: the device must not notice.
    guest.vcpu.gpr[RSI] = DEVICE_AT;
    guest.vcpu.gpr[RCX] = 3;
    assert_faults("\xf3\xa5", VECTOR_PF, true, PF_WRITE | PF_USER);
    assert_int_equal(guest.accesses, 0);
    guest.vcpu.gpr[RSP] = ABSENT + 4;
    assert_faults("\xff\x36", VECTOR_PF, true, PF_WRITE | PF_USER); // push [rsi]
    assert_int_equal(guest.vcpu.cr2, ABSENT - 4);
    assert_int_equal(guest.accesses, 0);
    guest.vcpu.gpr[RDI] = 0xaffc;
    assert_faults("\x0f\xc7\x0f", VECTOR_PF, true, PF_PRESENT | PF_WRITE | PF_USER); // cmpxchg8b
    // Across the border of a mapped and an absent page.
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x1ffe;
    guest_map(DEVICE_AT + 0x2000, 0, 0);
    assert_faults("\x89\x07", VECTOR_PF, true, PF_WRITE | PF_USER);
    assert_int_equal(guest.vcpu.cr2, DEVICE_AT + 0x2000);
}

static void division_errors(void **state)
{
    long_mode();
    guest.vcpu.gpr[RAX] = 1;
    assert_faults("\xf7\x37", VECTOR_DE, false, 0); // div dword [rdi], of 0
    guest.device[0x10] = 1;
    guest.vcpu.gpr[RDX] = 1;
    assert_faults("\xf7\x37", VECTOR_DE, false, 0);
    guest.vcpu.gpr[RDX] = 0;
    assert_done("\xf7\x37");
    memset(guest.device + 0x10, 0xff, 8);
    guest.vcpu.gpr[RDX] = UINT64_MAX << 63;
    guest.vcpu.gpr[RAX] = 0;
    assert_faults("\x48\xf7\x3f", VECTOR_DE, false, 0); // idiv: -2^127 by -1
    guest.vcpu.gpr[RDX] = UINT64_MAX;
    guest.vcpu.gpr[RAX] = UINT64_C(1) << 63;
    assert_faults("\x48\xf7\x3f", VECTOR_DE, false, 0); // -2^63 by -1
    guest.vcpu.gpr[RAX]++;
    assert_done("\x48\xf7\x3f");
    assert_int_equal(guest.vcpu.gpr[RAX], INT64_MAX);
    assert_int_equal(guest.vcpu.gpr[RDX], 0);
}

static void segment_limits_and_canonical_addresses(void **state)
{
    guest_real_mode();
    guest.vcpu.rip = CODE;
    guest.vcpu.gpr[RBX] = 0xffff;
    assert_faults("\x89\x07", VECTOR_GP, true, 0);     // mov [bx], ax
    assert_faults("\x36\x89\x07", VECTOR_SS, true, 0); // mov [ss:bx], ax
    assert_done("\x88\x07");                           // mov [bx], al
    guest.vcpu.gpr[RSP] = 1;
    assert_faults("\xff\x36\x00\x00", VECTOR_SS, true, 0); // push [0]: at ffff, 2 bytes
    long_mode();
    guest.vcpu.gpr[RDI] = UINT64_C(0x800000000000);
    assert_faults("\x89\x07", VECTOR_GP, true, 0);
    guest.vcpu.gpr[RBP] = UINT64_C(0x800000000000);
    assert_faults("\x89\x45\x00", VECTOR_SS, true, 0);
    guest_flat32();
    guest.vcpu.rip = CODE;
    guest.vcpu.segment[ES].access &= ~UINT32_C(2);
    guest.vcpu.gpr[RDI] = 0x5000;
    assert_faults("\xab", VECTOR_GP, true, 0); // stosd into a read-only ES
    assert_done("\xaf");                       // scasd reads it
}

static void alignment_checks_of_user_code(void **state)
{
    long_mode();
    guest.vcpu.gpr[RDI] += 1;
    guest.vcpu.cr0 |= CR0_AM;
    guest.vcpu.rflags |= RFLAGS_AC;
    assert_done("\x89\x07");
    guest.vcpu.cpl = 3;
    assert_faults("\x89\x07", VECTOR_AC, true, 0);
    assert_done("\x88\x07");
    guest.vcpu.rflags &= ~RFLAGS_AC;
    assert_done("\x89\x07");
}

static void cmpxchg16b_exchanges_both_halves(void **state)
{
    long_mode();
    uint64_t *pair = guest_word(RAM_PAGE + 0x20);
    guest.vcpu.gpr[RDI] = RAM_PAGE + 0x20;
    pair[0] = guest.vcpu.gpr[RAX] = 1;
    pair[1] = guest.vcpu.gpr[RDX] = 2;
    guest.vcpu.gpr[RBX] = 3;
    guest.vcpu.gpr[RCX] = 4;
    assert_done("\xf0\x48\x0f\xc7\x0f");
    assert_true(guest.vcpu.rflags & RFLAGS_ZF);
    assert_int_equal(pair[0], 3);
    assert_int_equal(pair[1], 4);
    assert_done("\xf0\x48\x0f\xc7\x0f");
    assert_false(guest.vcpu.rflags & RFLAGS_ZF);
    assert_int_equal(guest.vcpu.gpr[RAX], 3);
    assert_int_equal(guest.vcpu.gpr[RDX], 4);
}

static void locked_writes_to_ram_keep_their_neighbours(void **state)
{
    for (unsigned at = 0; at < 32; at++) {
        long_mode();
        memset(guest.ram + RAM_PAGE, 0x11, 64);
        guest.vcpu.gpr[RSI] = RAM_PAGE + at;
        guest.vcpu.gpr[RAX] = 0x01020304;
        assert_done("\xf0\x01\x06"); // lock add [rsi], eax
        uint32_t sum;
        memcpy(&sum, guest.ram + RAM_PAGE + at, 4);
        assert_int_equal(sum, 0x12131415);
        for (unsigned i = 0; i < 64; i++)
            if (i < at || i >= at + 4)
                assert_int_equal(guest.ram[RAM_PAGE + i], 0x11);
    }
}

static void pop_computes_its_address_with_the_new_stack_pointer(void **state)
{
    long_mode();
    *guest_word(RAM_PAGE + 0x800) = 0x1234;
    assert_done("\x8f\x44\x24\x08"); // pop [rsp + 8]
    assert_int_equal(*guest_word(RAM_PAGE + 0x810), 0x1234);
    assert_int_equal(guest.vcpu.gpr[RSP], RAM_PAGE + 0x808);
    assert_int_equal(guest.vcpu.dirty, STATE_STACK);
    assert_done("\xff\x74\x24\x08"); // push [rsp + 8]
    assert_int_equal(guest.vcpu.gpr[RSP], RAM_PAGE + 0x800);
    assert_int_equal(*guest_word(RAM_PAGE + 0x800), 0x1234);
    assert_done("\x8f\xc4"); // pop rsp
    assert_int_equal(guest.vcpu.gpr[RSP], 0x1234);
}

static void the_unknown_ends_the_kernel_but_not_for_its_user(void **state)
{
    long_mode();
    verdict_t verdict = RUN("\xdd\x07\x90"); // fld qword [rdi]
    assert_int_equal(verdict.kind, VERDICT_STOP);
    assert_int_equal(verdict.detail, STOP_UNEMULATED);
    long_mode();
    guest.vcpu.cpl = 3;
    assert_faults("\xdd\x07\x90", VECTOR_UD, false, 0);
    assert_faults("\xf0\x89\x07", VECTOR_UD, false, 0); // lock mov
}

static void what_is_missing_is_asked_for(void **state)
{
    long_mode();
    guest.vcpu.fetched = STATE_FLOW;
    verdict_t verdict = RUN("\x89\x07");
    assert_int_equal(verdict.kind, VERDICT_NEED);
    assert_int_equal(verdict.value, STATE_CONTROL | STATE_MODE | STATE_STACK);
    assert_nothing_changed();
    // In 64-bit mode only FS and GS have bases, and only a move from a segment register its
    // selector.
    guest.vcpu.fetched = STATE_ALL & ~STATE_SEGMENTS;
    assert_int_equal(RUN("\x89\x07").kind, VERDICT_NEXT);
    static const char *const instructions[] = {"\x64\x89\x07", "\x65\x89\x07", "\x8c\x1f"};
    for (unsigned i = 0; i < ARRAY_LENGTH(instructions); i++) {
        guest.vcpu.fetched = STATE_ALL & ~STATE_SEGMENTS;
        verdict = run(instructions[i], (unsigned)strlen(instructions[i]));
        assert_int_equal(verdict.kind, VERDICT_NEED);
        assert_int_equal(verdict.value, STATE_SEGMENTS);
    }
    guest.vcpu.efer &= ~EFER_LMA; // compatibility mode
    guest.vcpu.fetched = STATE_ALL & ~STATE_SEGMENTS;
    assert_int_equal(RUN("\x89\x07").value, STATE_SEGMENTS);
}

static void an_instruction_across_pages(void **state)
{
    long_mode();
    guest.vcpu.rip = CODE + 0xffe;
    guest.vcpu.cpl = 3;
    // mov dword [rdi], imm32, its immediate on the next page
    assert_faults("\xc7\x07\x01\x02\x03\x04", VECTOR_PF, true, PF_USER | PF_FETCH);
    assert_int_equal(guest.vcpu.cr2, CODE + 0x1000);
    guest_map(CODE + 0x1000, CODE + 0x1000, PTE_P | PTE_U | PTE_A);
    assert_done("\xc7\x07\x01\x02\x03\x04");
    assert_int_equal(device_word(0x10), 0x04030201);
    // Two bytes that end their page: the next one is none of its business.
    guest_map(CODE + 0x1000, 0, 0);
    guest.vcpu.cr2_dirty = false;
    assert_done("\x8b\x07");
    assert_false(guest.vcpu.cr2_dirty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_reach_the_device_in_one_access),
        cmocka_unit_test(movbe_swaps_bytes),
        cmocka_unit_test(odd_encodings_mean_what_the_manual_says),
        cmocka_unit_test(a_failed_cmpxchg_touches_rax_only),
        cmocka_unit_test(page_faults_change_nothing),
        cmocka_unit_test(division_errors),
        cmocka_unit_test(segment_limits_and_canonical_addresses),
        cmocka_unit_test(alignment_checks_of_user_code),
        cmocka_unit_test(cmpxchg16b_exchanges_both_halves),
        cmocka_unit_test(locked_writes_to_ram_keep_their_neighbours),
        cmocka_unit_test(pop_computes_its_address_with_the_new_stack_pointer),
        cmocka_unit_test(the_unknown_ends_the_kernel_but_not_for_its_user),
        cmocka_unit_test(what_is_missing_is_asked_for),
        cmocka_unit_test(an_instruction_across_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
