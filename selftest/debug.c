// Single steps over all kinds of instructions, and breakpoints. What the hypervisor emulates must
// trap like what the CPU executes. SDM: "Debug Exceptions".
#include "selftest/groups.h"

#define DR6_CLEAR  UINT64_C(0xffff0ff0)
#define DR6_B0     BIT(0)
#define DR6_BD     BIT(13)
#define DR6_BS     BIT(14)
#define DR7_CLEAR  BIT(10)
#define DR7_L0     BIT(0)
#define DR7_GD     BIT(13)
#define DR7_WRITE4 (BIT(16) | BITS(19, 18))
#define STEPS      16

static volatile uint64_t step_rip[STEPS], step_dr6[STEPS];
static volatile unsigned step_count;

static void take_step(struct trap_frame *frame)
{
    if (step_count < STEPS) {
        step_rip[step_count] = frame->rip;
        step_dr6[step_count] = read_dr6();
    }
    step_count++;
    write_dr6(DR6_CLEAR);
    write_dr7(DR7_CLEAR);
    frame->rflags |= RFLAGS_RF; // past an instruction breakpoint
}

// One instruction between two NOPs with TF set: a trap behind the first NOP and behind the
// instruction, each with DR6.BS alone. R12 and R13 hold the two places.
#define STEP(what, setup, instruction)                                                             \
    do {                                                                                           \
        uint64_t before, behind;                                                                   \
        step_count = 0;                                                                            \
        __asm__ volatile(                                                                          \
            setup "lea 1f(%%rip), %%r12; lea 2f(%%rip), %%r13; pushf; "                            \
                  "orl $0x100, (%%rsp); "                                                          \
                  "popf; nop; 1: " instruction "; 2: pushf; andl $~0x100, (%%rsp); popf; "         \
                  "mov %%r12, %0; mov %%r13, %1"                                                   \
            : "=m"(before), "=m"(behind)                                                           \
            :                                                                                      \
            : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r12", "r13", "cc", "memory");             \
        check(step_rip[0] == before && step_rip[1] == behind &&                                    \
                  step_dr6[1] == (DR6_CLEAR | DR6_BS),                                             \
              "a step over %s", what);                                                             \
    } while (0)

static uint8_t buffer[16];

static void check_steps(void)
{
    STEP("NOP", "", "nop");
    STEP("CPUID", "xor %%eax, %%eax; ", "cpuid");
    STEP("IN", "", "in $0x21, %%al");
    STEP("OUT", "", "out %%al, $0x80");
    STEP("RDMSR", "mov $0x3b, %%ecx; ", "rdmsr");
    STEP("WRMSR", "mov $0x3b, %%ecx; rdmsr; ", "wrmsr");
    STEP("RDTSC", "", "rdtsc");
    STEP("VMCALL", "mov $0x7fff, %%eax; ", "vmcall");
    STEP("MOV from CR0", "", "mov %%cr0, %%rax");
    STEP("WBINVD", "", "wbinvd");
    STEP("PAUSE", "", "pause");
    // A machine below that maps this page at its first write would disturb a step over that.
    mmio_write32((volatile void *)UINT64_C(0xfee00080), 0, 0);
    STEP("a read of MMIO", "mov $0xfee00030, %%eax; ", "mov (%%rax), %%ecx");
    STEP("a write of MMIO", "mov $0xfee00080, %%eax; xor %%ecx, %%ecx; ", "mov %%ecx, (%%rax)");
    STEP("an OR to MMIO", "mov $0xfee00080, %%eax; ", "orl $0, (%%rax)");
}

// Each iteration of a repeated string instruction is a step; all but the last leave RIP at it.
static void check_string_steps(void)
{
    uint64_t at, behind;
    step_count = 0;
    __asm__ volatile("lea 1f(%%rip), %%r12; lea 2f(%%rip), %%r13; mov $3, %%ecx; mov $0x21, %%edx; "
                     "lea %2, %%rdi; pushf; orl $0x100, (%%rsp); popf; nop; 1: rep insb; "
                     "2: pushf; andl $~0x100, (%%rsp); popf; mov %%r12, %0; mov %%r13, %1"
                     : "=m"(at), "=m"(behind), "=m"(buffer)
                     :
                     : "rcx", "rdx", "rdi", "r12", "r13", "cc", "memory");
    check(step_rip[0] == at && step_rip[1] == at && step_rip[2] == at && step_rip[3] == behind,
          "a step for each iteration of REP INS");
}

static void check_shadow(void)
{
    uint64_t skipped, behind;
    step_count = 0;
    __asm__ volatile(
        "lea 1f(%%rip), %%r12; lea 2f(%%rip), %%r13; mov %%ss, %%ebx; xor %%eax, %%eax; "
        "pushf; orl $0x100, (%%rsp); popf; mov %%ebx, %%ss; 1: cpuid; 2: pushf; "
        "andl $~0x100, (%%rsp); popf; mov %%r12, %0; mov %%r13, %1"
        : "=m"(skipped), "=m"(behind)
        :
        : "rax", "rbx", "rcx", "rdx", "r12", "r13", "cc", "memory");
    check(step_rip[0] == behind && step_dr6[0] == (DR6_CLEAR | DR6_BS),
          "MOV SS holds the step back, the CPUID behind it does not");

    step_count = 0;
    __asm__ volatile("lea 1f(%%rip), %%r12; mov %%ss, %%ebx; pushf; orl $0x100, (%%rsp); popf; "
                     "mov %%ebx, %%ss; .byte 0xf1; 1: pushf; andl $~0x100, (%%rsp); popf; "
                     "mov %%r12, %0"
                     : "=m"(behind)
                     :
                     : "rbx", "r12", "cc", "memory");
    check(step_rip[0] == behind && step_dr6[0] == DR6_CLEAR, "INT1 behind MOV SS and TF");
}

static volatile uint32_t watched;

CODE(do_read_dr7, "mov %%dr7, %%rax")
CODE(do_read_dr4, "mov %%dr4, %%rax")
CODE(do_bad_dr6, "mov $1, %%eax; shl $32, %%rax; mov %%rax, %%dr6")
CODE(do_bad_dr7, "mov $1, %%eax; shl $32, %%rax; mov %%rax, %%dr7")

static void check_breakpoints(void)
{
    uint64_t at;
    step_count = 0;
    __asm__ volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; nop; 1: nop"
                     : "=&r"(at)
                     : "r"(DR7_CLEAR | DR7_L0)
                     : "memory");
    check(step_count == 1 && step_rip[0] == at && step_dr6[0] == (DR6_CLEAR | DR6_B0),
          "an instruction breakpoint comes before the instruction");

    step_count = 0;
    write_dr0((uint64_t)&watched);
    write_dr7(DR7_CLEAR | DR7_L0 | DR7_WRITE4);
    __asm__ volatile("lea 1f(%%rip), %0; movl $1, %1; 1: nop" : "=&r"(at), "=m"(watched));
    check(step_count == 1 && step_rip[0] == at && (step_dr6[0] & DR6_B0),
          "a data breakpoint comes behind the write");

    step_count = 0;
    __asm__ volatile("lea 1f(%%rip), %0; .byte 0xf1; 1: nop" : "=r"(at) : : "memory");
    check(step_count == 1 && step_rip[0] == at && step_dr6[0] == DR6_CLEAR,
          "INT1 comes behind itself, and leaves DR6 alone");
}

static void check_access(void)
{
    trap_handlers[VECTOR_DB] = NULL;
    write_dr7(DR7_CLEAR | DR7_GD);
    unsigned vector = try_call(do_read_dr7);
    check(vector == VECTOR_DB && (read_dr6() & DR6_BD), "DR7.GD: #DB before the access (%u)",
          vector);
    write_dr6(DR6_CLEAR);
    write_dr7(DR7_CLEAR);
    check(read_dr7() == DR7_CLEAR && read_dr6() == DR6_CLEAR, "DR6 and DR7 after a reset");
    check(try_call(do_bad_dr6) == VECTOR_GP && try_call(do_bad_dr7) == VECTOR_GP,
          "bits 63:32 of DR6 and DR7: #GP");
    check(try_call(do_read_dr4) == NO_FAULT, "without CR4.DE, DR4 is DR6");
    write_cr4(read_cr4() | CR4_DE);
    check(try_call(do_read_dr4) == VECTOR_UD, "with it, DR4 is #UD");
    write_cr4(read_cr4() & ~CR4_DE);
}

void check_debug(void)
{
    trap_handlers[VECTOR_DB] = take_step;
    write_dr6(DR6_CLEAR);
    check_steps();
    check_string_steps();
    check_shadow();
    check_breakpoints();
    check_access();
}
