// Dirty logging by write protection, dirty flags or page-modification logging. See dirty_log.h;
// called by vmx/ram.c. SDM: "EPT Violations", "Accessed and Dirty Flags for EPT",
// "Page-Modification Logging", "Guidelines for Use of the INVEPT Instruction".

#include "mm/tables/dirty_log.h"

#include "lib/string.h"

#define ALL          (~UINT64_C(0))
#define WORD_PAGES   64
#define RESTORE_WORK 128 // of one piece: entries that are looked at; a table counts as TABLE_WORK
#define TABLE_WORK   16

uint64_t dirty_log_size(const struct gmem *memory)
{
    return align_up(memory->pieces * (GMEM_PIECE / PAGE_SIZE / 8), PAGE_SIZE);
}

void dirty_log_begin(struct dirty_log *log)
{
    const struct gmem *memory = log->memory;
    __atomic_store_n(&log->memory->dirty, log->bits, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < memory->count; i++) {
        uint64_t at = memory->region[i].start.value, end = at + memory->region[i].size;
        for (at = align_down(at, PAGE_1G); at < end; at += PAGE_1G) {
            struct page_entry entry = page_table_walk(log->ept, at, 3);
            if (entry.level == 3 && entry.value)
                (void)page_table_update(entry.at, ~EPT_WRITE, 0);
        }
    }
    page_table_changed(log->ept);
}

void dirty_log_end(struct dirty_log *log)
{
    __atomic_store_n(&log->memory->dirty, NULL, __ATOMIC_RELEASE);
    log->restored = 0;
}

// The entries of a table that nobody may write through: what each allows from now on. Flags that
// were set before do not count.
static void set_below(struct dirty_log *log, struct page_entry above, uint64_t keep, uint64_t set)
{
    _Atomic uint64_t *entry = page_table_below(log->ept, above.value);
    for (unsigned i = 0; i < PAGE_TABLE_ENTRIES; i++) {
        uint64_t value = atomic_load_explicit(&entry[i], memory_order_relaxed);
        if (value && ((value & keep) | set) != value)
            (void)page_table_update(&entry[i], keep, set);
    }
}

// Gives the right back to one entry on the way to a page, and, but for what says itself when it is
// written, takes it from those below. Without a frame to split a large page it is written, as far
// as the log knows, as a whole.
static void open_entry(struct dirty_log *log, gpa_t page, struct page_entry entry)
{
    const uint64_t size = page_level_size(entry.level);
    bool is_pointer = page_is_pointer(entry.value, entry.level);
    if (!is_pointer && !page_table_split(log->ept, entry)) {
        (void)page_table_update(entry.at, ALL, EPT_WRITE);
        gmem_mark_dirty(log->memory, gpa(align_down(page.value, size)), size);
        return;
    }
    entry.value = atomic_load(entry.at);
    if (entry.level == 2 && log->how != DIRTY_PROTECTED)
        set_below(log, entry, ~EPT_DIRTY, EPT_WRITE);
    else
        set_below(log, entry, ~EPT_WRITE, 0);
    (void)page_table_update(entry.at, ALL, EPT_WRITE);
}

static void open_way(struct dirty_log *log, gpa_t page)
{
    for (unsigned level = 3; level > 1; level--) {
        struct page_entry entry = page_table_walk(log->ept, page.value, level);
        if (entry.level == level && entry.value && !(entry.value & EPT_WRITE))
            open_entry(log, page, entry);
    }
}

static void allow(struct page_entry entry)
{
    if (entry.value)
        (void)page_table_update(entry.at, ALL, EPT_WRITE);
}

// Without a log: gives the right back to the way to a page, and to all of the table of 4K pages
// there, which become a large one if they can. Returns the entry that was served, of level 2 to 4.
static struct page_entry restore_way(struct dirty_log *log, gpa_t page)
{
    struct page_entry entry = page_table_walk(log->ept, page.value, 3);
    allow(entry);
    if (!page_is_pointer(entry.value, entry.level))
        return entry;
    entry = page_table_walk(log->ept, page.value, 2);
    allow(entry);
    if (page_is_pointer(entry.value, 2)) {
        set_below(log, entry, ALL, EPT_WRITE);
        if (page_table_merge(log->ept, page.value, 2))
            (void)page_table_merge(log->ept, page.value, 3);
    }
    return entry;
}

