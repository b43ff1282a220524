// Exceptions: the right vector, error code, RIP and CR2, and what becomes of a fault in the
// delivery of another. SDM: "Interrupt and Exception Handling".
#include "selftest/groups.h"

#define UNMAPPED     UINT64_C(0x123456789000)
#define IDT_ERROR(v) ((v) << 3 | 2)
#define SPARE_ERROR  (SELECTOR_SPARE)
#define ABSENT_CODE  UINT64_C(0x00af1b000000ffff) // guest_gdt's entries without the present bit
#define ABSENT_DATA  UINT64_C(0x00cf13000000ffff)

CODE(do_absent_stack, "mov $0x40, %%eax; mov %%ax, %%ss")
CODE(do_absent_data, "mov $0x40, %%eax; mov %%ax, %%es")
CODE(do_far, "push $0x40; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:")
CODE(do_null_stack, "push $3; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:")

// clang-format off
#define SIMPLE(ATTEMPT) \
    ATTEMPT(do_divide, "DIV by 0: #DE", VECTOR_DE, 0, "xor %%ecx, %%ecx; div %%ecx") \
    ATTEMPT(do_overflow, "DIV with too large a quotient: #DE", VECTOR_DE, 0, \
            "mov $1, %%edx; xor %%eax, %%eax; mov $1, %%ecx; div %%ecx") \
    ATTEMPT(do_undefined, "UD2: #UD", VECTOR_UD, 0, "ud2") \
    ATTEMPT(do_lock, "LOCK NOP: #UD", VECTOR_UD, 0, ".byte 0xf0, 0x90") \
    ATTEMPT(do_invalid_in_64, "PUSH ES in 64-bit mode: #UD", VECTOR_UD, 0, ".byte 0x06") \
    ATTEMPT(do_not_canonical, "a non-canonical address: #GP", VECTOR_GP, 0, \
            "mov $0x8000000000000000, %%rax; mov (%%rax), %%rcx") \
    ATTEMPT(do_stack, "a non-canonical stack: #SS", VECTOR_SS, 0, \
            "mov %%rsp, %%rsi; mov $0x8000000000000000, %%rsp; push %%rax; mov %%rsi, %%rsp") \
    ATTEMPT(do_unmapped, "an unmapped page: #PF", VECTOR_PF, 2, \
            "mov $0x123456789000, %%rax; movl $1, (%%rax)") \
    ATTEMPT(do_limit, "a selector beyond the GDT: #GP", VECTOR_GP, 0xfff8, \
            "mov $0xfff8, %%eax; mov %%ax, %%ds") \
    ATTEMPT(do_absent_gate, "a gate that is not present: #NP", VECTOR_NP, IDT_ERROR(0x40), \
            "int $0x40")
// clang-format on
SIMPLE(ATTEMPT_CODE)
static void check_simple(void)
{
    static const struct attempt attempts[] = {SIMPLE(ATTEMPT_ROW)};
    set_gate(0x40, 0, false);
    set_gate(VECTOR_SS, 1, true); // the stack that faults is no place for its exception
    check_attempts(attempts, ARRAY_LENGTH(attempts));
    set_gate(VECTOR_SS, 0, true);
    set_gate(0x40, 0, true);
}

static void check_segments(void)
{
    static const struct attempt data[] = {
        {"SS of a segment that is not present: #SS", do_absent_stack, VECTOR_SS, SPARE_ERROR},
        {"ES of a segment that is not present: #NP", do_absent_data, VECTOR_NP, SPARE_ERROR},
        {"RET to a data segment: #GP", do_far, VECTOR_GP, SPARE_ERROR},
        {"RET to a null selector: #GP", do_null_stack, VECTOR_GP, 0},
    };
    static const struct attempt code[] = {
        {"RET to code that is not present: #NP", do_far, VECTOR_NP, SPARE_ERROR},
    };
    guest_gdt[SELECTOR_SPARE / 8] = ABSENT_DATA;
    check_attempts(data, ARRAY_LENGTH(data));
    guest_gdt[SELECTOR_SPARE / 8] = ABSENT_CODE;
    check_attempts(code, ARRAY_LENGTH(code));
}

