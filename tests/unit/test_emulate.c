// vm/emulate.c and its families where libunicorn cannot judge: faults that change nothing, locked
// accesses, long repetitions, alignment, AVX, segment limits, what is unknown. The arithmetic
// itself: test_emulate_oracle.c.

#include "tests/unit/guest.h"

#include "vm/emulate.h"
#include "vm/walk.h"

#define CODE      UINT64_C(0x1000)
#define RAM_PAGE  UINT64_C(0x5000) // mapped one to one, with the next one
#define DEVICE_AT UINT64_C(0x8000) // linear address of the device's two pages
#define USER_PAGE UINT64_C(0x20000)
#define ABSENT    UINT64_C(0x30000)
#define RW        (PTE_P | PTE_W | PTE_A | PTE_D)

static struct vcpu before;
static uint8_t ram_before[0x100000];

static void long_mode(void)
{
    guest_long_mode();
    guest_map(CODE, CODE, PTE_P | PTE_U | PTE_A);
    guest_map(RAM_PAGE, RAM_PAGE, RW | PTE_U);
    guest_map(RAM_PAGE + 0x1000, RAM_PAGE + 0x1000, RW | PTE_U);
    guest_map(DEVICE_AT, DEVICE, RW | PTE_U);
    guest_map(DEVICE_AT + 0x1000, DEVICE + 0x1000, RW | PTE_U);
    guest_map(0x7000, 0x7000, RW | PTE_U);
    guest_map(0xa000, 0xa000, PTE_P | PTE_U | PTE_A); // read-only
    guest.vcpu.rip = CODE;
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x10;
    guest.vcpu.gpr[RSI] = RAM_PAGE + 0x10;
    guest.vcpu.gpr[RSP] = RAM_PAGE + 0x800;
}

static verdict_t run(const char *bytes, unsigned length)
{
    struct exit exit = {.now = 1234};
    uint64_t at = guest.vcpu.segment[CS].base + guest.vcpu.rip;
    memcpy(guest.ram + at, bytes, length);
    guest.vcpu.dirty = 0;
    guest.accesses = 0;
    before = guest.vcpu;
    memcpy(ram_before, guest.ram, sizeof(ram_before));
    return emulate(&guest.vcpu, &exit);
}

#define RUN(bytes) run(bytes, sizeof(bytes) - 1)

static void expect_done(verdict_t verdict, unsigned length)
{
    assert_int_equal(verdict.kind, VERDICT_NEXT);
    assert_int_equal(verdict.detail, length);
}

#define assert_done(bytes) expect_done(RUN(bytes), sizeof(bytes) - 1)

// The first law: a fault has changed nothing but CR2.
static void assert_nothing_changed(void)
{
    before.cr2 = guest.vcpu.cr2;
    before.cr2_dirty = guest.vcpu.cr2_dirty;
    assert_memory_equal(&before, &guest.vcpu, sizeof(before));
    assert_memory_equal(ram_before, guest.ram, sizeof(ram_before));
    for (unsigned i = 0; i < guest.accesses && i < 64; i++)
        assert_false(guest.log[i].write);
}

static void expect_fault(verdict_t verdict, unsigned vector, bool has_error, uint32_t error)
{
    assert_fault(verdict, vector, has_error, error);
    assert_nothing_changed();
}

#define assert_faults(bytes, vector, has_error, error)                                             \
    expect_fault(RUN(bytes), vector, has_error, error)

static uint32_t device_word(unsigned at)
{
    uint32_t value;
    memcpy(&value, guest.device + at, 4);
    return value;
}

static void moves_reach_the_device_in_one_access(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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

static void aligned_moves_demand_alignment(void **state)
{
    (void)state;
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

static void alignment_checks_of_user_code(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
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

static void pop_computes_its_address_with_the_new_stack_pointer(void **state)
{
    (void)state;
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

static void vector_state_is_asked_for_and_marked(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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
    (void)state;
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

static void the_unknown_ends_the_kernel_but_not_for_its_user(void **state)
{
    (void)state;
    long_mode();
    verdict_t verdict = RUN("\xdd\x07\x90"); // fld qword [rdi]
    assert_int_equal(verdict.kind, VERDICT_STOP);
    assert_int_equal(verdict.detail, STOP_UNEMULATED);
    assert_int_equal(guest.vcpu.unemulated_length, 15);
    assert_memory_equal(guest.vcpu.unemulated, "\xdd\x07\x90", 3);
    long_mode();
    guest.vcpu.cpl = 3;
    assert_faults("\xdd\x07\x90", VECTOR_UD, false, 0);
    assert_faults("\xf0\x89\x07", VECTOR_UD, false, 0); // lock mov
}

static void what_is_missing_is_asked_for(void **state)
{
    (void)state;
    long_mode();
    guest.vcpu.fetched = STATE_FLOW;
    verdict_t verdict = RUN("\x89\x07");
    assert_int_equal(verdict.kind, VERDICT_NEED);
    assert_int_equal(verdict.value, STATE_CONTROL | STATE_SEGMENTS | STATE_STACK);
    assert_nothing_changed();
}

static void an_instruction_across_pages(void **state)
{
    (void)state;
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
        cmocka_unit_test(aligned_moves_demand_alignment),
        cmocka_unit_test(alignment_checks_of_user_code),
        cmocka_unit_test(cmpxchg16b_exchanges_both_halves),
        cmocka_unit_test(locked_writes_to_ram_keep_their_neighbours),
        cmocka_unit_test(a_long_repetition_gives_the_cpu_back),
        cmocka_unit_test(a_repetition_stops_at_the_fault_and_can_go_on),
        cmocka_unit_test(a_comparison_that_faults_keeps_its_flags),
        cmocka_unit_test(pop_computes_its_address_with_the_new_stack_pointer),
        cmocka_unit_test(vector_state_is_asked_for_and_marked),
        cmocka_unit_test(an_initial_component_is_zero),
        cmocka_unit_test(vex_moves_clear_the_register_above),
        cmocka_unit_test(vex_stores_write_both_halves),
        cmocka_unit_test(vectors_obey_their_switches),
        cmocka_unit_test(the_unknown_ends_the_kernel_but_not_for_its_user),
        cmocka_unit_test(what_is_missing_is_asked_for),
        cmocka_unit_test(an_instruction_across_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
