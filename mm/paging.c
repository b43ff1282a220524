// Building and changing Corbel's page tables. What they are: mm/tables/page_table.h.

#include "mm/paging.h"

#include "arch/x86_64/registers.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/tables/frames.h"
#include "mm/tables/page_table.h"

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_PWT      BIT(3)
#define PTE_PCD      BIT(4)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_GLOBAL   BIT(8)
#define PTE_NX       BIT(63)

#define RAM  (PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_ACCESSED | PTE_DIRTY)
#define DATA (RAM | PTE_GLOBAL)

// As arch/x86_64/cpu.c has the PAT.
static const uint64_t cache_flags[] = {
    [CACHE_WB] = 0, [CACHE_WC] = PTE_PWT, [CACHE_UC] = PTE_PCD | PTE_PWT};

#define FORMAT ((struct page_format){PTE_PRESENT | PTE_WRITE, PTE_ACCESSED | PTE_DIRTY})
#define LEVEL  2 // of the largest pages
#define WINDOW (PAGING_WINDOW % PAGE_TABLE_LIMIT)

// Entries of the top table.
#define ENTRY_SHIFT  39
#define WINDOW_ENTRY (WINDOW >> ENTRY_SHIFT)
#define OTHER_ENTRY  (PAGING_OTHER % PAGE_TABLE_LIMIT >> ENTRY_SHIFT)

extern const uint8_t image_start[], image_text_start[], image_text_end[], image_rodata_start[],
    image_rodata_end[], image_end[], image_data_end[];

static struct frame_source frames;
static struct page_table own;
static unsigned window_entries; // that RAM needs
static uint64_t splits;
static struct spinlock lock; // guards what is hidden and shown in it, and views

// Corbel's own tables are made at boot: there is memory for them, or no machine.
static void need(bool has_memory)
{
    if (!has_memory)
        panic("no memory for page tables");
}

static void map(uint64_t start, uint64_t end, uint64_t flags)
{
    need(page_table_map(&own, start, start, end - start, flags));
}

static void unmap(uint64_t start, uint64_t size)
{
    need(page_table_change(&own, start, size, 0, 0));
}

void paging_init(void)
{
    frames = frames_source(FRAMES_CORBEL);
    window_entries = 0;
    need(page_table_init(&own, FORMAT, LEVEL, &frames));
    map(0, UINT64_C(4) << 30, DATA | cache_flags[CACHE_UC]);
    unmap(0, PAGE_SIZE); // a NULL pointer faults
}

static void map_image(void)
{
    map((uintptr_t)image_start, (uintptr_t)image_end, DATA & ~PTE_WRITE);
    map((uintptr_t)image_text_start, (uintptr_t)image_text_end, PTE_PRESENT | PTE_GLOBAL);
    map((uintptr_t)image_rodata_end, (uintptr_t)image_data_end, DATA);
}

void paging_add_ram(hpa_t start, uint64_t size)
{
    uint64_t first = MAX(align_up(start.value, PAGE_SIZE), PAGE_SIZE);
    uint64_t end = align_down(start.value + size, PAGE_SIZE);
    if (end <= first)
        return;
    window_entries = MAX(window_entries, (unsigned)((end - 1) >> ENTRY_SHIFT) + 1);
    assert(window_entries <= OTHER_ENTRY - WINDOW_ENTRY); // 64 TiB
    map(first, end, RAM);
    need(page_table_map(&own, WINDOW + first, first, end - first, RAM));
}

void paging_load(void)
{
    map_image();
    write_cr3(paging_root());
    write_cr4(read_cr4() & ~BIT(7)); // global pages go too
    write_cr4(read_cr4() | BIT(7));
}

uint64_t paging_root(void)
{
    return (uintptr_t)own.root;
}

void *paging_map(hpa_t start, uint64_t size, enum cache_type type)
{
    uint64_t first = align_down(start.value, PAGE_SIZE);
    uint64_t end = align_up(start.value + size, PAGE_SIZE);
    map(first, end, DATA | cache_flags[type]);
    for (uint64_t page = first; page < end; page += PAGE_SIZE)
        invlpg(page);
    return (void *)start.value;
}

void paging_guard(uint64_t page)
{
    unmap(page, PAGE_SIZE);
    invlpg(page);
}

void paging_set_text(uint64_t page, bool is_text)
{
    map(page, page + PAGE_SIZE, is_text ? PTE_PRESENT : DATA);
    invlpg(page);
}

// ---- guests' memory ----

