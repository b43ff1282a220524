// A frame source for tests of mm/tables/page_table.c: a pool of frames at made-up physical
// addresses, which counts what is out, can run dry, and calls back whenever the tested code asks it
// for anything. And a walker that shares nothing with it.
#pragma once

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mm/tables/ept.h"

#define POOL_FRAMES  8192
#define POOL_ADDRESS UINT64_C(0x7654000000)

struct ept_memory {
    struct frame_source source; // first: the functions get a pointer to it
    uint8_t *pool;
    bool taken[POOL_FRAMES];
    unsigned out;   // frames that are out
    unsigned limit; // of frames out
    unsigned next;
    void (*look)(void *context); // called before each answer
    void *context;
};

static inline void memory_look(struct ept_memory *memory)
{
    if (memory->look != NULL)
        memory->look(memory->context);
}

static inline void *memory_allocate(struct frame_source *source)
{
    struct ept_memory *memory = (struct ept_memory *)source;
    memory_look(memory);
    if (memory->out >= memory->limit)
        return NULL;
    while (memory->taken[memory->next])
        memory->next = (memory->next + 1) % POOL_FRAMES;
    unsigned index = memory->next;
    memory->taken[index] = true;
    memory->out++;
    return memset(memory->pool + index * PAGE_SIZE, 0, PAGE_SIZE);
}

static inline unsigned memory_index(const struct ept_memory *memory, const void *frame)
{
    size_t offset = (size_t)((const uint8_t *)frame - memory->pool);
    if (offset % PAGE_SIZE != 0 || offset / PAGE_SIZE >= POOL_FRAMES ||
        !memory->taken[offset / PAGE_SIZE])
        abort(); // no frame of ours that is out
    return (unsigned)(offset / PAGE_SIZE);
}

static inline void memory_free(struct frame_source *source, void *frame)
{
    struct ept_memory *memory = (struct ept_memory *)source;
    memory_look(memory);
    memory->taken[memory_index(memory, frame)] = false;
    memory->out--;
    memset(frame, 0xff, PAGE_SIZE); // a walk through it goes wrong
}

static inline hpa_t memory_address(struct frame_source *source, const void *frame)
{
    struct ept_memory *memory = (struct ept_memory *)source;
    memory_look(memory);
    return hpa(POOL_ADDRESS + memory_index(memory, frame) * PAGE_SIZE);
}

static inline void *memory_at(struct ept_memory *memory, uint64_t address)
{
    if (address < POOL_ADDRESS || address >= POOL_ADDRESS + POOL_FRAMES * PAGE_SIZE)
        abort();
    void *frame = memory->pool + (address - POOL_ADDRESS);
    memory_index(memory, frame);
    return frame;
}

static inline void *memory_pointer(struct frame_source *source, hpa_t address)
{
    struct ept_memory *memory = (struct ept_memory *)source;
    memory_look(memory);
    return memory_at(memory, address.value);
}

static inline struct ept_memory *memory_new(void)
{
    struct ept_memory *memory = calloc(1, sizeof(*memory));
    memory->source =
        (struct frame_source){memory_allocate, memory_free, memory_address, memory_pointer, 1};
    memory->pool = aligned_alloc(PAGE_SIZE, POOL_FRAMES * PAGE_SIZE);
    memory->limit = POOL_FRAMES;
    return memory;
}

static inline void memory_delete(struct ept_memory *memory)
{
    free(memory->pool);
    free(memory);
}

struct translation {
    uint64_t host;  // of the byte asked for
    uint64_t flags; // rights, memory type, ignore PAT, accessed, dirty; 0: not mapped
    unsigned level; // of the leaf or hole
    _Atomic uint64_t *entry;
};

// Walks as a CPU would, from the EPTP value on.
static inline struct translation memory_walk(struct ept_memory *memory, uint64_t eptp,
                                             uint64_t guest)
{
    uint64_t table = eptp & 0x000ffffffffff000, rights = 7;
    for (unsigned level = 4;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        _Atomic uint64_t *at =
            (_Atomic uint64_t *)memory_at(memory, table) + (guest >> shift) % 512;
        uint64_t entry = atomic_load(at), type = entry >> 3 & 7;
        rights &= entry;
        if ((entry & 7) == 0)
            return (struct translation){.level = level, .entry = at};
        if ((entry & 3) == 2)
            abort(); // a misconfiguration: writable but not readable
        if (level == 1 || (level < 4 && (entry & 0x80))) {
            uint64_t within = guest & ((UINT64_C(1) << shift) - 1);
            uint64_t host = entry & 0x000ffffffffff000;
            if (type == 2 || type == 3 || type == 7 || (host & ((UINT64_C(1) << shift) - 1)))
                abort(); // a reserved memory type, or reserved bits in the address
            return (struct translation){host + within, (entry & 0x378) | rights, level, at};
        }
        if (entry & 0xf8)
            abort(); // reserved bits in a pointer to a table
        table = entry & 0x000ffffffffff000;
    }
}
