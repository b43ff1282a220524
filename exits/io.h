// The exit qualification of port I/O.
#pragma once

#include "vm/exit.h"

#define IO_SIZE   BITS(2, 0) // minus 1
#define IO_IN     BIT(3)
#define IO_STRING BIT(4)
#define IO_REP    BIT(5)
#define IO_PORT   BITS(31, 16)

// The breakpoints that an IN or OUT has met: called after the exit was handled, for guests that may
// have any. Needs debug_missing().
void io_breakpoints(struct vcpu *vcpu, const struct exit *exit);
