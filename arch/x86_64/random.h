// Numbers that nobody can guess, from the CPU's own source.
#pragma once

#include <stddef.h>

#include "lib/bits.h"

// Which instructions all CPUs have. False: none, and there are no numbers. After features_note();
// also again.
bool random_init(void);

// Fills what it can of `bytes` bytes, on any CPU. Returns how many: the source may be dry.
size_t random_fill(uint8_t *to, size_t bytes);
