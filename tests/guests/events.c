// Events in each other's way: steps, breakpoints, interrupts and NMIs that one instruction raises
// together, what MOV SS and NMIs hold back, the resume flag, and faults in the delivery of faults.
// selftest/ has them one by one. SDM: "Priority Among Concurrent Events", "Debug Exceptions",
// "Double Fault Exception".
// bare: compared
// differs: RF is pushed set between = the emulator pushes it clear
// cpus: 1
// again: trap = all
// lacks: vnmi: IRET unblocks NMIs = Corbel notices it at the next interrupt window
#include "tests/guests/lib/interrupts.h"

#define LOW         0x50
#define TIMER       0x60
#define DR6_CLEAR   UINT64_C(0xffff0ff0)
#define DR6_B0      BIT(0)
#define DR6_B1      BIT(1)
#define DR6_BS      BIT(14)
#define DR7_CLEAR   BIT(10)
#define DR7_L0      BIT(0)
#define DR7_L1      BIT(2)
#define DR7_READ4   (BITS(17, 16) | BITS(19, 18)) // breakpoint 0: reads and writes of 4 bytes
#define NO_STACK    UINT64_C(0x700000000000)
#define IST_MISSING 2
#define IOAPIC_NMI  (UINT64_C(4) << 8)
#define IOAPIC_PIT  2

// ---- what came, in order ----

struct seen {
    uint64_t vector, rip, rflags, dr6;
};
static volatile struct seen seen[16];
static volatile unsigned seen_count;

static void note(struct trap_frame *frame)
{
    if (seen_count < ARRAY_LENGTH(seen)) {
        seen[seen_count].vector = frame->vector;
        seen[seen_count].rip = frame->rip;
        seen[seen_count].rflags = frame->rflags;
        seen[seen_count].dr6 = frame->vector == VECTOR_DB ? read_dr6() : 0;
    }
    seen_count++;
    if (frame->vector == VECTOR_DB) {
        write_dr6(DR6_CLEAR);
        frame->rflags &= ~RFLAGS_TF; // one step is enough
    } else if (frame->vector != VECTOR_NMI && frame->vector >= 32) {
        apic_write(APIC_EOI, 0);
    }
}

static void forget(void)
{
    seen_count = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(seen); i++)
        seen[i] = (struct seen){0};
}

// Whether exactly these two came, both behind the instruction at `rip`.
static bool came(uint64_t first, uint64_t second, uint64_t rip)
{
    return seen_count == 2 && seen[0].vector == first && seen[1].vector == second &&
           seen[0].rip == rip && seen[1].rip == rip;
}

// One instruction with TF and IF set, from POPF on; RIP behind it.
#define STEPPED(behind, setup, instruction)                                                        \
    __asm__ volatile("lea 1f(%%rip), %%r12; " setup                                                \
                     "pushf; orl $0x300, (%%rsp); popf; " instruction "; 1: cli; mov %%r12, %0"    \
                     : "=m"(behind)                                                                \
                     :                                                                             \
                     : "rax", "rbx", "rcx", "rdx", "r12", "cc", "memory")

// ---- a step and what else the instruction raises ----

static void check_together(void)
{
    uint64_t behind;
    forget();
    STEPPED(behind, "mov $0xfee00300, %%ebx; ", "movl $0x40050, (%%rbx)");
    check(came(VECTOR_DB, LOW, behind) && seen[0].dr6 == (DR6_CLEAR | DR6_BS),
          "a write to the ICR: the step, then the interrupt (%u: %u, %u)", seen_count,
          (unsigned)seen[0].vector, (unsigned)seen[1].vector);
    forget();
    STEPPED(behind, "mov $0xfee00300, %%ebx; movl $0, 0x10(%%rbx); ", "movl $0x400, (%%rbx)");
    // The manual has the step first; the emulator takes the NMI first, without a hypervisor too.
    check(came(VECTOR_DB, VECTOR_NMI, behind) ||
              (seen_count == 2 && seen[0].vector == VECTOR_NMI && seen[1].vector == VECTOR_DB),
          "an NMI to itself: the step and the NMI (%u: %u, %u)", seen_count,
          (unsigned)seen[0].vector, (unsigned)seen[1].vector);
    forget();
    STEPPED(behind,
            "mov $0xfee00080, %%ebx; movl $0xff, (%%rbx); mov $0xfee00300, %%ecx; movl $0x40050, "
            "(%%rcx); ",
            "movl $0, (%%rbx)");
    check(came(VECTOR_DB, LOW, behind), "the TPR lowered: the step, then the interrupt");
}