void paging_hide(hpa_t start, uint64_t size)
{
    spin_lock(&lock);
    unmap(start.value, size);
    spin_unlock(&lock);
    if (size == PAGE_SIZE)
        invlpg(start.value);
    else
        write_cr3(paging_root());
}

void paging_show(hpa_t start, uint64_t size)
{
    spin_lock(&lock);
    map(start.value, start.value + size, RAM);
    spin_unlock(&lock);
}

static bool split(struct page_table *table, uint64_t at)
{
    struct page_entry entry = page_table_walk(table, at, 1);
    return entry.level != 2 || page_table_split(table, entry);
}

bool paging_split(hpa_t at)
{
    spin_lock(&lock);
    bool was_whole = page_table_walk(&own, at.value, 1).level == 2;
    bool is_split = split(&own, at.value);
    splits += is_split && was_whole;
    spin_unlock(&lock);
    return is_split;
}

uint64_t paging_splits(void)
{
    return splits;
}

static struct page_table view_of(uint64_t root, struct frame_source *from)
{
    return (struct page_table){FORMAT, LEVEL, from, .root = (_Atomic uint64_t *)root};
}

// Its top table is complete: others copy that (paging_pair_show()), and RAM may come later.
uint64_t paging_view_make(unsigned owner)
{
    struct frame_source from = frames_source(owner);
    void *top = frame_allocate(owner);
    struct page_table table = view_of((uintptr_t)top, &from);
    if (!top)
        return 0;
    memcpy(top, (const void *)paging_root(), PAGE_SIZE / 2);
    for (uint64_t i = 0; i < window_entries; i++) {
        uint64_t at = WINDOW + i * page_level_size(PAGE_TABLE_LEVELS);
        if (!page_table_split(&table, page_table_walk(&table, at, PAGE_TABLE_LEVELS))) {
            paging_view_free((uintptr_t)top, owner);
            return 0;
        }
    }
    return (uintptr_t)top;
}

bool paging_view_add(uint64_t view, unsigned owner, hpa_t start, uint64_t size)
{
    struct frame_source from = frames_source(owner);
    struct page_table table = view_of(view, &from);
    spin_lock(&lock);
    bool is_there = page_table_map(&table, WINDOW + start.value, start.value, size, RAM);
    spin_unlock(&lock);
    return is_there;
}

bool paging_view_split(uint64_t view, unsigned owner, hpa_t at)
{
    struct frame_source from = frames_source(owner);
    struct page_table table = view_of(view, &from);
    spin_lock(&lock);
    bool is_split = split(&table, WINDOW + at.value);
    spin_unlock(&lock);
    return is_split;
}

void paging_view_take(uint64_t view, unsigned owner, hpa_t page)
{
    struct frame_source from = frames_source(owner);
    struct page_table table = view_of(view, &from);
    spin_lock(&lock);
    need(page_table_change(&table, WINDOW + page.value, PAGE_SIZE, 0, 0));
    spin_unlock(&lock);
    invlpg(PAGING_WINDOW + page.value);
}

void paging_view_free(uint64_t view, unsigned owner)
{
    struct frame_source from = frames_source(owner);
    struct page_table table = view_of(view, &from);
    if (!view)
        return;
    memset((void *)view, 0, PAGE_SIZE / 2); // what all share
    page_table_destroy(&table, UINT32_MAX);
}

uint64_t paging_pair_make(void)
{
    return paging_view_make(FRAMES_CORBEL);
}

void paging_pair_show(uint64_t pair, uint64_t view, uint64_t other)
{
    uint64_t *top = (uint64_t *)pair;
    for (unsigned i = 0; i < window_entries; i++) {
        top[WINDOW_ENTRY + i] = ((const uint64_t *)view)[WINDOW_ENTRY + i];
        top[OTHER_ENTRY + i] = ((const uint64_t *)other)[WINDOW_ENTRY + i];
    }
}

unsigned paging_violations(void)
{
    unsigned found = 0;
    for (uint64_t at = 0, size; at < PAGE_TABLE_LIMIT; at += size) {
        struct page_entry entry = page_table_walk(&own, at, 1);
        size = page_level_size(entry.level);
        bool is_text = at >= (uintptr_t)image_text_start && at + size <= (uintptr_t)image_text_end;
        if ((entry.rights & PTE_PRESENT) && !(entry.value & PTE_NX))
            found += (entry.rights & PTE_WRITE) || !is_text;
    }
    return found;
}
