// The two 8259 interrupt controllers of the PC: only to be silenced.
#pragma once

#include <stdint.h>

// Masks all their lines. First gives them 16 vectors of their own from `vector_base` (a multiple of
// 8, 32 or above): even masked, they may still deliver a spurious interrupt (vector_base + 7 or +
// 15), which must not look like an exception.
void pic_disable(uint8_t vector_base);