bool dirty_log_fault(struct dirty_log *log, gpa_t page, hpa_t host, bool is_write)
{
    bool is_protected = log->memory->dirty && log->how == DIRTY_PROTECTED;
    if (!gmem_page(log->memory, page))
        return false;
    if (is_write && log->memory->dirty)
        open_way(log, page);
    else if (is_write)
        (void)restore_way(log, page);
    struct page_entry entry = page_table_walk(log->ept, page.value, 1);
    if (!entry.value && !page_table_map(log->ept, page.value, host.value, PAGE_SIZE,
                                        is_protected && !is_write ? EPT_ROM : EPT_RAM))
        return false;
    if (!is_write)
        return true;
    if (entry.value && entry.level == 1)
        (void)page_table_update(entry.at, ALL, EPT_WRITE);
    if (is_protected)
        gmem_mark_dirty(log->memory, page, PAGE_SIZE);
    return true;
}

bool dirty_log_drop(struct dirty_log *log, gpa_t page)
{
    if (!page_table_change(log->ept, page.value, PAGE_SIZE, ALL, 0)) // a page of 4K at least
        return false;
    struct page_entry entry = page_table_walk(log->ept, page.value, 1);
    uint64_t old = entry.level == 1 ? page_table_update(entry.at, 0, 0) : 0;
    if (old)
        page_table_changed(log->ept);
    if (log->how == DIRTY_FLAGS && (entry.rights & EPT_WRITE) && (old & EPT_DIRTY))
        gmem_mark_dirty(log->memory, page, PAGE_SIZE);
    return true;
}

void dirty_log_collect(const struct dirty_log *log, _Atomic uint64_t list[PML_ENTRIES])
{
    for (unsigned i = 0; i < PML_ENTRIES; i++) {
        if (atomic_load_explicit(&list[i], memory_order_relaxed) == PML_EMPTY)
            continue;
        gpa_t page = gpa(align_down(atomic_exchange(&list[i], PML_EMPTY), PAGE_SIZE));
        if (gmem_is_ram(log->memory, page, PAGE_SIZE))
            gmem_mark_dirty(log->memory, page, PAGE_SIZE);
    }
}

// A large page that can be written is protected as it is, so that no table is needed: all of its
// pages are in the log.
uint64_t dirty_log_take(struct dirty_log *log, uint64_t first, uint64_t which)
{
    uint64_t taken = atomic_fetch_and(&log->bits[first / WORD_PAGES], ~which) & which;
    uint64_t look_at = log->how == DIRTY_FLAGS ? which : taken;
    bool changed = false;
    for (; look_at; look_at &= look_at - 1) {
        unsigned bit = lowest_bit(look_at);
        struct page_entry entry = page_table_walk(log->ept, (first + bit) * PAGE_SIZE, 1);
        bool has_flag = entry.level == 1 && log->how != DIRTY_PROTECTED;
        uint64_t flag = has_flag ? EPT_DIRTY : EPT_WRITE;
        if (!(entry.rights & EPT_WRITE) || !(entry.value & flag) ||
            (!has_flag && !(taken & BIT(bit))))
            continue;
        (void)page_table_update(entry.at, ~flag, 0);
        taken |= BIT(bit);
        changed = true;
    }
    if (changed)
        page_table_changed(log->ept);
    return taken;
}

bool dirty_log_restore(struct dirty_log *log)
{
    const uint64_t end = log->memory->pieces * GMEM_PIECE;
    for (unsigned work = 0; work < RESTORE_WORK && log->restored < end;) {
        uint64_t more;
        if (log->ept->retired_count + 2 > PAGE_TABLE_RETIRED) // of both sizes
            return true;
        if (!gmem_next(log->memory, &log->restored, 1, &more)) // what is mapped there is no RAM
            break;
        struct page_entry entry = restore_way(log, gpa(log->restored));
        uint64_t size = MIN(page_level_size(MIN(entry.level, 3)), end - log->restored);
        memset((uint8_t *)log->bits + log->restored / PAGE_SIZE / 8, 0, size / PAGE_SIZE / 8);
        work += entry.level == 2 && !page_is_pointer(entry.value, 2) ? 1 : TABLE_WORK;
        log->restored += size;
    }
    return log->restored < end;
}
