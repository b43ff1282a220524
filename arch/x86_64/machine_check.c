// The registers of the machine-check architecture: see machine_check.h.

#include "arch/x86_64/machine_check.h"

#include <stdatomic.h>

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "lib/spinlock.h"

#define MSR_MCG_CAP     0x179
#define MSR_MCG_STATUS  0x17a
#define MSR_MCG_CTL     0x17b
#define MSR_MCG_EXT_CTL 0x4d0
#define MSR_MC_CTL      0x400 // of bank 0; four MSRs a bank
#define MC_STATUS       1
#define MC_ADDRESS      2
#define MC_MISC         3

#define MCG_BANKS    BITS(7, 0)
#define MCG_HAS_CTL  BIT(8)
#define MCG_HAS_LMCE BIT(27) // errors that reach the CPU alone that they hit
#define MCG_CTL_LMCE BIT(0)
#define EDX_MCE      BIT32(7)
#define EDX_MCA      BIT32(14)

// Filled by any CPU, read in order.
static struct {
    struct mca_bank bank;
    _Atomic bool is_whole;
} kept[32];
static _Atomic unsigned kept_count, ended;

static struct spinlock lock; // guards `corrected`, and a bank from its reading to its clearing
static struct mca_corrected
    corrected[32]; // by the banks' numbers; the last has the higher ones, too

static uint64_t capabilities(void)
{
    uint64_t value = 0;
    if ((cpuid(1, 0).edx & (EDX_MCE | EDX_MCA)) == (EDX_MCE | EDX_MCA))
        (void)rdmsr_safe(MSR_MCG_CAP, &value);
    return value;
}

// False: nothing is in it.
static bool read_bank(uint32_t number, uint64_t global, struct mca_bank *bank)
{
    uint32_t at = MSR_MC_CTL + 4 * number;
    *bank = (struct mca_bank){.cpu = this_cpu()->index, .number = number, .global = global};
    if (!rdmsr_safe(at + MC_STATUS, &bank->status) || !(bank->status & MCI_VALID))
        return false;
    if (bank->status & MCI_ADDRESS)
        (void)rdmsr_safe(at + MC_ADDRESS, &bank->address);
    if (bank->status & MCI_MISC)
        (void)rdmsr_safe(at + MC_MISC, &bank->misc);
    return true;
}

// CPUs that share a bank see the same: once is enough. Without room the first ones stay, which tell
// more than the last.
static void keep(const struct mca_bank *bank)
{
    unsigned count = atomic_load(&kept_count);
    for (unsigned i = 0; i < MIN(count, ARRAY_LENGTH(kept)); i++)
        if (kept[i].is_whole && kept[i].bank.number == bank->number &&
            kept[i].bank.status == bank->status && kept[i].bank.address == bank->address)
            return;
    unsigned at = atomic_fetch_add(&kept_count, 1);
    if (at >= ARRAY_LENGTH(kept)) {
        atomic_store(&kept_count, ARRAY_LENGTH(kept));
        return;
    }
    kept[at].bank = *bank;
    kept[at].is_whole = true;
}

// What a machine check will come for, or has come for, is left to that.
static void poll_bank(uint32_t number, uint64_t has)
{
    struct mca_bank bank;
    spin_lock(&lock);
    if (read_bank(number, 0, &bank) && mca_severity(&bank, has) == MCA_HARMLESS) {
        (void)wrmsr_safe(MSR_MC_CTL + 4 * number + MC_STATUS, 0);
        if (bank.status & MCI_UNCORRECTED)
            keep(&bank);
        else
            mca_corrected_add(&corrected[MIN(number, ARRAY_LENGTH(corrected) - 1)], &bank, has);
    }
    spin_unlock(&lock);
}

void machine_check_poll(void)
{
    uint64_t has = capabilities();
    for (uint32_t i = 0; i < (has & MCG_BANKS); i++)
        poll_bank(i, has);
}

static bool next_corrected(struct mca_bank *told)
{
    bool found = false;
    spin_lock(&lock);
    for (unsigned i = 0; i < ARRAY_LENGTH(corrected) && !found; i++) {
        found = mca_corrected_is_due(&corrected[i]);
        *told = corrected[i].last;
    }
    spin_unlock(&lock);
    return found;
}

bool machine_check_next(struct mca_bank *told)
{
    static unsigned next;
    if (next >= ARRAY_LENGTH(kept) || !kept[next].is_whole)
        return next_corrected(told);
    *told = kept[next++].bank;
    return true;
}

unsigned machine_check_ended(void)
{
    return ended;
}

void machine_check_print(struct printer *to)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(kept) && kept[i].is_whole; i++)
        mca_print(to, &kept[i].bank);
}

enum mca_action machine_check_serve(bool in_guest, struct mca_bank *consumed)
{
    uint64_t has = capabilities(), global;
    enum mca_severity worst = MCA_NOTHING;
    (void)rdmsr_safe(MSR_MCG_STATUS, &global);
    for (uint32_t i = 0; i < (has & MCG_BANKS); i++) {
        struct mca_bank bank;
        if (!read_bank(i, global, &bank))
            continue;
        bank.severity = mca_severity(&bank, has);
        keep(&bank);
        worst = MAX(worst, bank.severity);
        if (bank.severity == MCA_CONSUMED)
            *consumed = bank;
        if (bank.severity != MCA_NOTHING && bank.severity != MCA_FATAL)
            (void)wrmsr_safe(MSR_MC_CTL + 4 * i + MC_STATUS, 0);
    }
    enum mca_action action = mca_action(worst, global, in_guest);
    if (action == MCA_PANIC) {
        ended++;
        return MCA_PANIC;
    }
    (void)wrmsr_safe(MSR_MCG_STATUS, 0); // another one before this would shut the CPU down
    return action;
}

void machine_check_init(struct printer *to)
{
    uint64_t has = capabilities();
    struct mca_bank bank;
    for (uint32_t i = 0; i < (has & MCG_BANKS); i++) {
        if (read_bank(i, 0, &bank)) {
            mca_print(to, &bank);
            print_to(to, "machine check: the above happened before this boot\n");
        }
        (void)wrmsr_safe(MSR_MC_CTL + 4 * i + MC_STATUS, 0);
        (void)wrmsr_safe(MSR_MC_CTL + 4 * i, UINT64_MAX);
    }
    if (has & MCG_HAS_CTL)
        (void)wrmsr_safe(MSR_MCG_CTL, UINT64_MAX);
    if (has & MCG_HAS_LMCE)
        (void)wrmsr_safe(MSR_MCG_EXT_CTL, MCG_CTL_LMCE); // #GP where firmware has it locked off
}
