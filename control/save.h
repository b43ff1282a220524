// A VM that becomes bytes, and bytes that become a VM again: what of it goes into a saved state
// (docs/stream.md), in its order. From the task of a domain.
#pragma once

#include "control/domain.h"
#include "control/state/saved.h"

// Writes all of a VM that stands still, its state fetched. False: nobody takes it any more, or it
// is called off. STATUS_NO_MEMORY, for what is copied first, and STATUS_UNSUPPORTED, while a
// debugger is attached, are explained.
MUST_CHECK status_t save_write(struct domain *domain, struct saved_writer *writer,
                               struct explanation *why);

// Reads such a state into a VM that is built, its RAM cleared and nothing loaded: its clock goes on
// from where the saved one's stood. Nothing of it is trusted. Any result but STATUS_OK is
// explained: the VM cannot be used.
MUST_CHECK status_t save_read(struct domain *domain, struct saved_reader *reader, const char *name,
                              struct explanation *why);
