// Physical memory that is ours to give: a bitmap with a bit for each free frame of 4 KiB, and a
// word for each frame, or each 2 MiB that one holds, that says whose it is. Any CPU may call.
#pragma once

#include "lib/status.h"
#include "mm/tables/frame_source.h"

// Who holds a frame: Corbel itself or a VM, by the number of struct vm (from 1).
#define FRAMES_CORBEL 0
#define FRAME_OWNERS  256
#define FRAMES_SHARED (FRAME_OWNERS - 1) // in their place, once another holds it, too

// Once, with interrupts off: all of RAM, in frames_add() calls over usable ranges; then
// frames_reserve() for what is taken (image, modules, boot data). The bitmap itself is placed
// inside the usable memory. `top` is the end of the highest usable range.
void frames_init(hpa_t bitmap, uint64_t top);
uint64_t frames_bitmap_size(uint64_t top); // bytes that frames_init() needs
void frames_add(hpa_t start, uint64_t size);
void frames_reserve(hpa_t start, uint64_t size);

// From now on owners are known: takes 4 bytes for each frame (1 MiB a GiB) out of the memory, which
// can all be reached. What was allocated before is Corbel's for good. False: no memory for it.
MUST_CHECK bool frames_know_owners(void);

// One zeroed frame for `owner`, or NULL: none is free. Memory is mapped one to one: the pointer is
// the physical address.
void *frame_allocate(unsigned owner);
void frame_free(void *frame, unsigned owner);

// The same for page tables.
struct frame_source frames_source(unsigned owner);

// `size` bytes in one piece (a multiple of 4 KiB), aligned to `alignment` (a power of two, at least
// 4 KiB); not cleared. The search begins at the top of memory, so that large pieces and single
// frames keep apart. NULL: no such piece.
void *frames_allocate(uint64_t size, uint64_t alignment, unsigned owner);

// `owner` holds these frames no more; those that nobody else holds are free. Panics, by the names
// of both, if one is not its own.
void frames_free(void *start, uint64_t size, unsigned owner);

// `owner` does without so many of its frames, which count as free and are nobody else's: whenever
// it wants them again it has them, whatever others ask for. And it uses so many of these again,
// also so as to give them back.
void frames_lend(unsigned owner, uint64_t count);
void frames_claim(unsigned owner, uint64_t count);

// `with` holds this frame of `owner` from now on, too: nobody may write it. False: too many do.
MUST_CHECK bool frame_share(hpa_t frame, unsigned owner, unsigned with);

// How many frames hold this one: 0 if it is free, not ours, or Corbel's from before
// frames_know_owners(). *owner: whose it is, or FRAMES_SHARED.
unsigned frame_holders(hpa_t frame, unsigned *owner);

// The frame at this address has broken: it is not given out again, now or when it is freed.
void frames_retire(hpa_t frame);
bool frame_is_retired(hpa_t frame);

// Zeroes allocated memory, whole frames, which we see at `bytes`; those that were retired are not
// touched.
void frames_clear(hpa_t start, void *bytes, uint64_t size);

// Frames that are free, those of them that are lent by nobody, and the number of all that were
// added and not reserved. Whoever gives back all that it took leaves the first as it was.
uint64_t frames_free_count(void);
uint64_t frames_available(void);
uint64_t frames_total_count(void);

// Frames that are this owner's alone, and those that it holds with others (FRAMES_SHARED: all those
// that are shared, once each); and those that it lends.
struct frames_held {
    uint64_t alone, shared, lent;
};
struct frames_held frames_held(unsigned owner);
