// Per-CPU descriptor tables and the modes that every CPU runs in.

#include "arch/x86_64/cpu.h"

#include "arch/x86_64/features.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"

struct cpu cpus[CPUS];
unsigned cpu_count = 1;

#define GDT_CODE UINT64_C(0x00af9b000000ffff)
#define GDT_DATA UINT64_C(0x00cf93000000ffff)

// PAT: WB, WT, UC-, UC as after reset, and WC in the fifth place (PTE.PAT) for framebuffers.
#define PAT_VALUE UINT64_C(0x0007040100070406)

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
    traps_load_idt();
}

void cpu_set_modes(void)
{
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
    struct cpuid_result sizes = features_common(0xd, 0);
    uint64_t all = (uint64_t)sizes.edx << 32 | sizes.eax;
    // x87 SSE AVX, BNDREGS BNDCSR, the three of AVX-512, PKRU, the two of AMX.
    return all & (BITS(7, 0) | BIT(9) | BIT(17) | BIT(18));
}

uint32_t cpu_xsave_size(void)
{
    return cpu_xcr0() ? cpuid(0xd, 0).ecx : 512;
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