// clang-format off
#define VIRTUALIZATION(ATTEMPT) \
    ATTEMPT(do_vmxon, "VMXON: #UD", VECTOR_UD, 0, "push %%rax; vmxon (%%rsp)") \
    ATTEMPT(do_vmlaunch, "VMLAUNCH: #UD", VECTOR_UD, 0, "vmlaunch") \
    ATTEMPT(do_vmresume, "VMRESUME: #UD", VECTOR_UD, 0, "vmresume") \
    ATTEMPT(do_vmread, "VMREAD: #UD", VECTOR_UD, 0, "vmread %%rax, %%rcx") \
    ATTEMPT(do_vmwrite, "VMWRITE: #UD", VECTOR_UD, 0, "vmwrite %%rax, %%rcx") \
    ATTEMPT(do_vmptrld, "VMPTRLD: #UD", VECTOR_UD, 0, "push %%rax; vmptrld (%%rsp)") \
    ATTEMPT(do_vmptrst, "VMPTRST: #UD", VECTOR_UD, 0, "push %%rax; vmptrst (%%rsp)") \
    ATTEMPT(do_vmclear, "VMCLEAR: #UD", VECTOR_UD, 0, "push %%rax; vmclear (%%rsp)") \
    ATTEMPT(do_vmxoff, "VMXOFF: #UD", VECTOR_UD, 0, "vmxoff") \
    ATTEMPT(do_invept, "INVEPT: #UD", VECTOR_UD, 0, \
            "push %%rax; push %%rax; invept (%%rsp), %%rax") \
    ATTEMPT(do_invvpid, "INVVPID: #UD", VECTOR_UD, 0, \
            "push %%rax; push %%rax; invvpid (%%rsp), %%rax") \
    ATTEMPT(do_vmfunc, "VMFUNC: #UD", VECTOR_UD, 0, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xd4") \
    ATTEMPT(do_getsec, "GETSEC: #UD", VECTOR_UD, 0, "xor %%eax, %%eax; .byte 0x0f, 0x37") \
    ATTEMPT(do_rsm, "RSM: #UD", VECTOR_UD, 0, "rsm") \
    ATTEMPT(do_monitor, "MONITOR: #UD", VECTOR_UD, 0, \
            "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; .byte 0x0f, 0x01, 0xc8") \
    ATTEMPT(do_mwait, "MWAIT: #UD", VECTOR_UD, 0, \
            "xor %%eax, %%eax; xor %%ecx, %%ecx; .byte 0x0f, 0x01, 0xc9") \
    ATTEMPT(do_rdpmc, "RDPMC: #GP", VECTOR_GP, 0, "xor %%ecx, %%ecx; not %%ecx; rdpmc") \
    ATTEMPT(do_vmcall, "VMCALL returns", NO_FAULT, 0, "mov $0x7fff, %%eax; vmcall")
// clang-format on
VIRTUALIZATION(ATTEMPT_CODE)
static void check_virtualization(void)
{
    static const struct attempt attempts[] = {VIRTUALIZATION(ATTEMPT_ROW)};
    check_attempts(attempts, ARRAY_LENGTH(attempts));
}

// ---- where a fault and a trap say that they happened ----

static volatile uint64_t trap_rip, trap_rax;

static void note_trap(struct trap_frame *frame)
{
    trap_rip = frame->rip;
    trap_rax = frame->rax;
}

static void check_places(void)
{
    uint64_t at, after;
    trap_handlers[VECTOR_BP] = note_trap;
    __asm__ volatile("lea 1f(%%rip), %0; int3; 1:" : "=&r"(after) : : "memory");
    check(trap_rip == after, "INT3 is a trap: RIP is behind it");
    trap_handlers[0x41] = note_trap;
    __asm__ volatile("lea 1f(%%rip), %0; int $0x41; 1:" : "=&r"(after) : : "memory");
    check(trap_rip == after, "INT n: RIP is behind it");
    trap_handlers[VECTOR_BP] = trap_handlers[0x41] = NULL;

    try_call(do_undefined);
    at = (uint64_t)do_undefined;
    check(last_fault.rip >= at && *(uint16_t *)last_fault.rip == 0x0b0f,
          "UD2 is a fault: RIP is at it");
    try_call(do_vmlaunch);
    check(*(uint32_t *)last_fault.rip << 8 == 0xc2010f00, "VMLAUNCH's #UD: RIP is at it");
    try_call(do_unmapped);
    check(last_fault.cr2 == UNMAPPED && *(uint16_t *)last_fault.rip == 0x00c7,
          "#PF: CR2 is the address and RIP is at the instruction");
}

// A gate that is not present makes the delivery of its fault a second fault.
static void check_double_faults(void)
{
    static const struct {
        const char *what;
        void (*code)(void);
        unsigned vector;
    } pairs[] = {
        {"#NP in the delivery of #GP: #DF", do_not_canonical, VECTOR_GP},
        {"#NP in the delivery of #PF: #DF", do_unmapped, VECTOR_PF},
        {"#NP in the delivery of #DE: #DF", do_divide, VECTOR_DE},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(pairs); i++) {
        set_gate(pairs[i].vector, 0, false);
        unsigned vector = try_call(pairs[i].code);
        check(vector == VECTOR_DF && last_fault.error == 0, "%s, on its own stack (vector %u)",
              pairs[i].what, vector);
        set_gate(pairs[i].vector, 0, true);
    }
    // A benign exception's delivery may fault like anything else.
    set_gate(VECTOR_UD, 0, false);
    unsigned vector = try_call(do_undefined);
    check(vector == VECTOR_NP && last_fault.error == (IDT_ERROR(VECTOR_UD) | 1),
          "#NP in the delivery of #UD: #NP with the external bit (error %#x)",
          (unsigned)last_fault.error);
    set_gate(VECTOR_UD, 0, true);
}

void check_faults(void)
{
    check_simple();
    check_segments();
    check_virtualization();
    check_places();
    check_double_faults();
}
