// The image's functions by address, for backtraces. tools/symbols writes the table after a first
// link; linker.ld puts it behind everything else, so that the second link moves nothing.
#pragma once

#include "lib/bits.h"

struct symbol {
    uint32_t address; // physical = linear; the end of a function is the start of the next
    uint32_t name;    // offset in symbol_names
};

extern const uint32_t symbol_count;
extern const struct symbol symbol_table[]; // ascending; one zero entry behind the last
extern const char symbol_names[];
