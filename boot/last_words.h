// A panic's words, found in memory by the boot that follows.
#pragma once

#include "drivers/host/log.h"
#include "lib/print.h"

// Prints the last lines of the log at `kept` if a panic left one there; then it is of no use any
// more. Returns whether there was one.
bool last_words_print(struct printer *to, struct log *kept);
