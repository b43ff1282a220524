// Machine checks: what a bank says. See mca.h.

#include "arch/x86_64/mca.h"

#define CAP_COUNTS   BIT(10) // of corrected errors (and interrupts about them)
#define CAP_RECOVERY BIT(24) // the bits below that say what is to be done have a meaning

#define GLOBAL_RESTARTS BIT(0) // RIPV: what was interrupted can go on
#define GLOBAL_CAUSE    BIT(1) // EIPV: it is what the error hit

#define STATUS_VALID       BIT(63)
#define STATUS_OVERFLOW    BIT(62)
#define STATUS_UNCORRECTED BIT(61)
#define STATUS_ENABLED     BIT(60) // to raise a machine check
#define STATUS_MISC        BIT(59)
#define STATUS_ADDRESS     BIT(58)
#define STATUS_CORRUPT     BIT(57) // the state of the CPU
#define STATUS_SIGNALED    BIT(56)
#define STATUS_REQUIRED    BIT(55)      // an action
#define STATUS_COUNT       BITS(52, 38) // of corrected errors
#define STATUS_CODE        BITS(15, 0)

#define CODE_DATA_LOAD         UINT64_C(0x134)
#define CODE_INSTRUCTION_FETCH UINT64_C(0x150)

#define MISC_LOWEST_BIT    BITS(5, 0) // of the address that is known
#define MISC_MODE          BITS(8, 6)
#define MISC_MODE_PHYSICAL 2
#define PAGE_BITS          12

enum mca_severity mca_severity(const struct mca_bank *bank, uint64_t capabilities)
{
    uint64_t status = bank->status, code = status & STATUS_CODE;
    if (!(status & STATUS_VALID))
        return MCA_NOTHING;
    if (!(status & STATUS_UNCORRECTED) || !(status & STATUS_ENABLED))
        return MCA_HARMLESS;
    if ((status & STATUS_CORRUPT) || !(capabilities & CAP_RECOVERY))
        return MCA_FATAL;
    if (!(status & STATUS_SIGNALED))
        return status & STATUS_REQUIRED ? MCA_FATAL : MCA_HARMLESS;
    if (!(status & STATUS_REQUIRED))
        return MCA_LATENT;
    if (status & STATUS_OVERFLOW) // one that was lost may have been worse
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
    const uint64_t needed = STATUS_VALID | STATUS_MISC | STATUS_ADDRESS;
    if ((bank->status & needed) != needed ||
        FIELD_GET(MISC_MODE, bank->misc) != MISC_MODE_PHYSICAL ||
        (bank->misc & MISC_LOWEST_BIT) > PAGE_BITS)
        return false;
    *frame = align_down(bank->address, BIT(PAGE_BITS));
    return true;
}

void mca_count(struct mca_tally *tally, const struct mca_bank *bank, uint64_t capabilities)
{
    uint64_t count = capabilities & CAP_COUNTS ? FIELD_GET(STATUS_COUNT, bank->status) : 0;
    count = tally->last.count + MAX(count, 1);
    tally->last = *bank;
    tally->last.count = count;
}

bool mca_tell(struct mca_tally *tally)
{
    if (tally->last.count == 0 || tally->last.count < 2 * tally->told)
        return false;
    tally->told = tally->last.count;
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
             code_name(status), status & STATUS_UNCORRECTED ? "uncorrected" : "corrected",
             status & STATUS_CORRUPT ? ", CPU state corrupt" : "",
             status & STATUS_REQUIRED ? ", action required" : "",
             status & STATUS_OVERFLOW ? ", others lost" : "");
    if (status & STATUS_ADDRESS)
        print_to(to, ", address %#lx", bank->address);
    if (bank->count)
        print_to(to, ", %lu by now", bank->count);
    print_to(to, " (status %016lx misc %lx global %lx)\n", status, bank->misc, bank->global);
}
