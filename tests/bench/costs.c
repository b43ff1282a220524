// Round trips counted in instructions: on an emulator that ticks once an instruction, the TSC
// around a loop is exact. Each figure is the whole loop's, so the loop's own two or three
// instructions are in it. Prints `cost NAME VALUE`.

#include "tests/bench/choice.h"
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
#define PORT_NOTHING       0x2f40

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

extern volatile unsigned seen;
volatile unsigned seen;

// Takes the interrupt with an EOI and nothing else: trap_handlers[] would measure the guest.
__attribute__((naked)) static void take(void)
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

static void install(uint8_t vector, void (*handler)(void))
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
    MEASURE("io_unclaimed", (void)in32(PORT_NOTHING));
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

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    instructions();
    interrupts();
    choice_measure();
    guest_power_off();
}
