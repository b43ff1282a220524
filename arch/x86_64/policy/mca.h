// What a bank of the machine-check architecture says, and what can be done about it. Pure: the
// registers are read in machine_check.c. SDM: "Machine-Check Architecture", "Recovery of
// Uncorrected Recoverable (UCR) Errors".
#pragma once

#include "lib/print.h"

// Of IA32_MCi_STATUS.
#define MCI_VALID       BIT(63)
#define MCI_OVERFLOW    BIT(62)
#define MCI_UNCORRECTED BIT(61)
#define MCI_ENABLED     BIT(60) // to raise a machine check
#define MCI_MISC        BIT(59)
#define MCI_ADDRESS     BIT(58)
#define MCI_CORRUPT     BIT(57) // the state of the CPU
#define MCI_SIGNALED    BIT(56)
#define MCI_REQUIRED    BIT(55)      // an action
#define MCI_COUNT       BITS(52, 38) // of corrected errors
#define MCI_CODE        BITS(15, 0)

// In the order in which they weigh.
enum mca_severity {
    MCA_NOTHING,  // no error, or another CPU's, which has the same bank
    MCA_HARMLESS, // corrected, or not to be acted upon
    MCA_LATENT,   // broken data that nobody has used yet (action optional)
    MCA_CONSUMED, // ... that what ran here has used (action required)
    MCA_FATAL,
};

struct mca_bank {
    uint32_t cpu, number;
    uint64_t status, address, misc; // of the bank
    uint64_t global;                // IA32_MCG_STATUS; 0: read outside a machine check
    uint64_t count;                 // corrected errors of a bank of that number; 0: not counted
    enum mca_severity severity;     // as judged then
};

// `capabilities`: IA32_MCG_CAP.
enum mca_severity mca_severity(const struct mca_bank *bank, uint64_t capabilities);

enum mca_action {
    MCA_GO_ON,
    MCA_TELL_GUEST, // it used broken data of its own
    MCA_PANIC,
};

// After a machine check whose worst bank was `worst`.
enum mca_action mca_action(enum mca_severity worst, uint64_t global, bool in_guest);

// The frame that broke; false if the bank does not name one.
bool mca_frame(const struct mca_bank *bank, uint64_t *frame);

// Corrected errors of the banks of one number, which CPUs may share: those of a CPU that has its
// own are counted together.
struct mca_corrected {
    struct mca_bank last;
    uint64_t reported; // of last.count
};

// Notes what was polled; the CPU may have counted errors itself.
void mca_corrected_add(struct mca_corrected *corrected, const struct mca_bank *bank,
                       uint64_t capabilities);

// Whether there is something to report: the first error, and then whenever their number has
// doubled, so that a storm of them is few lines. It counts as reported.
bool mca_corrected_is_due(struct mca_corrected *corrected);

// One line.
void mca_print(struct printer *to, const struct mca_bank *bank);
