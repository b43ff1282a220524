// One enum for what can go wrong in code that is ours, and a line of text for the person who must
// mend it.
#pragma once

#include "lib/bits.h"

typedef enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     // the input contradicts its own format
    STATUS_TRUNCATED,   // the input ends too early
    STATUS_UNSUPPORTED, // well-formed, but nothing that we handle
    STATUS_RANGE,       // a number out of its range
    STATUS_OVERLAP,     // two things claim the same place
    STATUS_NOT_FOUND,
    STATUS_NO_MEMORY,
    STATUS_FULL, // a table of fixed size has no room left
} status_t;

// Where a failing function leaves its explanation: one line that names the thing, the value and the
// remedy.
struct explanation {
    char text[256];
};

// Formats the line into `why` (which may be NULL) and returns `status`: `return explain(why,
// STATUS_RANGE, ...)`.
__attribute__((format(printf, 3, 4))) status_t explain(struct explanation *why, status_t status,
                                                       const char *format, ...);
