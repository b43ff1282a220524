// The host's local APIC.

#include "arch/x86_64/apic.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/io.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"

enum apic_register {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_EOI = 0xb0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100, // eight of them
    APIC_IRR = 0x200, // likewise
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_PMC = 0x340,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
};

#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)
#define LVT_MASKED       BIT32(16)
#define LVT_TSC_DEADLINE BIT32(18)
#define ICR_PENDING      BIT32(12)
#define ICR_ASSERT       BIT32(14)

static volatile void *registers;
static bool x2apic;
static bool has_tsc_deadline;
static uint64_t ticks_per_tsc; // of the timer, 32.32 fixed point

static uint32_t apic_read(enum apic_register at)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + at / 16) : mmio_read32(registers, at);
}

static void apic_write(enum apic_register at, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + at / 16, value);
    else
        mmio_write32(registers, at, value);
}

void apic_init(uint64_t base, bool need_x2apic)
{
    registers = (volatile void *)base;
    x2apic =
        (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) || (need_x2apic && (cpuid(1, 0).ecx & BIT32(21)));
}

// What was in service when firmware or the boot loader left would hold back all that is not above
// it.
static void end_old_interrupts(void)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (apic_read(APIC_ISR + vector / 32 * 0x10) & BIT32(vector % 32))
            apic_eoi();
}

void apic_enable(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, base);
    if (x2apic)
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    apic_write(APIC_SVR, 0x100 | VECTOR_SPURIOUS);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_MASKED);
    apic_write(APIC_LVT_PMC, LVT_MASKED);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    end_old_interrupts();
}

uint32_t apic_id(void)
{
    return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

void apic_send(uint32_t id, uint32_t command)
{
    command |= ICR_ASSERT;
    if (x2apic) {
        // WRMSR to x2APIC registers does not order earlier stores; the receiver must see them.
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)id << 32 | command);
        return;
    }
    mmio_write32(registers, APIC_ICR_HIGH, id << 24);
    mmio_write32(registers, APIC_ICR, command);
    for (unsigned spin = 0; spin < 100000 && (mmio_read32(registers, APIC_ICR) & ICR_PENDING);
         spin++)
        pause();
}

void apic_stop_others(void)
{
    if (!registers)
        return;
    for (unsigned i = 0; i < cpu_count; i++)
        if (&cpus[i] != this_cpu() && cpus[i].online)
            apic_send(cpus[i].apic_id, APIC_NMI);
}

static void use_deadlines(void)
{
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER | LVT_TSC_DEADLINE);
    __asm__ volatile("mfence" : : : "memory"); // orders the LVT before the first deadline
}

// Microcode of old gets deadlines wrong, and nothing but a try tells. The interrupt stays pending:
// it wakes whoever sleeps first, once.
static bool deadline_works(uint64_t tsc_hz)
{
    uint64_t duration = tsc_hz / 5000, start = rdtsc(), passed = 0;
    wrmsr(MSR_TSC_DEADLINE, start + duration);
    while (!(apic_read(APIC_IRR + VECTOR_TIMER / 32 * 0x10) & BIT32(VECTOR_TIMER % 32)) &&
           passed < 100 * duration)
        passed = rdtsc() - start;
    return passed >= duration / 2 && passed < 100 * duration;
}

bool apic_timer_try_deadline(uint64_t tsc_hz)
{
    if (!(cpuid(1, 0).ecx & BIT32(24)))
        return true;
    use_deadlines();
    has_tsc_deadline = deadline_works(tsc_hz);
    return has_tsc_deadline;
}

void apic_timer_init(uint64_t tsc_hz)
{
    if (has_tsc_deadline) {
        use_deadlines();
        return;
    }
    apic_write(APIC_TIMER_DIVIDE, 0xb); // by 1
    if (!ticks_per_tsc) {
        uint64_t duration = tsc_hz / 200; // 5 ms
        apic_write(APIC_LVT_TIMER, LVT_MASKED);
        apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
        uint64_t start = rdtsc_ordered();
        while (rdtsc_ordered() - start < duration)
            pause();
        uint64_t ticks = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
        uint64_t passed = rdtsc_ordered() - start;
        ticks_per_tsc = (ticks << 32) / passed;
    }
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, 0);
}

void apic_timer_arm(uint64_t tsc)
{
    uint64_t now = rdtsc();
    if (has_tsc_deadline) {
        wrmsr(MSR_TSC_DEADLINE, MAX(tsc, 1));
        return;
    }
    uint64_t wait = tsc > now ? MIN(tsc - now, UINT64_C(0xffffffff)) : 1;
    uint64_t ticks = (wait * ticks_per_tsc) >> 32;
    apic_write(APIC_TIMER_INITIAL, (uint32_t)MIN(MAX(ticks, 1), UINT32_MAX));
}

void apic_timer_stop(void)
{
    if (has_tsc_deadline)
        wrmsr(MSR_TSC_DEADLINE, 0);
    else
        apic_write(APIC_TIMER_INITIAL, 0);
}
