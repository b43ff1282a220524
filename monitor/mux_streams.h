// A VM's console for whoever is not at the terminal: what the guest prints, and what is typed for
// it.
#pragma once

#include "monitor/mux.h"

// Copies what the guest printed from *position (0 at first) on, as far as it is still there;
// *position moves behind it. Returns the number of bytes.
uint64_t mux_read(const struct mux *mux, unsigned slot, uint64_t *position, uint8_t *to,
                  uint64_t most);

// Types bytes for the guest, as many as can wait for it: their number. From one CPU at a time, as
// mux_type().
uint64_t mux_type_into(struct mux *mux, unsigned slot, const uint8_t *bytes, uint64_t count);
