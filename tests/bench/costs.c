// Round trips counted in instructions: on an emulator that ticks once an instruction, the TSC
// around a loop is exact. Each figure is the whole loop's, so the loop's own two or three
// instructions are in it. Prints `cost NAME VALUE`.

#include "tests/bench/costs.h"
#include "tests/guests/lib/guest.h"

#define BATCHES                                                                                    \
    10 // the cheapest counts: the host's own interrupts and its console fall into others
#define ROUNDS 100

#define MSR_TSC_ADJUST     0x3b
#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_X2APIC         0x800
#define X2APIC_EOI         (MSR_X2APIC + 0x0b)
#define X2APIC_SVR         (MSR_X2APIC + 0x0f)
#define X2APIC_ICR         (MSR_X2APIC + 0x30)
#define X2APIC_LVT_TIMER   (MSR_X2APIC + 0x32)
#define X2APIC_SELF_IPI    (MSR_X2APIC + 0x3f)
#define MSR_KERNEL_GS_BASE 0xc0000102
#define LVT_TSC_DEADLINE   (2U << 17)
#define VECTOR             0x80
#define PORT_ELCR          0x4d0
#define PORT_COM1          0x3f8
#define PORT_NOTHING       0x2f40
#define PORT_PM_TIMER      0x608
#define MMIO_NOTHING       ((uint8_t *)0xd0000000)

// The loop's body is one statement of assembly; operands are set up before it.
#define MEASURE(name, ...)                                                                         \
    do {                                                                                           \
        uint64_t least = UINT64_MAX;                                                               \
        for (unsigned batch = 0; batch < BATCHES; batch++) {                                       \
            uint64_t start = read_tsc();                                                           \
            for (unsigned i = 0; i < ROUNDS; i++)                                                  \
                __VA_ARGS__;                                                                       \
            uint64_t ticks = read_tsc() - start;                                                   \
            least = ticks < least ? ticks : least;                                                 \
        }                                                                                          \
        say("cost %s %lu\n", name, (unsigned long)(least / ROUNDS));                               \
    } while (0)

volatile unsigned seen;

__attribute__((naked)) void take(void)
{
    __asm__ volatile("push %rax\n\tpush %rcx\n\tpush %rdx\n\t"
                     "incl seen(%rip)\n\t"
                     "mov $0x80b, %ecx\n\txor %eax, %eax\n\txor %edx, %edx\n\twrmsr\n\t"
                     "pop %rdx\n\tpop %rcx\n\tpop %rax\n\tiretq");
}

struct __attribute__((packed)) idt_pointer {
    uint16_t limit;
    uint64_t base;
};

void install(uint8_t vector, void (*handler)(void))
{
    struct idt_pointer idt;
    __asm__ volatile("sidt %0" : "=m"(idt));
    uint64_t *gate = (uint64_t *)(idt.base + 16U * vector), at = (uint64_t)handler;
    gate[0] = (at & 0xffff) | 0x08ULL << 16 | 0x8eULL << 40 | (at >> 16 & 0xffff) << 48;
    gate[1] = at >> 32;
}

static void instructions(void)
{
    uint32_t a, d;
    uint64_t value, cr0;
    MEASURE("cpuid", __asm__ volatile("xor %%eax, %%eax; xor %%ecx, %%ecx; cpuid"
                                      :
                                      :
                                      : "eax", "ebx", "ecx", "edx"));
    MEASURE("vmcall", __asm__ volatile("vmcall" : "=a"(a) : "a"(0x7fff)));
    MEASURE("io_device", (void)in8(PORT_ELCR));
    MEASURE("io_device_out", out8(PORT_ELCR, 0));
    MEASURE("com1_out", out8(PORT_COM1, '\n'));
    MEASURE("io_unclaimed", (void)in32(PORT_NOTHING));
    MEASURE("pm_timer", (void)in32(PORT_PM_TIMER));
    MEASURE("mmio_unclaimed", (void)*(volatile uint8_t *)MMIO_NOTHING);
    MEASURE("rd_tsc_adjust", __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(MSR_TSC_ADJUST)));
    MEASURE("wr_tsc_adjust", __asm__ volatile("wrmsr" : : "c"(MSR_TSC_ADJUST), "a"(0), "d"(0)));
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    MEASURE("cr0_wp", __asm__ volatile("mov %0, %%cr0; mov %1, %%cr0"
                                       :
                                       : "r"(cr0 & ~(1UL << 16)), "r"(cr0 | 1UL << 16)));
    MEASURE("mov_cr8", __asm__ volatile("mov %0, %%cr8" : : "r"(0UL)));
    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    MEASURE("mov_cr3", __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory"));
    MEASURE("mov_dr7", __asm__ volatile("mov %0, %%dr7" : : "r"(0x400UL)));
    MEASURE("invlpg", __asm__ volatile("invlpg (%0)" : : "r"(0x5000UL) : "memory"));
    MEASURE("rdtsc", __asm__ volatile("rdtsc" : "=a"(a), "=d"(d)));
    MEASURE("wr_kernel_gs_base", __asm__ volatile("wrmsr"
                                                  :
                                                  : "c"(MSR_KERNEL_GS_BASE), "a"(0), "d"(0)));
}

