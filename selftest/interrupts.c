// The local APIC and what interrupts do to code: masking, priority, shadows, NMIs, HLT. Runs once
// in xAPIC mode and once in x2APIC mode. SDM: "Advanced Programmable Interrupt Controller (APIC)",
// "Masking Maskable Hardware Interrupts", "Handling Multiple NMIs".
#include "selftest/groups.h"
#include "tests/guests/lib/interrupts.h"

#define LOW    0x52
#define MIDDLE 0x61
#define HIGH   0x71
#define TIMER  0x81
#define ERROR  0x91

static const char *mode; // for the lines that come twice

static void self(uint8_t vector)
{
    apic_send(0, ICR_SELF | vector);
}

static void drain(void)
{
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

static void check_order(void)
{
    forget_taken();
    self(LOW);
    self(HIGH);
    self(MIDDLE);
    self(HIGH);
    bool pending =
        apic_bit(APIC_IRR, LOW) && apic_bit(APIC_IRR, MIDDLE) && apic_bit(APIC_IRR, HIGH);
    check(pending && taken_total == 0, "%s: with IF clear, self-IPIs wait in the IRR", mode);
    drain();
    check(taken_total == 3 && taken_order[0] == HIGH && taken_order[1] == MIDDLE &&
              taken_order[2] == LOW,
          "%s: they come by priority, each once", mode);
    check(!apic_bit(APIC_IRR, LOW) && !apic_bit(APIC_ISR, LOW), "%s: and leave IRR and ISR", mode);
}

static volatile unsigned seen_inside;

// The handler of MIDDLE lets a higher one in; a lower one waits for its EOI.
static void nest(struct trap_frame *frame)
{
    (void)frame;
    self(LOW);
    self(HIGH);
    bool in_service = apic_bit(APIC_ISR, MIDDLE) && (apic_read(APIC_PPR) & 0xf0) == (MIDDLE & 0xf0);
    drain();
    seen_inside = in_service && taken[HIGH] == 1 && taken[LOW] == 0;
    apic_write(APIC_EOI, 0);
    drain();
    seen_inside += taken[LOW] == 1;
}

static void check_nesting(void)
{
    forget_taken();
    seen_inside = 0;
    trap_handlers[MIDDLE] = nest;
    self(MIDDLE);
    drain();
    check(seen_inside == 2,
          "%s: a handler is interrupted by what is higher, the rest waits for EOI", mode);
    count_vector(MIDDLE);
}

static void check_priority(void)
{
    forget_taken();
    write_cr8(HIGH >> 4);
    self(MIDDLE);
    self(HIGH);
    self(TIMER);
    drain();
    check(taken_total == 1 && taken[TIMER] == 1, "%s: the task priority lets only higher ones in",
          mode);
    enable_interrupts();
    write_cr8((HIGH >> 4) - 1);
    __asm__ volatile("nop");
    bool high = taken[HIGH] == 1 && taken[MIDDLE] == 0;
    apic_write(APIC_TPR, 0);
    __asm__ volatile("nop; cli" : : : "memory");
    check(high && taken[MIDDLE] == 1, "%s: lowering it by CR8 and TPR lets the others in", mode);
}

#define TRIES 20 // what takes a moment: a hypervisor below us may take the CPU for longer than that

// What is left of `count` at once.
static uint32_t start_timer(uint32_t count)
{
    for (unsigned tries = 1;; tries++) {
        forget_taken();
        uint64_t start = read_tsc();
        apic_write(APIC_INITIAL_COUNT, count);
        uint32_t left = apic_read(APIC_CURRENT_COUNT);
        if (read_tsc() - start < count || tries == TRIES)
            return left;
        drain();
    }
}

static void check_timer(void)
{
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, TIMER);
    uint32_t left = start_timer(200000);
    check(left > 0 && left <= 200000, "%s: the timer counts down", mode);
    check(wait_taken(TIMER, 1) && apic_read(APIC_CURRENT_COUNT) == 0 && !wait_taken(TIMER, 2),
          "%s: one-shot: one interrupt", mode);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TIMER);
    apic_write(APIC_INITIAL_COUNT, 500000);
    check(wait_taken(TIMER, 5), "%s: periodic: more and more", mode);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | LVT_MASKED | TIMER);
    unsigned count = taken[TIMER];
    check(!wait_taken(TIMER, count + 2), "%s: masked: no more", mode);
    apic_write(APIC_INITIAL_COUNT, 0);
}

