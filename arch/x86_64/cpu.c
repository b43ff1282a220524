// Per-CPU descriptor tables and the modes that every CPU runs in.

#include "arch/x86_64/cpu.h"

#include "arch/x86_64/features.h"
#include "arch/x86_64/registers.h"

struct cpu cpus[CPUS];
unsigned cpu_count = 1;

#define GDT_CODE UINT64_C(0x00af9b000000ffff)
#define GDT_DATA UINT64_C(0x00cf93000000ffff)

// PAT: as after reset, but WC in the second place (PTE.PWT), for framebuffers, and nowhere WT
// there.
#define PAT_VALUE UINT64_C(0x0007040600070106)

unsigned cpu_online_count(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cpu_count; i++)
        count += cpus[i].online;
    return count;
}

static void make_gdt(struct cpu *cpu)
{
    uint64_t base = (uintptr_t)&cpu->tss, limit = sizeof(cpu->tss) - 1;
    cpu->gdt[0] = 0;
    cpu->gdt[SELECTOR_CODE / 8] = GDT_CODE;
    cpu->gdt[SELECTOR_DATA / 8] = GDT_DATA;
    cpu->gdt[SELECTOR_TSS / 8] =
        limit | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (base >> 24 & 0xff) << 56;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
    cpu->tss.io_map_base = sizeof(cpu->tss); // none
}

void cpu_load_tables(struct cpu *cpu)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = {sizeof(cpu->gdt) - 1, (uintptr_t)cpu->gdt};

    cpu->self = cpu;
    make_gdt(cpu);
    __asm__ volatile("lgdt %0\n\t"
                     "push %1\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %2, %%ds\n\t"
                     "mov %2, %%es\n\t"
                     "mov %2, %%ss\n\t"
                     "mov %3, %%fs\n\t"
                     "mov %3, %%gs\n\t"
                     "ltr %w4"
                     :
                     : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
                     : "rax", "memory");
    wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
}

#define MISC_ENABLE_LIMITS_CPUID BIT(22)
#define MISC_ENABLE_NO_NX        BIT(34)

bool cpu_nx_was_off;

// Switches of firmware setup for systems of old: no leaf of CPUID beyond 3, and no NX, without
// which our page tables cannot be.
static void lift_limits(void)
{
    const uint64_t limits = MISC_ENABLE_LIMITS_CPUID | MISC_ENABLE_NO_NX;
    uint64_t misc;
    if (!rdmsr_safe(MSR_MISC_ENABLE, &misc) || !(misc & limits))
        return;
    (void)wrmsr_safe(MSR_MISC_ENABLE, misc & ~limits);
    cpu_nx_was_off = cpu_nx_was_off || (misc & MISC_ENABLE_NO_NX);
}

#define MSR_TEST_CTRL           0x33
#define TEST_CTRL_SPLIT_LOCK_AC BIT(29)

// What would go on counting, tracing and hiding state while guests run, had firmware left it on.
static void quiet(void)
{
    static const uint32_t msrs[] = {
        0x38f,  // IA32_PERF_GLOBAL_CTRL
        0x3f1,  // IA32_PEBS_ENABLE
        0x570,  // IA32_RTIT_CTL
        0x14ce, // IA32_LBR_CTL
        0x1d9,  // IA32_DEBUGCTL
        0x1c4,  // IA32_XFD
        0xda0,  // IA32_XSS
    };
    uint64_t value;
    for (unsigned i = 0; i < ARRAY_LENGTH(msrs); i++)
        if (rdmsr_safe(msrs[i], &value) && value)
            (void)wrmsr_safe(msrs[i], 0);
    if (rdmsr_safe(MSR_TEST_CTRL, &value) && (value & TEST_CTRL_SPLIT_LOCK_AC))
        (void)wrmsr_safe(MSR_TEST_CTRL, value & ~TEST_CTRL_SPLIT_LOCK_AC);
}

void cpu_set_modes(void)
{
    lift_limits();
    quiet();
    // PE MP ET NE WP PG on; EM TS AM and, ruinous on metal when left as the loader had them, CD and
    // NW off.
    write_cr0(UINT64_C(0x80010033));
    uint64_t cr4 = BIT(5) | BIT(6) | BIT(7) | BIT(9) | BIT(10); // PAE MCE PGE OSFXSR OSXMMEXCPT
    if (cpuid(1, 0).ecx & BIT32(26))
        cr4 |= BIT(18); // OSXSAVE
    uint32_t features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;
    if (features & BIT32(7))
        cr4 |= BIT(20); // SMEP
    if (features & BIT32(20))
        cr4 |= BIT(21); // SMAP: nothing of ours is user memory, so nothing needs RFLAGS.AC
    write_cr4(cr4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11)); // NXE
    wrmsr(MSR_PAT, PAT_VALUE);
    if (cpu_xcr0())
        xsetbv(0, cpu_xcr0());
}

uint64_t cpu_xcr0(void)
{
    if (!(cpuid(1, 0).ecx & BIT32(26)))
        return 0;
    // x87 SSE AVX, the three of AVX-512, PKRU: what a guest cannot switch on it cannot leave
    // behind.
    return features_common(0xd, 0).eax & (BITS(2, 0) | BITS(7, 5) | BIT(9));
}

uint32_t cpu_xsave_size(void)
{
    uint32_t size = cpu_xcr0() ? 576 : 512; // the legacy area and the header
    for (uint32_t i = 2; i <= 9; i++) {
        struct cpuid_result place = {0};
        if (cpu_xcr0() & BIT(i))
            place = cpuid(0xd, i);
        size = MAX(size, place.ebx + place.eax);
    }
    return size;
}

unsigned cpu_core_shift(void)
{
    const uint32_t level_of_threads = 1;
    struct cpuid_result level = {0};
    if (cpuid(0, 0).eax >= 0xb)
        level = cpuid(0xb, 0);
    return (level.ecx >> 8 & 0xff) == level_of_threads ? level.eax & 31 : 0;
}

unsigned cpu_first_of_core(unsigned index)
{
    unsigned shift = cpu_core_shift(), first = 0;
    while (cpus[first].apic_id >> shift != cpus[index].apic_id >> shift)
        first++;
    return first;
}
