// RAM for a VM or a disk: taken in pieces as large as they can be had, and given back.
#pragma once

#include "vm/gmem.h"

// Bytes that are cleared or filled between two times that others may run.
#define RAM_PIECE (UINT64_C(256) << 10)

// RAM behind an address space of `end` bytes, for `owner` of mm/tables/frames.h: its table (false:
// no memory); its frames for `size` bytes from `start` on, in pieces as large as they can be had,
// not cleared (how many bytes are missing); and all of it back.
MUST_CHECK bool ram_pieces_make(struct gmem *memory, uint64_t end, unsigned owner);
MUST_CHECK uint64_t ram_pieces_take(struct gmem *memory, gpa_t start, uint64_t size,
                                    unsigned owner);
void ram_pieces_release(struct gmem *memory, unsigned owner);
