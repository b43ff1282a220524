// The banks of the machine-check architecture: see machine_check.h.

#include "arch/x86_64/machine_check.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"

#define MSR_MCG_CAP 0x179
#define MSR_MCG_CTL 0x17b
#define MSR_MC_CTL  0x400 // of bank 0; four MSRs a bank
#define MC_STATUS   1
#define MC_ADDRESS  2
#define MC_MISC     3

#define MCG_BANKS    BITS(7, 0)
#define MCG_HAS_CTL  BIT(8)
#define STATUS_VALID BIT(63)
#define STATUS_MISC  BIT(59)
#define STATUS_ADDR  BIT(58)
#define EDX_MCE      BIT32(7)
#define EDX_MCA      BIT32(14)

static uint64_t capabilities(void)
{
    uint64_t value = 0;
    if ((cpuid(1, 0).edx & (EDX_MCE | EDX_MCA)) == (EDX_MCE | EDX_MCA))
        (void)rdmsr_safe(MSR_MCG_CAP, &value);
    return value;
}

unsigned machine_check_print(struct printer *to)
{
    unsigned banks = capabilities() & MCG_BANKS, found = 0;
    for (uint32_t i = 0; i < banks; i++) {
        uint32_t bank = MSR_MC_CTL + 4 * i;
        uint64_t status, address = 0, misc = 0;
        if (!rdmsr_safe(bank + MC_STATUS, &status) || !(status & STATUS_VALID))
            continue;
        if (status & STATUS_ADDR)
            (void)rdmsr_safe(bank + MC_ADDRESS, &address);
        if (status & STATUS_MISC)
            (void)rdmsr_safe(bank + MC_MISC, &misc);
        print_to(to, "machine check: CPU %u bank %u status %016lx address %lx misc %lx\n",
                 this_cpu()->index, i, status, address, misc);
        found++;
    }
    return found;
}

void machine_check_init(struct printer *to)
{
    uint64_t has = capabilities();
    if (machine_check_print(to))
        print_to(to, "machine check: the above happened before this boot\n");
    for (uint32_t i = 0; i < (has & MCG_BANKS); i++) {
        (void)wrmsr_safe(MSR_MC_CTL + 4 * i + MC_STATUS, 0);
        (void)wrmsr_safe(MSR_MC_CTL + 4 * i, UINT64_MAX);
    }
    if (has & MCG_HAS_CTL)
        (void)wrmsr_safe(MSR_MCG_CTL, UINT64_MAX);
}
