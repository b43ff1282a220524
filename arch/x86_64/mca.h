// What a bank of the machine-check architecture says, and what can be done about it. Pure: the
// registers are read in machine_check.c. SDM: "Machine-Check Architecture", "Recovery of
// Uncorrected Recoverable (UCR) Errors".
#pragma once

#include "lib/print.h"

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
struct mca_tally {
    struct mca_bank last;
    uint64_t told; // of last.count
};

// Notes what was polled; the CPU may have counted errors itself.
void mca_count(struct mca_tally *tally, const struct mca_bank *bank, uint64_t capabilities);

// Whether there is something to be told: the first error, and then whenever their number has
// doubled, so that a storm of them is few lines. It counts as told.
bool mca_tell(struct mca_tally *tally);

// One line.
void mca_print(struct printer *to, const struct mca_bank *bank);
