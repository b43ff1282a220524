// Building and changing Corbel's page tables.

#include "mm/paging.h"

#include "arch/x86_64/registers.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "mm/frames.h"

#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_PWT      BIT(3)
#define PTE_PCD      BIT(4)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_PAT_4K   BIT(7)
#define PTE_PAT_2M   BIT(12)
#define PTE_GLOBAL   BIT(8)
#define PTE_NX       BIT(63)
#define PTE_ADDRESS  BITS(51, 12)

#define LEVEL_4K  0
#define LEVEL_2M  1
#define LEVEL_TOP 3

#define RAM  (PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_ACCESSED | PTE_DIRTY)
#define DATA (RAM | PTE_GLOBAL)

#define TABLE_SIZE 512

extern const uint8_t image_start[], image_text_start[], image_text_end[], image_rodata_start[],
    image_rodata_end[], image_end[], image_data_end[];

static uint64_t *root;

static uint64_t level_size(unsigned level)
{
    return PAGE_SIZE << (9 * level);
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(entry & PTE_ADDRESS);
}

// Replaces a large page by a table of 4 KiB pages that maps the same.
static bool split(uint64_t *entry)
{
    uint64_t *table = frame_allocate();
    if (!table)
        return false;
    uint64_t flags = *entry & ~(PTE_ADDRESS | PTE_LARGE);
    uint64_t base = *entry & PTE_ADDRESS & ~(uint64_t)PTE_PAT_2M;
    if (*entry & PTE_PAT_2M)
        flags |= PTE_PAT_4K;
    for (unsigned i = 0; i < TABLE_SIZE; i++)
        table[i] = (base + i * PAGE_SIZE) | flags;
    *entry = (uintptr_t)table | PTE_PRESENT | PTE_WRITE;
    return true;
}

static bool add_table(uint64_t *entry)
{
    *entry = (uintptr_t)frame_allocate();
    if (*entry)
        *entry |= PTE_PRESENT | PTE_WRITE;
    return *entry;
}

// The entry that maps `address` at `level`, with the tables above it made and larger pages split;
// NULL: no memory for them.
static uint64_t *find_entry(uint64_t *table, uint64_t address, unsigned level)
{
    for (unsigned at = LEVEL_TOP;; at--) {
        uint64_t *entry = &table[address / level_size(at) % TABLE_SIZE];
        if (at == level)
            return entry;
        if (!(*entry & PTE_PRESENT) ? !add_table(entry) : (*entry & PTE_LARGE) && !split(entry))
            return NULL;
        table = table_of(*entry);
    }
}

// Maps [start, end) at `offset` from there.
static bool map_in(uint64_t *top, uint64_t offset, uint64_t start, uint64_t end, uint64_t flags,
                   uint64_t pat)
{
    for (uint64_t at = start; at < end;) {
        bool large = is_aligned(at, PAGE_2M) && end - at >= PAGE_2M;
        uint64_t *entry = find_entry(top, offset + at, large ? LEVEL_2M : LEVEL_4K);
        if (entry && large && (*entry & PTE_PRESENT) && !(*entry & PTE_LARGE))
            large = false, entry = find_entry(top, offset + at, LEVEL_4K); // keep what was split
        if (!entry)
            return false;
        if (large)
            *entry = at | flags | PTE_LARGE | (pat ? PTE_PAT_2M : 0);
        else
            *entry = at | flags | (pat ? PTE_PAT_4K : 0);
        at += large ? PAGE_2M : PAGE_SIZE;
    }
    return true;
}

// Corbel's own tables are made at boot: there is memory for them, or no machine.
static void need(bool has_memory)
{
    if (!has_memory)
        panic("no memory for page tables");
}

static void map(uint64_t start, uint64_t end, uint64_t flags, uint64_t pat)
{
    need(map_in(root, 0, start, end, flags, pat));
}

static uint64_t *entry_at(uint64_t address, unsigned level)
{
    uint64_t *entry = find_entry(root, address, level);
    need(entry);
    return entry;
}

void paging_init(void)
{
    root = frame_allocate();
    need(root);
    map(0, UINT64_C(4) << 30, DATA | PTE_PCD | PTE_PWT, 0);
    *entry_at(0, LEVEL_4K) = 0; // a NULL pointer faults
}

