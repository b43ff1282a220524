// What was said before a panic, found in memory by the boot that follows.
#pragma once

#include "lib/log.h"

// Prints the last lines of the log at `kept` if a panic left one there; then it is of no use any
// more. Returns whether there was one.
bool crash_log_print(struct printer *to, struct log *kept);
