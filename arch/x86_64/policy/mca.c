// Machine checks: what a bank says. See mca.h.

#include "arch/x86_64/policy/mca.h"

#define CAP_COUNTS   BIT(10) // of corrected errors (and interrupts about them)
#define CAP_RECOVERY BIT(24) // the bits below that say what is to be done have a meaning

#define GLOBAL_RESTARTS BIT(0) // RIPV: what was interrupted can go on
#define GLOBAL_CAUSE    BIT(1) // EIPV: it is what the error hit

#define CODE_DATA_LOAD         UINT64_C(0x134)
#define CODE_INSTRUCTION_FETCH UINT64_C(0x150)

#define MISC_LOWEST_BIT    BITS(5, 0) // of the address that is known
#define MISC_MODE          BITS(8, 6)
#define MISC_MODE_PHYSICAL 2
#define PAGE_BITS          12

enum mca_severity mca_severity(const struct mca_bank *bank, uint64_t capabilities)
{
    uint64_t status = bank->status, code = status & MCI_CODE;
    if (!(status & MCI_VALID))
        return MCA_NOTHING;
    if (!(status & MCI_UNCORRECTED) || !(status & MCI_ENABLED))
        return MCA_HARMLESS;
    if ((status & MCI_CORRUPT) || !(capabilities & CAP_RECOVERY))
        return MCA_FATAL;
    if (!(status & MCI_SIGNALED))
        return status & MCI_REQUIRED ? MCA_FATAL : MCA_HARMLESS;
    if (!(status & MCI_REQUIRED))
        return MCA_LATENT;
    if (status & MCI_OVERFLOW) // one that was lost may have been worse
        return MCA_FATAL;
    if (!(bank->global & GLOBAL_CAUSE))
        return MCA_NOTHING;
    return code == CODE_DATA_LOAD || code == CODE_INSTRUCTION_FETCH ? MCA_CONSUMED : MCA_FATAL;
}

enum mca_action mca_action(enum mca_severity worst, uint64_t global, bool in_guest)
{
    if (worst == MCA_CONSUMED && in_guest)
        return MCA_TELL_GUEST;
    return worst < MCA_CONSUMED && (global & GLOBAL_RESTARTS) ? MCA_GO_ON : MCA_PANIC;
}

bool mca_frame(const struct mca_bank *bank, uint64_t *frame)
{
    const uint64_t needed = MCI_VALID | MCI_MISC | MCI_ADDRESS;
    if ((bank->status & needed) != needed ||
        FIELD_GET(MISC_MODE, bank->misc) != MISC_MODE_PHYSICAL ||
        (bank->misc & MISC_LOWEST_BIT) > PAGE_BITS)
        return false;
    *frame = align_down(bank->address, BIT(PAGE_BITS));
    return true;
}

void mca_corrected_add(struct mca_corrected *corrected, const struct mca_bank *bank,
                       uint64_t capabilities)
{
    uint64_t count = capabilities & CAP_COUNTS ? FIELD_GET(MCI_COUNT, bank->status) : 0;
    count = corrected->last.count + MAX(count, 1);
    corrected->last = *bank;
    corrected->last.count = count;
}

bool mca_corrected_is_due(struct mca_corrected *corrected)
{
    if (corrected->last.count == 0 || corrected->last.count < 2 * corrected->reported)
        return false;
    corrected->reported = corrected->last.count;
    return true;
}

// The codes that stand alone, then the compound ones, whose letters are left out. Bit 12 says that
// corrected errors are filtered.
static const struct {
    uint16_t mask, value;
    const char *name;
} codes[] = {
    {0xffff, 0x0001, "unclassified"},
    {0xffff, 0x0002, "parity of the microcode"},
    {0xffff, 0x0003, "external"},
    {0xffff, 0x0004, "functional redundancy check"},
    {0xffff, 0x0005, "internal parity"},
    {0xffff, 0x0006, "SMM handler outside SMRAM"},
    {0xffff, 0x0400, "internal timer: nothing was retired for too long"},
    {0xffff, 0x0e0b, "I/O"},
    {0xeffc, 0x000c, "cache"},
    {0xeff0, 0x0010, "TLB"},
    {0xef80, 0x0080, "memory controller"},
    {0xef00, 0x0100, "cache"},
    {0xec00, 0x0400, "internal"},
    {0xe800, 0x0800, "bus or interconnect"},
};

static const char *code_name(uint64_t status)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(codes); i++)
        if ((status & codes[i].mask) == codes[i].value)
            return codes[i].name;
    return "unknown";
}

void mca_print(struct printer *to, const struct mca_bank *bank)
{
    uint64_t status = bank->status;
    print_to(to, "machine check: CPU %u bank %u: %s error, %s%s%s%s", bank->cpu, bank->number,
             code_name(status), status & MCI_UNCORRECTED ? "uncorrected" : "corrected",
             status & MCI_CORRUPT ? ", CPU state corrupt" : "",
             status & MCI_REQUIRED ? ", action required" : "",
             status & MCI_OVERFLOW ? ", others lost" : "");
    if (status & MCI_ADDRESS)
        print_to(to, ", address %#lx", bank->address);
    if (bank->count)
        print_to(to, ", %lu by now", bank->count);
    print_to(to, " (status %016lx misc %lx global %lx)\n", status, bank->misc, bank->global);
}