static void map_image(void)
{
    map((uintptr_t)image_start, (uintptr_t)image_end, (DATA) & ~(uint64_t)PTE_WRITE, 0);
    map((uintptr_t)image_text_start, (uintptr_t)image_text_end, PTE_PRESENT | PTE_GLOBAL, 0);
    map((uintptr_t)image_rodata_end, (uintptr_t)image_data_end, DATA, 0);
}

void paging_add_ram(hpa_t start, uint64_t size)
{
    uint64_t first = MAX(align_up(start.value, PAGE_SIZE), PAGE_SIZE);
    uint64_t end = align_down(start.value + size, PAGE_SIZE);
    if (end <= first)
        return;
    map(first, end, RAM, 0);
    need(map_in(root, PAGING_WINDOW, first, end, RAM, 0));
}

void paging_load(void)
{
    map_image();
    write_cr3((uintptr_t)root);
    write_cr4(read_cr4() & ~BIT(7)); // global pages go too
    write_cr4(read_cr4() | BIT(7));
}

uint64_t paging_root(void)
{
    return (uintptr_t)root;
}

void *paging_map(hpa_t start, uint64_t size, enum cache_type type)
{
    uint64_t first = align_down(start.value, PAGE_SIZE);
    uint64_t end = align_up(start.value + size, PAGE_SIZE);
    uint64_t flags = type == CACHE_UC ? DATA | PTE_PCD | PTE_PWT : DATA;
    map(first, end, flags, type == CACHE_WC);
    for (uint64_t page = first; page < end; page += PAGE_SIZE)
        invlpg(page);
    return (void *)start.value;
}

void paging_guard(uint64_t page)
{
    *entry_at(page, LEVEL_4K) = 0;
    invlpg(page);
}

void paging_set_text(uint64_t page, bool is_text)
{
    *entry_at(page, LEVEL_4K) = page | (is_text ? PTE_PRESENT : DATA);
    invlpg(page);
}

// ---- guests' memory ----

// Nothing is split or made here: RAM that a guest gets is whole pages of 2M.
static void set_shared(hpa_t start, uint64_t size, uint64_t flags)
{
    for (uint64_t at = start.value; at < start.value + size; at += PAGE_2M) {
        uint64_t *entry = entry_at(at, LEVEL_2M);
        if ((*entry & PTE_PRESENT) && !(*entry & PTE_LARGE))
            for (unsigned i = 0; i < TABLE_SIZE; i++)
                table_of(*entry)[i] = flags ? (at + i * PAGE_SIZE) | flags : 0;
        else
            *entry = flags ? at | flags | PTE_LARGE : 0;
    }
}

void paging_hide(hpa_t start, uint64_t size)
{
    set_shared(start, size, 0);
    write_cr3((uintptr_t)root);
}

void paging_show(hpa_t start, uint64_t size)
{
    set_shared(start, size, RAM);
}

uint64_t paging_view_make(void)
{
    uint64_t *top = frame_allocate();
    if (top)
        memcpy(top, root, TABLE_SIZE / 2 * sizeof(*top));
    return (uintptr_t)top;
}

bool paging_view_add(uint64_t view, hpa_t start, uint64_t size)
{
    return map_in((uint64_t *)view, PAGING_WINDOW, start.value, start.value + size, RAM, 0);
}

static void free_tables(uint64_t *table, unsigned level, unsigned from)
{
    for (unsigned i = from; level > LEVEL_4K && i < TABLE_SIZE; i++)
        if ((table[i] & PTE_PRESENT) && !(table[i] & PTE_LARGE))
            free_tables(table_of(table[i]), level - 1, 0);
    frame_free(table);
}

void paging_view_free(uint64_t view)
{
    if (view)
        free_tables((uint64_t *)view, LEVEL_TOP, TABLE_SIZE / 2);
}

// ---- a look at all of it ----

static unsigned violations_in(const uint64_t *table, unsigned level, uint64_t base)
{
    unsigned found = 0;
    for (unsigned i = 0; i < TABLE_SIZE; i++) {
        uint64_t entry = table[i], at = base + i * level_size(level);
        if (!(entry & PTE_PRESENT))
            continue;
        if (level > LEVEL_4K && !(entry & PTE_LARGE)) {
            found += violations_in(table_of(entry), level - 1, at);
        } else if (!(entry & PTE_NX)) {
            bool is_text = at >= (uintptr_t)image_text_start &&
                           at + level_size(level) <= (uintptr_t)image_text_end;
            found += (entry & PTE_WRITE) || !is_text;
        }
    }
    return found;
}

unsigned paging_violations(void)
{
    return violations_in(root, LEVEL_TOP, 0);
}