static void check_halt(void)
{
    uint64_t behind;
    forget();
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, TIMER);
    apic_write(APIC_INITIAL_COUNT, 200000);
    STEPPED(behind, "", "hlt");
    check(seen[0].vector == VECTOR_DB && seen[0].rip == behind,
          "HLT under TF: the step ends it (%u)", (unsigned)seen[0].vector);
    apic_write(APIC_INITIAL_COUNT, 0);
    __asm__ volatile("sti; nop; cli");

    forget();
    ioapic_route(IOAPIC_PIT, IOAPIC_NMI);
    pit_start(1000);
    __asm__ volatile("lea 1f(%%rip), %0; cli; hlt; 1:" : "=&r"(behind) : : "memory");
    pit_stop();
    ioapic_route(IOAPIC_PIT, IOAPIC_MASKED);
    check(seen_count >= 1 && seen[0].vector == VECTOR_NMI && seen[0].rip == behind,
          "an NMI ends HLT with IF clear");
}

// ---- MOV SS holds back ----

static volatile uint32_t stack_selector = SELECTOR_DATA;

// A data breakpoint on the operand of MOV SS is taken behind the instruction after it.
#define HELD(behind, setup, instruction)                                                           \
    __asm__ volatile(setup "lea 1f(%%rip), %%r12; mov %1, %%ss; " instruction                      \
                           "; 1: nop; mov %%r12, %0"                                               \
                     : "=m"(behind)                                                                \
                     : "m"(stack_selector)                                                         \
                     : "rax", "rbx", "rcx", "rdx", "r12", "cc", "memory")

static void check_one_held(const char *what, uint64_t behind)
{
    check(seen_count == 1 && seen[0].vector == VECTOR_DB && seen[0].rip == behind &&
              (seen[0].dr6 & 0xf) == DR6_B0,
          "a breakpoint at the operand of MOV SS comes behind the %s that follows", what);
}

static void check_held(void)
{
    uint64_t behind;
    write_dr0((uint64_t)&stack_selector);
    write_dr7(DR7_CLEAR | DR7_L0 | DR7_READ4);
    forget();
    HELD(behind, "", "nop");
    check_one_held("NOP", behind);
    forget();
    HELD(behind, "xor %%eax, %%eax; ", "cpuid");
    check_one_held("CPUID", behind);
    forget();
    HELD(behind, "", "in $0x21, %%al");
    check_one_held("IN", behind);
    forget();
    HELD(behind, "mov $0xfee00030, %%ebx; ", "mov (%%rbx), %%eax");
    check_one_held("read of MMIO", behind);
    write_dr7(DR7_CLEAR);
    forget();
    apic_write(APIC_ICR, ICR_SELF | LOW);
    __asm__ volatile("lea 1f(%%rip), %0; mov %%ss, %%eax; sti; mov %%eax, %%ss; cpuid; 1: nop; cli"
                     : "=&r"(behind)
                     :
                     : "rax", "rbx", "rcx", "rdx", "memory");
    check(seen_count == 1 && seen[0].vector == LOW, "an interrupt behind MOV SS and CPUID");
}

// ---- breakpoints at ports and in devices' memory ----

#define DR7_PORT      BIT(17)                       // breakpoint 0: I/O of one byte
#define DR7_DEVICE    (BIT(20) | BITS(23, 22))      // breakpoint 1: writes of 4 bytes
#define DR7_DEVICE_RW (BITS(21, 20) | BITS(23, 22)) // ... and reads
#define DEVICE        (UINT64_C(0xfee00000) + APIC_DIVIDE)

static uint8_t bytes[4];

// One instruction with breakpoints at port 21H and at a register of the local APIC; `flags` go to
// RFLAGS first. RIP behind it.
#define WATCHED(behind, flags, setup, instruction)                                                 \
    do {                                                                                           \
        forget();                                                                                  \
        __asm__ volatile("lea 1f(%%rip), %%r12; mov $0xfee003e0, %%ebx; " setup                    \
                         "pushf; orl $" flags ", (%%rsp); popf; " instruction                      \
                         "; 1: nop; mov %%r12, %0"                                                 \
                         : "=m"(behind)                                                            \
                         : "D"(bytes)                                                              \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "r12", "cc", "memory");              \
    } while (0)

