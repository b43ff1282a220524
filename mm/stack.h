// Stacks of Corbel's own.
#pragma once

#include "lib/bits.h"

// A stack of `size` bytes, whole pages, above a page that is not mapped; it is never given back.
// Returns its top, or 0: no memory. One CPU at a time.
uint64_t stack_make(uint64_t size);