static void interrupts(void)
{
    install(VECTOR, take);
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | 3UL << 10);
    write_msr(X2APIC_SVR, 0x1ff);
    MEASURE("eoi", __asm__ volatile("wrmsr" : : "c"(X2APIC_EOI), "a"(0), "d"(0)));
    // One interrupt becomes pending and stays so: interrupts are off.
    MEASURE("icr_write", __asm__ volatile("wrmsr"
                                          :
                                          : "c"(X2APIC_ICR), "a"(1U << 18 | VECTOR), "d"(0)));
    __asm__ volatile("sti; nop; nop; cli");
    MEASURE("self_ipi",
            __asm__ volatile("sti; wrmsr; 1: cmp seen(%%rip), %%ebx; je 1b; inc %%ebx; cli"
                             :
                             : "c"(X2APIC_SELF_IPI), "a"(VECTOR), "d"(0), "b"(seen)));
    write_msr(X2APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR);
    MEASURE("tsc_deadline",
            __asm__ volatile("sti; wrmsr; 1: cmp seen(%%rip), %%ebx; je 1b; inc %%ebx; cli"
                             :
                             : "c"(MSR_TSC_DEADLINE), "a"(1), "d"(0), "b"(seen)));
    say("interrupts taken: %u\n", seen);
}

// Repetitions on what is not there, on a device, and under a breakpoint, where each element is
// checked anew. The longest of their exits stands in Corbel's own table.
static void strings(void)
{
    static uint8_t ram[4096];
#define REPEAT(instruction, from, to)                                                              \
    __asm__ volatile("rep " instruction                                                            \
                     : "=c"(count), "=S"(source), "=D"(target)                                     \
                     : "0"(4096UL), "1"(from), "2"(to), "a"(0), "d"(PORT_NOTHING)                  \
                     : "memory")
    uint64_t count;
    const uint8_t *source;
    uint8_t *target;
    for (unsigned armed = 0; armed < 2; armed++) {
        REPEAT("movsb", MMIO_NOTHING, MMIO_NOTHING + 0x10001);
        REPEAT("stosb", MMIO_NOTHING, MMIO_NOTHING);
        REPEAT("movsb", ram, MMIO_NOTHING);
        REPEAT("stosb", ram, (uint8_t *)MMIO_IOAPIC);
        REPEAT("insb", ram, ram);
        REPEAT("outsb", ram, ram);
        __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(ram), "r"(0x20401UL)); // one write
    }
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400UL));
}

// How long after its time a TSC deadline's handler runs: asleep till then, or computing. One that
// runs before it would cost more than can be.
extern volatile uint64_t taken_at;
volatile uint64_t taken_at;

__attribute__((naked)) static void take_time(void)
{
    __asm__ volatile("push %rax\n\tpush %rcx\n\tpush %rdx\n\t"
                     "rdtsc\n\tmov %eax, taken_at(%rip)\n\tmov %edx, 4 + taken_at(%rip)\n\t"
                     "mov $0x80b, %ecx\n\txor %eax, %eax\n\txor %edx, %edx\n\twrmsr\n\t"
                     "pop %rdx\n\tpop %rcx\n\tpop %rax\n\tiretq");
}

static void measure_lateness(const char *name, bool sleeps)
{
    uint64_t late[ROUNDS], most = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t deadline = read_tsc() + 20000 + 37 * i;
        taken_at = 0;
        write_msr(MSR_TSC_DEADLINE, deadline);
        if (sleeps)
            __asm__ volatile("sti; hlt; cli");
        else
            __asm__ volatile("sti; 1: cmpl $0, taken_at(%%rip); je 1b; cli" : : : "memory");
        late[i] = taken_at - deadline;
        most = late[i] > 1UL << 32 ? late[i] : most; // early
    }
    for (unsigned i = 1; i < ROUNDS; i++) // sorted
        for (unsigned k = i; k > 0 && late[k] < late[k - 1]; k--) {
            uint64_t greater = late[k - 1];
            late[k - 1] = late[k];
            late[k] = greater;
        }
    say("cost %s %lu\n", name, (unsigned long)(most ? most : late[ROUNDS / 2]));
}

static void deadlines(void)
{
    install(VECTOR, take_time);
    measure_lateness("deadline_late", true);
    measure_lateness("deadline_late_busy", false);
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    out8(PORT_PIC_MASTER + 1, 0xff); // the PIT runs
    instructions();
    interrupts();
    choice_measure();
    deadlines();
    disk_measure();
    net_measure();
    strings();
    guest_power_off();
}