// Sets a deadline, and disarms it again if `is_off`. What is read back, and in *deadline what was
// set: time enough, even nested twice.
static uint64_t set_deadline(uint64_t *deadline, bool is_off)
{
    for (unsigned tries = 1;; tries++) {
        forget_taken();
        *deadline = read_tsc() + 600000;
        write_msr(MSR_TSC_DEADLINE, *deadline);
        if (is_off)
            write_msr(MSR_TSC_DEADLINE, 0);
        uint64_t value = read_msr(MSR_TSC_DEADLINE);
        if (read_tsc() < *deadline || tries == TRIES)
            return value;
        drain();
    }
}

static void check_deadline(void)
{
    uint64_t deadline;
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | TIMER);
    uint64_t value = set_deadline(&deadline, false);
    check(value == deadline, "%s: a TSC deadline reads back", mode);
    bool came = wait_taken(TIMER, 1);
    check(came && read_tsc() >= deadline && read_msr(MSR_TSC_DEADLINE) == 0,
          "%s: it comes, not early, and is then 0", mode);
    write_msr(MSR_TSC_DEADLINE, 1);
    check(wait_taken(TIMER, 2), "%s: a deadline in the past comes at once", mode);
    check(set_deadline(&deadline, true) == 0 && !wait_taken(TIMER, 1), "%s: writing 0 disarms it",
          mode);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static void check_halt(void)
{
    uint64_t after;
    forget_taken();
    apic_write(APIC_LVT_TIMER, TIMER);
    apic_write(APIC_INITIAL_COUNT, 100000);
    __asm__ volatile("lea 1f(%%rip), %0; sti; hlt; 1: cli" : "=&r"(after) : : "memory");
    check(taken[TIMER] == 1 && taken_rip == after, "%s: STI, HLT: the timer wakes it", mode);
    self(LOW);
    __asm__ volatile("lea 1f(%%rip), %0; sti; hlt; 1: cli" : "=&r"(after) : : "memory");
    check(taken[LOW] == 1 && taken_rip == after, "%s: so does what was pending before", mode);
    apic_send(apic_is_x2 ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24, ICR_NMI);
    check(taken[VECTOR_NMI] == 1, "%s: an NMI comes with IF clear", mode);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static void check_errors(void)
{
    forget_taken();
    apic_write(APIC_LVT_ERROR, ERROR);
    apic_write(APIC_ESR, 0);
    self(3);
    drain();
    apic_write(APIC_ESR, 0);
    check((apic_read(APIC_ESR) & 0x60) && taken[ERROR] >= 1, "%s: a vector below 16 is an error",
          mode);
    apic_write(APIC_ESR, 0);
    check(apic_read(APIC_ESR) == 0, "%s: which writing the ESR forgets", mode);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
}

static void check_mode(void)
{
    apic_write(APIC_SVR, 0x1ff);
    check_order();
    check_nesting();
    check_priority();
    check_timer();
    check_deadline();
    check_halt();
    check_errors();
}

// ---- shadows ----

static void check_shadows(void)
{
    uint64_t first, second;
    forget_taken();
    self(LOW);
    __asm__ volatile("sti; cli" : : : "memory");
    check(taken_total == 0, "STI, CLI: nothing gets in between");
    __asm__ volatile("lea 1f(%%rip), %0; sti; nop; 1: nop; cli" : "=&r"(first) : : "memory");
    check(taken[LOW] == 1 && taken_rip == first, "STI holds interrupts for one instruction");
    self(LOW);
    __asm__ volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; mov %%ss, %%eax; sti; mov %%eax, %%ss; "
                     "1: nop; 2: nop; cli"
                     : "=&r"(first), "=&r"(second)
                     :
                     : "rax", "memory");
    check(taken[LOW] == 2 && (taken_rip == first || taken_rip == second),
          "MOV SS in the shadow of STI: the interrupt comes right behind");
    self(LOW);
    __asm__ volatile("lea 1f(%%rip), %0; sti; cpuid; 1: nop; cli"
                     : "=&r"(first)
                     : "a"(0)
                     : "rbx", "rcx", "rdx", "memory");
    check(taken[LOW] == 3 && taken_rip == first, "STI, CPUID: it comes behind the CPUID");
    self(LOW);
    __asm__ volatile("lea 1f(%%rip), %0; pushf; orl $0x200, (%%rsp); popf; 1: nop; cli"
                     : "=&r"(first)
                     :
                     : "memory");
    check(taken[LOW] == 4 && taken_rip == first, "POPF has no shadow");
}