static void check_met(const char *what, uint64_t rip, uint64_t dr6)
{
    check(seen_count == 1 && seen[0].rip == rip && seen[0].dr6 == (DR6_CLEAR | dr6),
          "%s (%u, %#llx)", what, seen_count, (unsigned long long)seen[0].dr6);
}

static void check_ports(void)
{
    uint64_t behind;
    WATCHED(behind, "0", "", "in $0x21, %%al");
    check_met("a breakpoint at a port that is read", behind, DR6_B0);
    WATCHED(behind, "0", "in $0x21, %%al; ", "out %%al, $0x21");
    check(seen_count == 2 && seen[1].rip == behind, "... that is written");
    WATCHED(behind, "0", "", "in $0x20, %%ax");
    check_met("... that a wider access takes in", behind, DR6_B0);
    WATCHED(behind, "0x100", "", "in $0x21, %%al");
    check_met("... and a single step, in one", behind, DR6_B0 | DR6_BS);
    WATCHED(behind, "0", "", "in $0xa1, %%al");
    check(seen_count == 0, "no breakpoint at another port");
    WATCHED(behind, "0", "mov $0x21, %%edx; mov $2, %%ecx; ", "rep insb");
    check(seen_count == 2 && seen[0].rip == behind - 2 && seen[1].rip == behind,
          "REP INS: one behind each element");
    check((seen[0].rflags & RFLAGS_RF) && !(seen[1].rflags & RFLAGS_RF),
          "RF is pushed set between elements");
    write_cr4(read_cr4() & ~CR4_DE);
}

static void check_devices(void)
{
    uint64_t behind;
    WATCHED(behind, "0", "", "movl $11, (%%rbx)");
    check_met("a breakpoint at a device's register that is written", behind, DR6_B1);
    WATCHED(behind, "0x100", "", "movl $11, (%%rbx)");
    check_met("... and a single step, in one", behind, DR6_B1 | DR6_BS);
    WATCHED(behind, "0", "", "mov (%%rbx), %%eax");
    check(seen_count == 0, "a read does not meet a breakpoint for writes");
    write_dr7(DR7_CLEAR | DR7_L1 | DR7_DEVICE_RW);
    WATCHED(behind, "0", "", "mov (%%rbx), %%eax");
    check_met("... but one for reads and writes", behind, DR6_B1);
}

static void check_breakpoints(void)
{
    write_cr4(read_cr4() | CR4_DE);
    write_dr0(0x21);
    write_dr1(DEVICE);
    write_dr7(DR7_CLEAR | DR7_L0 | DR7_L1 | DR7_PORT | DR7_DEVICE);
    check_ports();
    check_devices();
    write_dr7(DR7_CLEAR);
}

// ---- the resume flag ----

static void note_and_resume(struct trap_frame *frame)
{
    note(frame);
    frame->rflags |= RFLAGS_RF;
}

static void check_resume(void)
{
    uint64_t first, second;
    trap_handlers[VECTOR_DB] = note_and_resume;
    forget();
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; mov %0, %%dr0; mov %1, %%dr1; "
                     "mov %2, %%dr7; xor %%eax, %%eax; 1: cpuid; 2: in $0x21, %%al; mov %3, %%dr7"
                     : "=&r"(first), "=&r"(second)
                     : "r"(DR7_CLEAR | DR7_L0 | DR7_L1), "r"(DR7_CLEAR)
                     : "rax", "rbx", "rcx", "rdx", "memory");
    check(seen_count == 2 && seen[0].rip == first && seen[1].rip == second,
          "RF lets a breakpoint's CPUID run, and ends with it: the next one's breakpoint comes");
    check(((seen[0].rflags | seen[1].rflags) & RFLAGS_RF) == 0,
          "an instruction breakpoint pushes RF clear");
    trap_handlers[VECTOR_DB] = note;
}

CODE(do_undefined, "ud2")

static uint64_t pushed_flags;

static void note_flags(struct trap_frame *frame)
{
    pushed_flags = frame->rflags;
    frame->rip += 2;
}

static void check_pushed(void)
{
    trap_handlers[VECTOR_UD] = note_flags;
    do_undefined();
    check((pushed_flags & RFLAGS_RF) != 0, "a fault pushes RF set");
    trap_handlers[VECTOR_UD] = NULL;
    trap_handlers[0x41] = note_flags;
    __asm__ volatile("int $0x41; nop; nop" : : : "memory");
    check((pushed_flags & RFLAGS_RF) == 0, "INT n pushes it clear");
    trap_handlers[0x41] = NULL;
}

// ---- NMIs ----

