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
CODE(do_xsetbv, "xor %%ecx, %%ecx; xsetbv")
CODE(do_sgdt, "push %%rax; push %%rax; sgdt (%%rsp); pop %%rax; pop %%rax")
CODE(do_str, "str %%rax")
CODE(do_smsw, "smsw %%rax")
CODE(do_syscall, "mov %%rcx, %%r8; syscall")
CODE(do_touch, "mov $0x8000000000, %%rax; mov (%%rax), %%eax")
CODE(do_store, "mov $0x8000000000, %%rax; mov %%eax, (%%rax)")
CODE(do_unaligned, "movl $0, -7(%%rsp)")

// clang-format off
#define PRIVILEGED(ATTEMPT) \
    ATTEMPT(do_hlt, "HLT", VECTOR_GP, 0, "hlt") \
    ATTEMPT(do_cli, "CLI", VECTOR_GP, 0, "cli") \
    ATTEMPT(do_sti, "STI", VECTOR_GP, 0, "sti") \
    ATTEMPT(do_in, "IN", VECTOR_GP, 0, "in $0x21, %%al") \
    ATTEMPT(do_out, "OUT", VECTOR_GP, 0, "out %%al, $0x80") \
    ATTEMPT(do_ins, "INS", VECTOR_GP, 0, \
            "push %%rax; mov %%rsp, %%rdi; mov $0x21, %%edx; insb; pop %%rax") \
    ATTEMPT(do_rdmsr, "RDMSR", VECTOR_GP, 0, "mov $0x10, %%ecx; rdmsr") \
    ATTEMPT(do_wrmsr, "WRMSR", VECTOR_GP, 0, "mov $0x10, %%ecx; wrmsr") \
    ATTEMPT(do_read_cr0, "MOV from CR0", VECTOR_GP, 0, "mov %%cr0, %%rax") \
    ATTEMPT(do_write_cr0, "MOV to CR0", VECTOR_GP, 0, "mov %%rax, %%cr0") \
    ATTEMPT(do_write_cr3, "MOV to CR3", VECTOR_GP, 0, "mov %%rax, %%cr3") \
    ATTEMPT(do_write_cr4, "MOV to CR4", VECTOR_GP, 0, "mov %%rax, %%cr4") \
    ATTEMPT(do_write_cr8, "MOV to CR8", VECTOR_GP, 0, "mov %%rax, %%cr8") \
    ATTEMPT(do_read_dr7, "MOV from DR7", VECTOR_GP, 0, "mov %%dr7, %%rax") \
    ATTEMPT(do_write_dr0, "MOV to DR0", VECTOR_GP, 0, "mov %%rax, %%dr0") \
    ATTEMPT(do_lmsw, "LMSW", VECTOR_GP, 0, "mov $1, %%eax; lmsw %%ax") \
    ATTEMPT(do_clts, "CLTS", VECTOR_GP, 0, "clts") \
    ATTEMPT(do_invlpg, "INVLPG", VECTOR_GP, 0, "invlpg (%%rsp)") \
    ATTEMPT(do_invd, "INVD", VECTOR_GP, 0, "invd") \
    ATTEMPT(do_wbinvd, "WBINVD", VECTOR_GP, 0, "wbinvd") \
    ATTEMPT(do_lgdt, "LGDT", VECTOR_GP, 0, "push %%rax; push %%rax; lgdt (%%rsp)") \
    ATTEMPT(do_lidt, "LIDT", VECTOR_GP, 0, "push %%rax; push %%rax; lidt (%%rsp)") \
    ATTEMPT(do_lldt, "LLDT", VECTOR_GP, 0, "xor %%eax, %%eax; lldt %%ax") \
    ATTEMPT(do_ltr, "LTR", VECTOR_GP, 0, "mov $0x30, %%eax; ltr %%ax") \
    ATTEMPT(do_swapgs, "SWAPGS", VECTOR_GP, 0, "swapgs") \
    ATTEMPT(do_rdpmc, "RDPMC", VECTOR_GP, 0, "xor %%ecx, %%ecx; rdpmc") \
    ATTEMPT(do_int_gate, "INT of a gate of CPL 0", VECTOR_GP, 0x41 << 3 | 2, "int $0x41") \
    ATTEMPT(do_int3, "INT3 of a gate of CPL 0", VECTOR_GP, VECTOR_BP << 3 | 2, "int3")
// clang-format on
PRIVILEGED(ATTEMPT_CODE)
static const struct attempt privileged[] = {PRIVILEGED(ATTEMPT_ROW)};

// clang-format off
#define OTHERS(ATTEMPT) \
    ATTEMPT(do_cpuid, "CPUID", NO_FAULT, 0, "xor %%eax, %%eax; cpuid") \
    ATTEMPT(do_rdtsc, "RDTSC", NO_FAULT, 0, "rdtsc") \
    ATTEMPT(do_vmcall, "VMCALL", NO_FAULT, 0, "mov $0x7fff, %%eax; vmcall") \
    ATTEMPT(do_pause, "PAUSE", NO_FAULT, 0, "pause") \
    ATTEMPT(do_hole, "MMIO", NO_FAULT, 0, \
            "mov $0xd0000000, %%eax; mov (%%rax), %%ecx; mov %%ecx, (%%rax); lock incl (%%rax)") \
    ATTEMPT(do_run_hole, "code where no memory is: #UD", VECTOR_UD, 0, \
            "mov $0xd0000000, %%eax; call *%%rax") \
    ATTEMPT(do_sysret, "SYSRET while it is off: #UD", VECTOR_UD, 0, "sysretq") \
    ATTEMPT(do_undefined, "UD2: #UD", VECTOR_UD, 0, "ud2") \
    ATTEMPT(do_divide, "DIV by 0: #DE", VECTOR_DE, 0, "xor %%ecx, %%ecx; div %%ecx") \
    ATTEMPT(do_vmlaunch, "VMLAUNCH: #UD", VECTOR_UD, 0, "vmlaunch") \
    ATTEMPT(do_vmread, "VMREAD: #UD", VECTOR_UD, 0, "vmread %%rax, %%rcx") \
    ATTEMPT(do_invept, "INVEPT: #UD", VECTOR_UD, 0, \
            "push %%rax; push %%rax; invept (%%rsp), %%rax") \
    ATTEMPT(do_monitor, "MONITOR: #UD", VECTOR_UD, 0, \
            "mov %%rsp, %%rax; xor %%ecx, %%ecx; xor %%edx, %%edx; .byte 0x0f, 0x01, 0xc8")
// clang-format on
OTHERS(ATTEMPT_CODE)
static const struct attempt others[] = {OTHERS(ATTEMPT_ROW)};

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