static volatile unsigned nmi_depth, nmi_deepest;

static void nmi_again(struct trap_frame *frame)
{
    (void)frame;
    if (++nmi_depth > nmi_deepest)
        nmi_deepest = nmi_depth;
    if (++taken[VECTOR_NMI] == 1) {
        apic_send(0, ICR_NMI);
        read_cpuid(0, 0); // an exit, on the way out of which it could slip in
    }
    nmi_depth--;
}

static void check_nmi(void)
{
    forget_taken();
    trap_handlers[VECTOR_NMI] = nmi_again;
    apic_send(0, ICR_NMI);
    __asm__ volatile("nop; nop");
    check(taken[VECTOR_NMI] == 2 && nmi_deepest == 1,
          "an NMI waits for the IRET of the one before");
    drain(); // without virtual NMIs it comes here
    count_vector(VECTOR_NMI);
}

// ---- the modes ----

// clang-format off
#define X2APIC(ATTEMPT) \
    ATTEMPT(do_eoi_nonzero, "x2APIC: EOI of 1: #GP", VECTOR_GP, 0, \
            "mov $0x80b, %%ecx; xor %%edx, %%edx; mov $1, %%eax; wrmsr") \
    ATTEMPT(do_id_write, "x2APIC: write to the ID: #GP", VECTOR_GP, 0, \
            "mov $0x802, %%ecx; xor %%edx, %%edx; xor %%eax, %%eax; wrmsr") \
    ATTEMPT(do_icr_high, "x2APIC: MSR 831H: #GP", VECTOR_GP, 0, "mov $0x831, %%ecx; rdmsr") \
    ATTEMPT(do_svr_reserved, "x2APIC: reserved bit of SVR: #GP", VECTOR_GP, 0, \
            "mov $0x80f, %%ecx; xor %%edx, %%edx; mov $0x11ff, %%eax; wrmsr") \
    ATTEMPT(do_dfr, "x2APIC: DFR: #GP", VECTOR_GP, 0, "mov $0x80e, %%ecx; rdmsr") \
    ATTEMPT(do_self_read, "x2APIC: read of SELF IPI: #GP", VECTOR_GP, 0, \
            "mov $0x83f, %%ecx; rdmsr") \
    ATTEMPT(do_back_to_xapic, "x2APIC: straight back to xAPIC: #GP", VECTOR_GP, 0, \
            "mov $0x1b, %%ecx; rdmsr; and $~0x400, %%eax; wrmsr")
// clang-format on
X2APIC(ATTEMPT_CODE)
static void check_x2apic(void)
{
    static const struct attempt attempts[] = {X2APIC(ATTEMPT_ROW)};
    check_attempts(attempts, ARRAY_LENGTH(attempts));
    check(apic_read(APIC_ID) == read_cpuid(0xb, 0).edx, "x2APIC: the ID");
    check(apic_read(APIC_LDR) == 1, "x2APIC: the logical ID follows from it");
    forget_taken();
    apic_write(APIC_SELF_IPI, LOW);
    drain();
    check(taken[LOW] == 1, "x2APIC: SELF IPI");
}

void check_interrupts(void)
{
    static const uint8_t vectors[] = {LOW, MIDDLE, HIGH, TIMER, ERROR, VECTOR_NMI};
    for (unsigned i = 0; i < ARRAY_LENGTH(vectors); i++)
        count_vector(vectors[i]);
    check((apic_read(APIC_VERSION) & 0xf0) == 0x10, "the local APIC's version (%#x)",
          apic_read(APIC_VERSION));
    mode = "xAPIC";
    check_mode();
    check_shadows();
    check_nmi();
    apic_set_mode(true);
    mode = "x2APIC";
    check_mode();
    check_x2apic();
    apic_set_mode(false);
    apic_write(APIC_SVR, 0x1ff);
    forget_taken();
    self(LOW);
    drain();
    check(taken[LOW] == 1, "back in xAPIC mode");
}
