// Which parts of a guest's RAM are taken while it is being loaded: the kernel's segments, modules,
// boot information. Everything that a loader writes is claimed first, so nothing overlaps and
// nothing lies outside RAM.
#pragma once

#include "loaders/memory_map.h"

#define MEMBLOCK_REGIONS 64

struct memblock_region {
    uint64_t start;
    uint64_t size;
    const char *name; // for error lines
};

struct memblock {
    const struct memory_map *map;
    unsigned count;
    struct memblock_region region[MEMBLOCK_REGIONS];
};

// Takes [start, start + size). Explained otherwise: STATUS_RANGE (not inside one range of RAM),
// STATUS_OVERLAP, STATUS_FULL. An empty range is always fine.
MUST_CHECK status_t memblock_reserve(struct memblock *memblock, uint64_t start, uint64_t size,
                                     const char *name, struct explanation *why);

// Where a piece may go: at a multiple of `alignment` (a power of two), inside [low, high).
struct memblock_request {
    uint64_t size; // not zero
    uint64_t alignment;
    uint64_t low, high;
    bool is_highest; // as high as possible, else as low
};

// Finds a free place and takes it. STATUS_NO_MEMORY: there is none (explained with the name, its
// size, and the remedy).
MUST_CHECK status_t memblock_alloc(struct memblock *memblock,
                                   const struct memblock_request *request, const char *name,
                                   uint64_t *at, struct explanation *why);
