// More than one CPU: INIT and start-up IPIs, messages of all kinds between them, one time for all.
#include "selftest/groups.h"
#include "tests/guests/lib/smp.h"

#define OTHER           1 // APIC ID
#define VECTOR_A        0x56
#define VECTOR_B        0x57
#define ICR_LOWEST      0x100
#define ICR_LOGICAL     0x800
#define MSR_SYSTEM_TIME 0x4b564d01
#define ROUNDS          20

static volatile unsigned came[2][2]; // by CPU and vector
static const char *mode;

static void take(struct trap_frame *frame)
{
    came[read_cpuid(0xb, 0).edx & 1][frame->vector == VECTOR_B]++;
    if (frame->vector != VECTOR_NMI)
        apic_write(APIC_EOI, 0);
}

static void take_nmi(struct trap_frame *frame)
{
    (void)frame;
    taken[VECTOR_NMI]++;
}

static bool wait_came(unsigned cpu, unsigned which, unsigned count)
{
    uint32_t start = pm_ticks();
    enable_interrupts();
    while (came[cpu][which] < count && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    disable_interrupts();
    return came[cpu][which] == count;
}

static void forget(void)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        came[cpu][0] = came[cpu][1] = 0;
}

static volatile uint32_t seen_id;
static volatile uint64_t seen_base, seen_cr0, seen_tsc;

static void look(void)
{
    seen_id = read_cpuid(1, 0).ebx >> 24;
    seen_base = read_msr(MSR_APIC_BASE);
    seen_cr0 = read_cr0();
}

static void send_back(void)
{
    apic_send(0, VECTOR_B);
}

static void check_messages(void)
{
    forget();
    apic_send(OTHER, VECTOR_A);
    check(wait_came(1, 0, 1) && came[0][0] == 0, "%s: a message wakes the other CPU", mode);
    check(smp_run(OTHER, send_back) && wait_came(0, 1, 1), "%s: and one comes back", mode);
    forget();
    apic_send(0, ICR_OTHERS | VECTOR_A);
    check(wait_came(1, 0, 1) && came[0][0] == 0, "%s: all but self", mode);
    apic_send(0, ICR_ALL | VECTOR_B);
    check(wait_came(1, 1, 1) && wait_came(0, 1, 1), "%s: all with self", mode);
    forget();
    apic_send(apic_is_x2 ? UINT32_MAX : 0xff, VECTOR_A);
    check(wait_came(1, 0, 1) && wait_came(0, 0, 1), "%s: the broadcast destination", mode);
    forget();
    apic_send(2, ICR_LOGICAL | VECTOR_A);
    check(wait_came(1, 0, 1) && came[0][0] == 0, "%s: a logical destination", mode);
    if (!apic_is_x2) {
        forget();
        apic_send(3, ICR_LOGICAL | ICR_LOWEST | VECTOR_A);
        pm_wait(PM_TICKS_MS);
        wait_came(0, 0, 1);
        check(came[0][0] + came[1][0] == 1, "%s: lowest priority: one of two gets it", mode);
    }
    forget_taken();
    apic_send(OTHER, ICR_NMI);
    uint32_t start = pm_ticks();
    while (!taken[VECTOR_NMI] && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    check(taken[VECTOR_NMI] == 1, "%s: an NMI wakes the other CPU", mode);
}

static void set_logical(void)
{
    apic_write(0xd0, BIT32(24 + (apic_read(APIC_ID) >> 24)));
}

static void use_x2apic(void)
{
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
}

static void use_xapic(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE) & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    write_msr(MSR_APIC_BASE, base);
    write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
}

// ---- one counter, two CPUs ----

static volatile uint64_t counter;

static void add_many(void)
{
    for (unsigned i = 0; i < 20000; i++)
        __asm__ volatile("lock incq %0" : "+m"(counter));
}

static void check_memory(void)
{
    counter = 0;
    smp_begin(OTHER, add_many);
    add_many();
    bool done = smp_wait(OTHER);
    check(done && counter == 40000, "two CPUs count together (%lu)", (unsigned long)counter);
}

static void read_time(void)
{
    seen_tsc = read_tsc();
}

static void check_tsc(void)
{
    bool good = true;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t before = read_tsc();
        good &= smp_run(OTHER, read_time) && seen_tsc >= before && seen_tsc <= read_tsc();
    }
    check(good, "the CPUs' TSCs are one");
}

// A CPU that runs is reset and starts anew.
static void check_restart(void)
{
    seen_cr0 = 0;
    check(smp_start(OTHER) && smp_run(OTHER, look) && seen_id == OTHER, "INIT and start-up again");
    apic_send(OTHER, ICR_STARTUP | 8);
    check(smp_run(OTHER, look), "a start-up IPI to a CPU that runs is nothing");
}

void check_smp(void)
{
    if (smp_count() < 2)
        return;
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(OTHER), "INIT and start-up IPI start the other CPU");
    bool looked = smp_run(OTHER, look);
    check(looked && seen_id == OTHER && seen_base == 0xfee00800,
          "it has its own APIC ID and is not the bootstrap processor (%#llx)",
          (unsigned long long)seen_base);
    trap_handlers[VECTOR_A] = trap_handlers[VECTOR_B] = take;
    trap_handlers[VECTOR_NMI] = take_nmi;
    mode = "xAPIC";
    set_logical();
    smp_run(OTHER, set_logical);
    check_messages();
    check_memory();
    check_tsc();
    check_restart();
    smp_run(OTHER, use_x2apic);
    apic_set_mode(true);
    mode = "x2APIC";
    check_messages();
    smp_begin(OTHER, use_xapic);
    pm_wait(2 * PM_TICKS_MS);
    apic_set_mode(false);
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(OTHER), "start-up once more, in xAPIC mode");
}
