// Changes to page tables while CPUs walk them. See page_table.h; called by mm/paging.c for Corbel's
// own, and for EPT when VMs are built and for dirty logs. SDM: "4-Level Paging and 5-Level Paging",
// "The Extended Page Table Mechanism".

#include "mm/tables/page_table.h"

#include "lib/panic.h"

void page_table_changed(struct page_table *table)
{
    atomic_fetch_add(&table->generation, 1);
}

static uint64_t pointer_to(const struct page_table *table, const void *below)
{
    return table->frames->address(table->frames, below).value | table->format.rights;
}

bool page_table_init(struct page_table *table, struct page_format format, unsigned largest,
                     struct frame_source *frames)
{
    *table = (struct page_table){.format = format, .largest = largest, .frames = frames};
    table->root = frames->allocate(frames);
    return table->root != NULL;
}

// The depth of the recursion is bounded by the levels. False: some of it is left.
static bool destroy(struct page_table *table, _Atomic uint64_t *part, unsigned level,
                    unsigned *count)
{
    for (unsigned i = 0; level > 1 && i < PAGE_TABLE_ENTRIES; i++) {
        uint64_t entry = atomic_load(&part[i]);
        if (!page_is_pointer(entry, level))
            continue;
        if (!destroy(table, page_table_below(table, entry), level - 1, count))
            return false;
        atomic_store(&part[i], 0);
    }
    if (!*count)
        return false;
    --*count;
    table->frames->free(table->frames, (void *)(uintptr_t)part);
    return true;
}

void page_table_destroy(struct page_table *table, unsigned count)
{
    page_table_reclaim(table);
    if (table->root && destroy(table, table->root, PAGE_TABLE_LEVELS, &count))
        table->root = NULL;
}

void page_table_reclaim(struct page_table *table)
{
    while (table->retired_count > 0)
        table->frames->free(table->frames, table->retired[--table->retired_count]);
}

struct page_entry page_table_walk(const struct page_table *table, uint64_t at, unsigned lowest)
{
    _Atomic uint64_t *part = table->root;
    struct page_entry entry = {.rights = table->format.rights};
    for (entry.level = PAGE_TABLE_LEVELS;; entry.level--) {
        entry.at = &part[at / page_level_size(entry.level) % PAGE_TABLE_ENTRIES];
        entry.value = atomic_load_explicit(entry.at, memory_order_acquire);
        entry.rights &= entry.value;
        if (entry.level == lowest || !page_is_pointer(entry.value, entry.level))
            return entry;
        part = page_table_below(table, entry.value);
    }
}

bool page_table_split(struct page_table *table, struct page_entry entry)
{
    _Atomic uint64_t *below = table->frames->allocate(table->frames);
    if (!below)
        return false;
    uint64_t old = entry.value;
    do { // the CPU may set flags in the page meanwhile: then the copy is made anew
        uint64_t page = entry.level == 2 ? old & ~PAGE_TABLE_LARGE : old;
        for (unsigned i = 0; old && i < PAGE_TABLE_ENTRIES; i++)
            atomic_store_explicit(&below[i], page + i * page_level_size(entry.level - 1),
                                  memory_order_relaxed);
    } while (!atomic_compare_exchange_strong(entry.at, &old,
                                             pointer_to(table, (void *)(uintptr_t)below)));
    if (old)
        page_table_changed(table);
    return true;
}

// The level of the largest page that may stand at these addresses.
static unsigned level_for(const struct page_table *table, uint64_t addresses, uint64_t size)
{
    unsigned level = table->largest;
    while (size < page_level_size(level) || !is_aligned(addresses, page_level_size(level)))
        level--;
    return level;
}

// Maps one page of at most `*level` at `at`. Its level comes back: smaller where there is a table.
static bool map_page(struct page_table *table, uint64_t at, uint64_t value, unsigned *level)
{
    for (;;) {
        struct page_entry entry = page_table_walk(table, at, *level);
        if (entry.level > *level) {
            if (!page_table_split(table, entry))
                return false;
        } else if (page_is_pointer(entry.value, *level)) {
            --*level;
        } else {
            uint64_t page = *level > 1 ? value | PAGE_TABLE_LARGE : value;
            uint64_t old = atomic_exchange(entry.at, page);
            if (old && ((old ^ page) & ~table->format.noted))
                page_table_changed(table);
            return true;
        }
    }
}

static void check_range(uint64_t addresses, uint64_t at, uint64_t size)
{
    assert(is_aligned(addresses | size, PAGE_SIZE));
    assert(at < PAGE_TABLE_LIMIT && size <= PAGE_TABLE_LIMIT - at);
}

bool page_table_map(struct page_table *table, uint64_t at, uint64_t to, uint64_t size,
                    uint64_t flags)
{
    check_range(at | to, at, size);
    for (uint64_t end = at + size, covered; at < end; at += covered, to += covered) {
        unsigned level = level_for(table, at | to, end - at);
        if (!map_page(table, at, to | flags, &level))
            return false;
        covered = page_level_size(level);
    }
    return true;
}

uint64_t page_table_update(_Atomic uint64_t *entry, uint64_t keep, uint64_t set)
{
    uint64_t old = atomic_load(entry);
    while (!atomic_compare_exchange_weak(entry, &old, (old & keep) | set))
        ;
    return old;
}

bool page_table_change(struct page_table *table, uint64_t at, uint64_t size, uint64_t keep,
                       uint64_t set)
{
    check_range(at, at, size);
    for (uint64_t end = at + size; at < end;) {
        struct page_entry entry = page_table_walk(table, at, 1);
        uint64_t covered = page_level_size(entry.level), first = align_down(at, covered);
        if (entry.value && (first < at || first + covered > end)) {
            if (!page_table_split(table, entry))
                return false;
            continue;
        }
        if (entry.value && (page_table_update(entry.at, keep, set) & ~(keep | set)))
            page_table_changed(table);
        at = first + covered;
    }
    return true;
}

// The page that says the same as the 512 entries below it, whose level is `level`; 0: there is
// none.
static uint64_t merged(const struct page_table *table, const _Atomic uint64_t *below,
                       unsigned level)
{
    uint64_t noted = table->format.noted, first = atomic_load(&below[0]) & ~noted;
    if (!first || page_is_pointer(first, level) ||
        !is_aligned(first & PAGE_TABLE_ADDRESS, page_level_size(level + 1)))
        return 0;
    for (unsigned i = 1; i < PAGE_TABLE_ENTRIES; i++)
        if ((atomic_load(&below[i]) & ~noted) != first + i * page_level_size(level))
            return 0;
    // A CPU may still write by the small pages while we look: better one page too many in a dirty
    // log than one missed.
    return first | PAGE_TABLE_LARGE | noted;
}

bool page_table_merge(struct page_table *table, uint64_t at, unsigned level)
{
    struct page_entry entry = page_table_walk(table, at, level);
    if (level > table->largest || table->retired_count == PAGE_TABLE_RETIRED ||
        entry.level != level || !page_is_pointer(entry.value, level))
        return false;
    _Atomic uint64_t *below = page_table_below(table, entry.value);
    uint64_t page = merged(table, below, level - 1);
    if (!page)
        return false;
    atomic_store(entry.at, page);
    table->retired[table->retired_count++] = (void *)(uintptr_t)below;
    page_table_changed(table);
    table->retired_at = atomic_load(&table->generation);
    return true;
}
