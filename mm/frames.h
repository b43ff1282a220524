// Physical memory that is ours to give: a bitmap with a bit for each 4 KiB frame of RAM. Any CPU
// may call.
#pragma once

#include "lib/status.h"
#include "vm/address.h"

// Once, with interrupts off: all of RAM, in frames_add() calls over usable ranges; then
// frames_reserve() for what is taken (image, modules, boot data). The bitmap itself is placed
// inside the usable memory. `top` is the end of the highest usable range.
void frames_init(hpa_t bitmap, uint64_t top);
uint64_t frames_bitmap_size(uint64_t top); // bytes that frames_init() needs
void frames_add(hpa_t start, uint64_t size);
void frames_reserve(hpa_t start, uint64_t size);

// One zeroed frame, or NULL. Memory is mapped one to one: the pointer is the physical address.
void *frame_allocate(void);
void frame_free(void *frame);

// `size` bytes in one piece (a multiple of 4 KiB), aligned to `alignment` (a power of two, at least
// 4 KiB); not cleared. The search begins at the top of memory, so that large pieces and single
// frames keep apart. NULL: no such piece.
void *frames_allocate(uint64_t size, uint64_t alignment);
void frames_free(void *start, uint64_t size);

// The frame at this address has broken: it is not given out again, now or when it is freed. False:
// no more can be remembered.
MUST_CHECK bool frames_retire(hpa_t frame);

// Zeroes allocated memory, whole frames, which we see at `bytes`; those that were retired are not
// touched.
void frames_clear(hpa_t start, void *bytes, uint64_t size);

// Frames that can be allocated now, and the number of all that were added and not reserved. Whoever
// gives back all that it took leaves the first as it was.
uint64_t frames_free_count(void);
uint64_t frames_total_count(void);
