// Code at CPL 3: it gets #GP for what it may not do, the rest works, and the VM goes on. SDM:
// "Privileged Instructions", "I/O Permission Bit Map".
#include "selftest/groups.h"

#define MSR_STAR  0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_EFER  0xc0000080
#define PF_USER   4
#define ECX_UMIP  BIT32(2)
#define IOPL_3    BITS(13, 12)

CODE(do_nothing, "nop")
CODE(do_hlt, "hlt")
CODE(do_cli, "cli")
CODE(do_sti, "sti")
CODE(do_in, "in $0x21, %%al")
CODE(do_out, "out %%al, $0x80")
CODE(do_ins, "push %%rax; mov %%rsp, %%rdi; mov $0x21, %%edx; insb; pop %%rax")
CODE(do_rdmsr, "mov $0x10, %%ecx; rdmsr")
CODE(do_wrmsr, "mov $0x10, %%ecx; wrmsr")
CODE(do_read_cr0, "mov %%cr0, %%rax")
CODE(do_write_cr0, "mov %%rax, %%cr0")
CODE(do_write_cr3, "mov %%rax, %%cr3")
CODE(do_write_cr4, "mov %%rax, %%cr4")
CODE(do_write_cr8, "mov %%rax, %%cr8")
CODE(do_read_dr7, "mov %%dr7, %%rax")
CODE(do_write_dr0, "mov %%rax, %%dr0")
CODE(do_lmsw, "mov $1, %%eax; lmsw %%ax")
CODE(do_clts, "clts")
CODE(do_invlpg, "invlpg (%%rsp)")
CODE(do_invd, "invd")
CODE(do_wbinvd, "wbinvd")
CODE(do_lgdt, "push %%rax; push %%rax; lgdt (%%rsp)")
CODE(do_lidt, "push %%rax; push %%rax; lidt (%%rsp)")
CODE(do_lldt, "xor %%eax, %%eax; lldt %%ax")
CODE(do_ltr, "mov $0x30, %%eax; ltr %%ax")
CODE(do_swapgs, "swapgs")
CODE(do_sysret, "sysretq")
CODE(do_xsetbv, "xor %%ecx, %%ecx; xsetbv")
CODE(do_rdpmc, "xor %%ecx, %%ecx; rdpmc")
CODE(do_vmlaunch, "vmlaunch")
CODE(do_vmread, "vmread %%rax, %%rcx")
CODE(do_invept, "push %%rax; push %%rax; invept (%%rsp), %%rax")
CODE(do_monitor, "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; .byte 0x0f, 0x01, 0xc8")
CODE(do_int3, "int3")
CODE(do_int_gate, "int $0x41")
CODE(do_undefined, "ud2")
CODE(do_divide, "xor %%ecx, %%ecx; div %%ecx")
CODE(do_cpuid, "xor %%eax, %%eax; cpuid")
CODE(do_rdtsc, "rdtsc")
CODE(do_vmcall, "mov $0x7fff, %%eax; vmcall")
CODE(do_pause, "pause")
CODE(do_sgdt, "push %%rax; push %%rax; sgdt (%%rsp); pop %%rax; pop %%rax")
CODE(do_str, "str %%rax")
CODE(do_smsw, "smsw %%rax")
CODE(do_syscall, "mov %%rcx, %%r8; syscall")
CODE(do_touch, "mov $0x8000000000, %%rax; mov (%%rax), %%eax")
CODE(do_store, "mov $0x8000000000, %%rax; mov %%eax, (%%rax)")
CODE(do_hole, "mov $0xd0000000, %%eax; mov (%%rax), %%ecx; mov %%ecx, (%%rax); lock incl (%%rax)")
CODE(do_run_hole, "mov $0xd0000000, %%eax; call *%%rax")
CODE(do_unaligned, "movl $0, -7(%%rsp)")

static const struct attempt privileged[] = {
    {"HLT", do_hlt, VECTOR_GP, 0},
    {"CLI", do_cli, VECTOR_GP, 0},
    {"STI", do_sti, VECTOR_GP, 0},
    {"IN", do_in, VECTOR_GP, 0},
    {"OUT", do_out, VECTOR_GP, 0},
    {"INS", do_ins, VECTOR_GP, 0},
    {"RDMSR", do_rdmsr, VECTOR_GP, 0},
    {"WRMSR", do_wrmsr, VECTOR_GP, 0},
    {"MOV from CR0", do_read_cr0, VECTOR_GP, 0},
    {"MOV to CR0", do_write_cr0, VECTOR_GP, 0},
    {"MOV to CR3", do_write_cr3, VECTOR_GP, 0},
    {"MOV to CR4", do_write_cr4, VECTOR_GP, 0},
    {"MOV to CR8", do_write_cr8, VECTOR_GP, 0},
    {"MOV from DR7", do_read_dr7, VECTOR_GP, 0},
    {"MOV to DR0", do_write_dr0, VECTOR_GP, 0},
    {"LMSW", do_lmsw, VECTOR_GP, 0},
    {"CLTS", do_clts, VECTOR_GP, 0},
    {"INVLPG", do_invlpg, VECTOR_GP, 0},
    {"INVD", do_invd, VECTOR_GP, 0},
    {"WBINVD", do_wbinvd, VECTOR_GP, 0},
    {"LGDT", do_lgdt, VECTOR_GP, 0},
    {"LIDT", do_lidt, VECTOR_GP, 0},
    {"LLDT", do_lldt, VECTOR_GP, 0},
    {"LTR", do_ltr, VECTOR_GP, 0},
    {"SWAPGS", do_swapgs, VECTOR_GP, 0},

    {"RDPMC", do_rdpmc, VECTOR_GP, 0},
    {"INT of a gate of CPL 0", do_int_gate, VECTOR_GP, 0x41 << 3 | 2},
    {"INT3 of a gate of CPL 0", do_int3, VECTOR_GP, VECTOR_BP << 3 | 2},
};

