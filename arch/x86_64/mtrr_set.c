// Reading and writing memory-type range registers. See mtrr.h.

#include "arch/x86_64/policy/mtrr.h"

#include "arch/x86_64/registers.h"

#define MSR_CAPABILITIES 0xfe
#define MSR_VARIABLE     0x200 // base and mask by turns
#define MSR_DEFAULT_TYPE 0x2ff

#define CAP_COUNT  UINT64_C(0xff)
#define DEFAULT_ON BIT(11)
#define EDX_MTRR   BIT32(12)
#define CR0_NW     BIT(29)
#define CR0_CD     BIT(30)
#define CR4_PGE    BIT(7)

static uint32_t fixed_msr(unsigned index)
{
    return index == 0 ? 0x250 : index < 3 ? 0x258 + index - 1 : 0x268 + index - 3;
}

void mtrr_read(struct mtrr_state *state)
{
    uint64_t has = 0;
    *state = (struct mtrr_state){0};
    if (!(cpuid(1, 0).edx & EDX_MTRR) || !rdmsr_safe(MSR_CAPABILITIES, &has))
        return;
    state->default_type = rdmsr(MSR_DEFAULT_TYPE);
    state->count = (uint32_t)MIN(has & CAP_COUNT, MTRR_RANGES);
    for (unsigned i = 0; i < state->count; i++) {
        state->base[i] = rdmsr(MSR_VARIABLE + 2 * i);
        state->mask[i] = rdmsr(MSR_VARIABLE + 2 * i + 1);
    }
    for (unsigned i = 0; i < MTRR_FIXED; i++)
        (void)rdmsr_safe(fixed_msr(i), &state->fixed[i]);
}

// The caches are off and empty, and no translation is kept, while types change.
static void flush(void)
{
    __asm__ volatile("wbinvd" : : : "memory");
    write_cr3(read_cr3());
}

void mtrr_write(const struct mtrr_state *state)
{
    uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    write_cr0((cr0 | CR0_CD) & ~CR0_NW);
    write_cr4(cr4 & ~CR4_PGE);
    flush();
    wrmsr(MSR_DEFAULT_TYPE, state->default_type & ~DEFAULT_ON);
    for (unsigned i = 0; i < state->count; i++) {
        (void)wrmsr_safe(MSR_VARIABLE + 2 * i, state->base[i]);
        (void)wrmsr_safe(MSR_VARIABLE + 2 * i + 1, state->mask[i]);
    }
    for (unsigned i = 0; i < MTRR_FIXED; i++)
        (void)wrmsr_safe(fixed_msr(i), state->fixed[i]);
    wrmsr(MSR_DEFAULT_TYPE, state->default_type);
    flush();
    write_cr0(cr0);
    write_cr4(cr4);
}
