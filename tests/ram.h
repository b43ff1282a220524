// RAM of a VM in a test, at address 0 and in one piece.
#pragma once

#include <string.h>

#include "vm/gmem.h"

#define TEST_PIECES 4

// The table is the caller's; `size` is at most TEST_PIECES times 2 MiB.
static inline void ram_make(struct gmem *memory, struct gmem_piece table[TEST_PIECES],
                            uint8_t *bytes, uint64_t size)
{
    memset(table, 0, TEST_PIECES * sizeof(*table));
    gmem_init(memory, table, TEST_PIECES);
    gmem_add(memory, gpa(0), bytes, size);
}

// For tests with one VM.
static inline void ram_is(struct gmem *memory, uint8_t *bytes, uint64_t size)
{
    static struct gmem_piece table[TEST_PIECES];
    ram_make(memory, table, bytes, size);
}
