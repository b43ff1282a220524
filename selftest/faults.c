// Exceptions: the right vector, error code, RIP and CR2, and what becomes of a fault in the
// delivery of another. SDM: "Interrupt and Exception Handling".
#include "selftest/groups.h"

#define UNMAPPED     UINT64_C(0x123456789000)
#define IDT_ERROR(v) ((v) << 3 | 2)
#define SPARE_ERROR  (SELECTOR_SPARE)
#define ABSENT_CODE  UINT64_C(0x00af1b000000ffff) // guest_gdt's entries without the present bit
#define ABSENT_DATA  UINT64_C(0x00cf13000000ffff)

CODE(do_divide, "xor %%ecx, %%ecx; div %%ecx")
CODE(do_overflow, "mov $1, %%edx; xor %%eax, %%eax; mov $1, %%ecx; div %%ecx")
CODE(do_undefined, "ud2")
CODE(do_lock, ".byte 0xf0, 0x90")    // LOCK NOP
CODE(do_invalid_in_64, ".byte 0x06") // PUSH ES
CODE(do_not_canonical, "mov $0x8000000000000000, %%rax; mov (%%rax), %%rcx")
CODE(do_stack, "mov %%rsp, %%rsi; mov $0x8000000000000000, %%rsp; push %%rax; mov %%rsi, %%rsp")
CODE(do_unmapped, "mov $0x123456789000, %%rax; movl $1, (%%rax)")
CODE(do_limit, "mov $0xfff8, %%eax; mov %%ax, %%ds")
CODE(do_absent_stack, "mov $0x40, %%eax; mov %%ax, %%ss")
CODE(do_absent_data, "mov $0x40, %%eax; mov %%ax, %%es")
CODE(do_far, "push $0x40; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:")
CODE(do_null_stack, "push $3; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:")
CODE(do_absent_gate, "int $0x40")
CODE(do_vmxon, "push %%rax; vmxon (%%rsp)")
CODE(do_vmlaunch, "vmlaunch")
CODE(do_vmresume, "vmresume")
CODE(do_vmread, "vmread %%rax, %%rcx")
CODE(do_vmwrite, "vmwrite %%rax, %%rcx")
CODE(do_vmptrld, "push %%rax; vmptrld (%%rsp)")
CODE(do_vmptrst, "push %%rax; vmptrst (%%rsp)")
CODE(do_vmclear, "push %%rax; vmclear (%%rsp)")
CODE(do_vmxoff, "vmxoff")
CODE(do_invept, "push %%rax; push %%rax; invept (%%rsp), %%rax")
CODE(do_invvpid, "push %%rax; push %%rax; invvpid (%%rsp), %%rax")
CODE(do_vmfunc, "xor %%eax, %%eax; .byte 0x0f, 0x01, 0xd4")
CODE(do_getsec, "xor %%eax, %%eax; .byte 0x0f, 0x37")
CODE(do_rsm, "rsm")
CODE(do_monitor, "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; .byte 0x0f, 0x01, 0xc8")
CODE(do_mwait, "xor %%eax, %%eax; xor %%ecx, %%ecx; .byte 0x0f, 0x01, 0xc9")
CODE(do_rdpmc, "xor %%ecx, %%ecx; not %%ecx; rdpmc")
CODE(do_vmcall, "mov $0x7fff, %%eax; vmcall")

static void check_simple(void)
{
    static const struct attempt attempts[] = {
        {"DIV by 0: #DE", do_divide, VECTOR_DE, 0},
        {"DIV with too large a quotient: #DE", do_overflow, VECTOR_DE, 0},
        {"UD2: #UD", do_undefined, VECTOR_UD, 0},
        {"LOCK NOP: #UD", do_lock, VECTOR_UD, 0},
        {"PUSH ES in 64-bit mode: #UD", do_invalid_in_64, VECTOR_UD, 0},
        {"a non-canonical address: #GP", do_not_canonical, VECTOR_GP, 0},
        {"a non-canonical stack: #SS", do_stack, VECTOR_SS, 0},
        {"an unmapped page: #PF", do_unmapped, VECTOR_PF, 2},
        {"a selector beyond the GDT: #GP", do_limit, VECTOR_GP, 0xfff8},
        {"a gate that is not present: #NP", do_absent_gate, VECTOR_NP, IDT_ERROR(0x40)},
    };
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

static void check_virtualization(void)
{
    static const struct attempt attempts[] = {
        {"VMXON: #UD", do_vmxon, VECTOR_UD, 0},       {"VMLAUNCH: #UD", do_vmlaunch, VECTOR_UD, 0},
        {"VMRESUME: #UD", do_vmresume, VECTOR_UD, 0}, {"VMREAD: #UD", do_vmread, VECTOR_UD, 0},
        {"VMWRITE: #UD", do_vmwrite, VECTOR_UD, 0},   {"VMPTRLD: #UD", do_vmptrld, VECTOR_UD, 0},
        {"VMPTRST: #UD", do_vmptrst, VECTOR_UD, 0},   {"VMCLEAR: #UD", do_vmclear, VECTOR_UD, 0},
        {"VMXOFF: #UD", do_vmxoff, VECTOR_UD, 0},     {"INVEPT: #UD", do_invept, VECTOR_UD, 0},
        {"INVVPID: #UD", do_invvpid, VECTOR_UD, 0},   {"VMFUNC: #UD", do_vmfunc, VECTOR_UD, 0},
        {"GETSEC: #UD", do_getsec, VECTOR_UD, 0},     {"RSM: #UD", do_rsm, VECTOR_UD, 0},
        {"MONITOR: #UD", do_monitor, VECTOR_UD, 0},   {"MWAIT: #UD", do_mwait, VECTOR_UD, 0},
        {"RDPMC: #GP", do_rdpmc, VECTOR_GP, 0},       {"VMCALL returns", do_vmcall, NO_FAULT, 0},
    };
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