static volatile unsigned nmis, nmi_depth, nmi_deepest;

static void nmi_with_fault(struct trap_frame *frame)
{
    (void)frame;
    if (++nmi_depth > nmi_deepest)
        nmi_deepest = nmi_depth;
    if (++nmis == 1) {
        apic_send(0, ICR_NMI);
        do_undefined(); // its handler's IRET unblocks NMIs
    }
    nmi_depth--;
}

static void check_nmi(void)
{
    trap_handlers[VECTOR_NMI] = nmi_with_fault;
    trap_handlers[VECTOR_UD] = note_flags;
    apic_send(0, ICR_NMI);
    __asm__ volatile("nop; nop");
    check(nmis == 2 && nmi_deepest == 2,
          "any IRET unblocks NMIs, a fault's inside the handler too");
    trap_handlers[VECTOR_NMI] = note;
    trap_handlers[VECTOR_UD] = NULL;
}

// ---- faults in the delivery of faults ----

CODE(do_divide, "xor %%ecx, %%ecx; div %%ecx")
CODE(do_not_canonical, "mov $0x8000000000000000, %%rax; mov (%%rax), %%rcx")
CODE(do_unmapped, "mov $0x123456789000, %%rax; movl $1, (%%rax)")
CODE(do_absent_data, "mov $0x40, %%eax; mov %%ax, %%es")
CODE(do_efer, "mov $0xc0000080, %%ecx; xor %%eax, %%eax; mov $0x80000000, %%edx; wrmsr")

// The first fault's stack is not mapped: its delivery is a page fault.
static void check_page_faults(void)
{
    static const struct {
        const char *what;
        void (*code)(void);
        unsigned first, then;
    } rows[] = {
        {"#DE", do_divide, VECTOR_DE, VECTOR_PF},
        {"#UD", do_undefined, VECTOR_UD, VECTOR_PF},
        {"#NP", do_absent_data, VECTOR_NP, VECTOR_PF},
        {"#GP", do_not_canonical, VECTOR_GP, VECTOR_PF},
        {"#GP that the hypervisor raises", do_efer, VECTOR_GP, VECTOR_PF},
        {"#PF", do_unmapped, VECTOR_PF, VECTOR_DF},
    };
    guest_gdt[SELECTOR_SPARE / 8] = UINT64_C(0x00cf13000000ffff);
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        set_gate(rows[i].first, IST_MISSING, true);
        unsigned vector = try_call(rows[i].code);
        set_gate(rows[i].first, 0, true);
        bool is_page_fault = rows[i].then == VECTOR_PF;
        check(vector == rows[i].then && last_fault.error == (is_page_fault ? 2 : 0),
              "%s without a stack: vector %u, error %#x", rows[i].what, vector,
              (unsigned)last_fault.error);
        if (is_page_fault)
            check(last_fault.cr2 >> 12 == (NO_STACK >> 12) - 1, "its CR2 is below that stack");
    }
}

// The gates are not present: which pairs make a double fault.
static void check_absent_gates(void)
{
    static const struct {
        const char *what;
        void (*code)(void);
        unsigned first, then;
    } rows[] = {
        {"#DE", do_divide, VECTOR_DE, VECTOR_DF},
        {"#NP", do_absent_data, VECTOR_NP, VECTOR_DF},
        {"#GP", do_not_canonical, VECTOR_GP, VECTOR_DF},
        {"#PF", do_unmapped, VECTOR_PF, VECTOR_DF},
        {"#UD", do_undefined, VECTOR_UD, VECTOR_NP},
        {"#GP that the hypervisor raises", do_efer, VECTOR_GP, VECTOR_DF},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        set_gate(rows[i].first, 0, false);
        unsigned vector = try_call(rows[i].code);
        set_gate(rows[i].first, 0, true);
        check(vector == rows[i].then, "%s without a gate: vector %u, error %#x", rows[i].what,
              vector, (unsigned)last_fault.error);
    }
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    pic_mask(0xffff);
    apic_write(APIC_SVR, 0x1ff);
    set_stack(IST_MISSING, NO_STACK);
    trap_handlers[VECTOR_DB] = trap_handlers[VECTOR_NMI] = note;
    trap_handlers[LOW] = trap_handlers[TIMER] = note;
    write_dr6(DR6_CLEAR);
    check_together();
    check_halt();
    check_held();
    check_breakpoints();
    check_resume();
    check_pushed();
    check_nmi();
    check_page_faults();
    check_absent_gates();
}