static const struct attempt others[] = {
    {"CPUID", do_cpuid, NO_FAULT, 0},
    {"RDTSC", do_rdtsc, NO_FAULT, 0},
    {"VMCALL", do_vmcall, NO_FAULT, 0},
    {"PAUSE", do_pause, NO_FAULT, 0},
    {"MMIO", do_hole, NO_FAULT, 0},
    {"code where no memory is: #UD", do_run_hole, VECTOR_UD, 0},
    {"SYSRET while it is off: #UD", do_sysret, VECTOR_UD, 0},
    {"UD2: #UD", do_undefined, VECTOR_UD, 0},
    {"DIV by 0: #DE", do_divide, VECTOR_DE, 0},
    {"VMLAUNCH: #UD", do_vmlaunch, VECTOR_UD, 0},
    {"VMREAD: #UD", do_vmread, VECTOR_UD, 0},
    {"INVEPT: #UD", do_invept, VECTOR_UD, 0},
    {"MONITOR: #UD", do_monitor, VECTOR_UD, 0},
};

static void check_pages(void)
{
    static _Alignas(4096) uint8_t frame[4096];
    map_page(0, (uint64_t)frame | PAGE_ALL);
    bool read = try_user_call(do_touch, 0) == VECTOR_PF && last_fault.error == (PF_USER | 1);
    bool write = try_user_call(do_store, 0) == VECTOR_PF && last_fault.error == (PF_USER | 3);
    check(read && write && last_fault.cr2 == PAGES, "a supervisor's page: #PF");
    map_page(0, 0xfee00000 | PAGE_ALL);
    check(try_user_call(do_touch, 0) == VECTOR_PF && last_fault.error == (PF_USER | 1),
          "a supervisor's mapping of a device: #PF");
    map_page(0, 0);
}

static void check_flags(void)
{
    check(try_user_call(do_in, IOPL_3) == NO_FAULT && try_user_call(do_out, IOPL_3) == NO_FAULT &&
              try_user_call(do_ins, IOPL_3) == NO_FAULT,
          "with IOPL 3: IN, OUT, INS work");
    check(try_user_call(do_hlt, IOPL_3) == VECTOR_GP, "but HLT is #GP");
    write_cr4(read_cr4() | CR4_TSD);
    check(try_user_call(do_rdtsc, 0) == VECTOR_GP, "with CR4.TSD: RDTSC is #GP");
    write_cr4(read_cr4() & ~CR4_TSD);
    write_cr0(read_cr0() | CR0_AM);
    check(try_user_call(do_unaligned, RFLAGS_AC) == VECTOR_AC && last_fault.error == 0,
          "with CR0.AM and RFLAGS.AC: #AC of an unaligned access");
    write_cr0(read_cr0() & ~CR0_AM);
    check(try_user_call(do_unaligned, RFLAGS_AC) == NO_FAULT, "none without CR0.AM");
    if (!(read_cpuid(7, 0).ecx & ECX_UMIP))
        return;
    check(try_user_call(do_sgdt, 0) == NO_FAULT && try_user_call(do_smsw, 0) == NO_FAULT,
          "SGDT and SMSW work");
    write_cr4(read_cr4() | CR4_UMIP);
    check(try_user_call(do_sgdt, 0) == VECTOR_GP && try_user_call(do_str, 0) == VECTOR_GP &&
              try_user_call(do_smsw, 0) == VECTOR_GP,
          "with CR4.UMIP: SGDT, STR and SMSW are #GP");
    write_cr4(read_cr4() & ~CR4_UMIP);
}

static void check_xsetbv(void)
{
    if (!(read_cpuid(1, 0).ecx >> 26 & 1))
        return;
    check(try_user_call(do_xsetbv, 0) == VECTOR_UD, "XSETBV without CR4.OSXSAVE: #UD");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check(try_user_call(do_xsetbv, 0) == VECTOR_GP, "XSETBV with it: #GP");
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

// SYSCALL goes to `entry`, on the user's stack, which brings the proof that it is CPL 0 and goes
// back to where RCX says with R11 as flags.
static volatile uint16_t syscall_cs;

__attribute__((naked)) static void entry(void)
{
    __asm__ volatile("mov %%cs, %0; push $0x23; lea 8(%%rsp), %%rax; push %%rax; push %%r11; "
                     "push $0x2b; push %%rcx; mov %%r8, %%rcx; iretq"
                     : "=m"(syscall_cs));
}

static void check_syscall(void)
{
    write_msr(MSR_STAR, (uint64_t)SELECTOR_CODE << 32);
    write_msr(MSR_LSTAR, (uint64_t)entry);
    write_msr(MSR_FMASK, RFLAGS_IF | RFLAGS_TF);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | 1);
    check(try_user_call(do_syscall, 0) == NO_FAULT && syscall_cs == SELECTOR_CODE,
          "SYSCALL enters CPL 0 and returns");
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~UINT64_C(1));
    check(try_user_call(do_syscall, 0) == VECTOR_UD, "without IA32_EFER.SCE: #UD");
}

void check_user(void)
{
    check(try_user_call(do_nothing, 0) == NO_FAULT, "user code runs and returns");
    say("refused to user code with #GP:\n");
    check_user_attempts(privileged, ARRAY_LENGTH(privileged));
    say("user code:\n");
    check_user_attempts(others, ARRAY_LENGTH(others));
    check_pages();
    check_flags();
    check_xsetbv();
    check_syscall();
}
