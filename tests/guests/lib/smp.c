// Starting other CPUs and giving them work.
#include "tests/guests/lib/smp.h"

#define TRAMPOLINE  0x8000
#define STACK_SIZE  8192
#define VECTOR_PAGE (TRAMPOLINE >> 12)

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

void smp_entry(void);
extern const uint8_t trampoline[], trampoline_end[];
uint64_t smp_stack_top; // of the one that starts
static struct table_pointer idt;
static _Alignas(16) uint8_t stacks[SMP_CPUS][STACK_SIZE];
static volatile bool up[SMP_CPUS];
static void (*volatile jobs[SMP_CPUS])(void);

unsigned smp_count(void)
{
    return read_cpuid(0xb, 1).ebx;
}

static void take_work(struct trap_frame *frame)
{
    (void)frame;
    apic_write(APIC_EOI, 0);
}

// The first thing that another CPU does in C. Its local APIC is in the mode that INIT left it in.
void smp_entry(void)
{
    uint32_t id = read_cpuid(0xb, 0).edx;
    __asm__ volatile("lidt %0" : : "m"(idt));
    apic_write(APIC_SVR, 0x1ff);
    up[id] = true;
    for (;;) {
        while (!jobs[id])
            __asm__ volatile("sti; hlt; cli" : : : "memory");
        jobs[id]();
        jobs[id] = NULL;
    }
}

bool smp_start(uint32_t apic_id)
{
    __asm__ volatile("sidt %0" : "=m"(idt));
    trap_handlers[SMP_VECTOR] = take_work;
    memcpy((void *)(uint64_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
    smp_stack_top = (uint64_t)(stacks[apic_id] + STACK_SIZE);
    up[apic_id] = false;
    jobs[apic_id] = NULL;
    apic_send(apic_id, ICR_INIT | ICR_ASSERT);
    pm_wait(PM_TICKS_MS);
    uint32_t start = pm_ticks();
    for (unsigned i = 0; i < 2 && !up[apic_id]; i++) {
        apic_send(apic_id, ICR_STARTUP | VECTOR_PAGE);
        pm_wait(PM_TICKS_MS / 5);
    }
    while (!up[apic_id] && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    return up[apic_id];
}

void smp_begin(uint32_t apic_id, void (*work)(void))
{
    jobs[apic_id] = work;
    apic_send(apic_id, SMP_VECTOR);
}

bool smp_wait(uint32_t apic_id)
{
    uint32_t start = pm_ticks();
    while (jobs[apic_id] && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    return !jobs[apic_id];
}

bool smp_run(uint32_t apic_id, void (*work)(void))
{
    smp_begin(apic_id, work);
    return smp_wait(apic_id);
}
