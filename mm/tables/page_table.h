// Page tables of 4 levels, Corbel's own and those of guests' memory (EPT): one engine for both,
// told apart by a few bits. They change while CPUs walk them: every entry is written by one atomic
// store, and a table is complete before an entry points to it, so that each CPU sees the old
// translation or the new one. Callers serialise changes of one table; walks may run at any time.
#pragma once

#include <stdatomic.h>

#include "lib/status.h"
#include "mm/tables/frame_source.h"

// What differs. In both, an entry that is not present is 0, and a pointer to a table has all
// rights.
struct page_format {
    uint64_t rights; // a page has those that all entries on the way to it have; none: not present
    uint64_t noted;  // accessed and dirty: the CPU sets them
};

#define PAGE_TABLE_ENTRIES 512
#define PAGE_TABLE_LEVELS  4
#define PAGE_TABLE_LIMIT   BIT(48) // of addresses
#define PAGE_TABLE_LARGE   BIT(7)  // a page at the levels of 2M and 1G
#define PAGE_TABLE_ADDRESS BITS(51, 12)
#define PAGE_TABLE_RETIRED 32

struct page_table {
    struct page_format format;
    unsigned largest; // level of the largest pages: 1 (4K), 2 (2M), 3 (1G)
    struct frame_source *frames;
    _Atomic uint64_t *root;
    // Advances whenever translations that CPUs may have cached became wrong. A right that was taken
    // away is gone for certain only when every CPU that uses the table has flushed them.
    _Atomic uint64_t generation;
    // Tables no longer in use that a CPU may still walk from its caches, if it has not flushed
    // since this generation.
    uint64_t retired_at;
    void *retired[PAGE_TABLE_RETIRED];
    unsigned retired_count;
};

// Begins with nothing mapped. False: no frame for the root.
MUST_CHECK bool page_table_init(struct page_table *table, struct page_format format,
                                unsigned largest, struct frame_source *frames);

// Gives the next `count` frames back; table->root is NULL when none is left. No CPU may use it.
void page_table_destroy(struct page_table *table, unsigned count);

// Maps [at, at + size) to [to, to + size) by the largest pages possible; where there is a table
// already, by those of the table. All are multiples of 4K. What was mapped is replaced. False: no
// frame; what was mapped so far stays.
MUST_CHECK bool page_table_map(struct page_table *table, uint64_t at, uint64_t to, uint64_t size,
                               uint64_t flags);

// Changes what is mapped in the range to (entry & keep) | set, 0 and 0 unmap it. Large pages at its
// ends are split. False: no frame for that; the range before is done.
MUST_CHECK bool page_table_change(struct page_table *table, uint64_t at, uint64_t size,
                                  uint64_t keep, uint64_t set);

// Makes one page of `level` (2 or 3) at `at` of the 512 smaller ones, if they map a contiguous,
// aligned range in the same way. It counts as accessed and dirty. False: they do not, there are no
// such pages, or page_table_reclaim() comes first.
bool page_table_merge(struct page_table *table, uint64_t at, unsigned level);

// Gives back the tables that were merged. Only after every CPU flushed at table->retired_at.
void page_table_reclaim(struct page_table *table);

// Where a walk ends: at a page, a hole or whatever stands at level `lowest`.
struct page_entry {
    _Atomic uint64_t *at;
    uint64_t value;
    uint64_t rights; // that it has by itself and by the way to it
    unsigned level;
};

struct page_entry page_table_walk(const struct page_table *table, uint64_t at, unsigned lowest);

// Changes an entry to (value & keep) | set, whatever flags the CPU sets meanwhile. Returns what it
// was. Where it took something away that CPUs may have cached, page_table_changed() follows.
uint64_t page_table_update(_Atomic uint64_t *entry, uint64_t keep, uint64_t set);
void page_table_changed(struct page_table *table);

// Puts a table in the place of a page of level 2 or 3, which maps the same, or of a hole. False: no
// frame.
MUST_CHECK bool page_table_split(struct page_table *table, struct page_entry entry);

// The bytes that an entry covers at `level`.
static inline uint64_t page_level_size(unsigned level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static inline bool page_is_pointer(uint64_t entry, unsigned level)
{
    return level > 1 && entry && !(entry & PAGE_TABLE_LARGE);
}

// The table that an entry points to.
static inline _Atomic uint64_t *page_table_below(const struct page_table *table, uint64_t entry)
{
    return table->frames->pointer(table->frames, hpa(entry & PAGE_TABLE_ADDRESS));
}
