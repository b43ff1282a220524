// Changes to extended page tables while other CPUs walk them. See ept.h; called when VMs are built
// and for dirty logs. SDM: "The Extended Page Table Mechanism", "Guidelines for Use of the INVEPT
// Instruction".

#include "mm/ept.h"

// Rights stand in the leaves alone: an entry that points to a table allows everything.
#define TABLE_RIGHTS EPT_RIGHTS

// The bytes that an entry covers at `level` (1: 4K, 2: 2M, 3: 1G, 4: 512G).
static uint64_t level_size(unsigned level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static bool is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & EPT_LEAF);
}

static bool is_pointer(uint64_t entry, unsigned level)
{
    return (entry & EPT_RIGHTS) && !is_leaf(entry, level);
}

static _Atomic uint64_t *table_of(const struct ept *ept, uint64_t entry)
{
    return ept->frames->pointer(ept->frames, hpa(entry & EPT_ADDRESS));
}

static void translations_changed(struct ept *ept)
{
    atomic_fetch_add_explicit(&ept->generation, 1, memory_order_release);
}

static _Atomic uint64_t *new_table(struct ept *ept)
{
    void *frame = ept->frames->allocate(ept->frames);
    if (frame != NULL)
        ept->tables++;
    return frame;
}

static void free_table(struct ept *ept, void *frame)
{
    ept->frames->free(ept->frames, frame);
    ept->tables--;
}

static uint64_t pointer_to(const struct ept *ept, const void *table)
{
    return ept->frames->address(ept->frames, table).value | TABLE_RIGHTS;
}

status_t ept_init(struct ept *ept, struct frame_source *frames, struct ept_features features)
{
    *ept = (struct ept){.frames = frames, .features = features};
    ept->root = new_table(ept);
    return ept->root != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

// The depth of the recursion is bounded by the levels.
static void destroy_table(struct ept *ept, _Atomic uint64_t *table, unsigned level)
{
    for (unsigned i = 0; level > 1 && i < EPT_ENTRIES; i++) {
        uint64_t entry = atomic_load(&table[i]);
        if (is_pointer(entry, level))
            destroy_table(ept, table_of(ept, entry), level - 1);
    }
    free_table(ept, table);
}

void ept_destroy(struct ept *ept)
{
    ept_reclaim(ept);
    if (ept->root != NULL)
        destroy_table(ept, ept->root, EPT_LEVELS);
    ept->root = NULL;
}

void ept_reclaim(struct ept *ept)
{
    while (ept->retired_count > 0)
        free_table(ept, ept->retired[--ept->retired_count]);
}

uint64_t ept_pointer(const struct ept *ept)
{
    const uint64_t write_back = 6, walk_length = (EPT_LEVELS - 1) << 3, accessed_dirty = BIT(6);
    return ept->frames->address(ept->frames, ept->root).value | write_back | walk_length |
           (ept->features.accessed_dirty ? accessed_dirty : 0);
}

// The entry on the way to `guest` where a walk ends: a leaf or a hole, or whatever stands at
// `lowest`; its level in *level.
static _Atomic uint64_t *find(const struct ept *ept, gpa_t guest, unsigned lowest, unsigned *level)
{
    _Atomic uint64_t *table = ept->root;
    for (*level = EPT_LEVELS;; --*level) {
        _Atomic uint64_t *entry = &table[guest.value / level_size(*level) % EPT_ENTRIES];
        uint64_t value = atomic_load_explicit(entry, memory_order_acquire);
        if (*level == lowest || !is_pointer(value, *level))
            return entry;
        table = table_of(ept, value);
    }
}

// Replaces the large leaf at `entry` by a table of the next smaller size that says the same. The
// CPU may set accessed and dirty flags in the leaf meanwhile: then the copy is made anew.
static status_t split(struct ept *ept, _Atomic uint64_t *entry, unsigned level)
{
    _Atomic uint64_t *table = new_table(ept);
    if (table == NULL)
        return STATUS_NO_MEMORY;
    uint64_t leaf = atomic_load(entry);
    do {
        uint64_t part = level == 2 ? leaf & ~EPT_LEAF : leaf;
        for (unsigned i = 0; i < EPT_ENTRIES; i++)
            atomic_store_explicit(&table[i], part + i * level_size(level - 1),
                                  memory_order_relaxed);
    } while (!atomic_compare_exchange_strong(entry, &leaf, pointer_to(ept, table)));
    translations_changed(ept);
    return STATUS_OK;
}

// Puts an empty table into the hole at `entry`.
static status_t extend(struct ept *ept, _Atomic uint64_t *entry)
{
    _Atomic uint64_t *table = new_table(ept);
    if (table == NULL)
        return STATUS_NO_MEMORY;
    atomic_store_explicit(entry, pointer_to(ept, table), memory_order_release);
    return STATUS_OK;
}

static bool flags_are_valid(const struct ept *ept, uint64_t flags)
{
    uint64_t type = flags & EPT_MEMORY_TYPE, rights = flags & EPT_RIGHTS;
    if (flags & ~(EPT_RIGHTS | EPT_MEMORY_TYPE | EPT_IGNORE_PAT))
        return false;
    if (rights == 0 || (rights & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return false;
    if (rights == EPT_EXECUTE && !ept->features.execute_only)
        return false;
    return type == EPT_MEMORY_UC || type == EPT_MEMORY_WC || type == EPT_MEMORY_WT ||
           type == EPT_MEMORY_WP || type == EPT_MEMORY_WB;
}

static status_t check_range(gpa_t guest, uint64_t size)
{
    if (!is_aligned(guest.value | size, PAGE_SIZE) || size == 0)
        return STATUS_INVALID;
    if (guest.value >= EPT_ADDRESS_LIMIT || size > EPT_ADDRESS_LIMIT - guest.value)
        return STATUS_RANGE;
    return STATUS_OK;
}

// The level of the largest leaf that may stand at these addresses.
static unsigned leaf_level(const struct ept *ept, gpa_t guest, hpa_t host, uint64_t size)
{
    uint64_t both = guest.value | host.value;
    if (ept->features.only_4k)
        return 1;
    if (ept->features.pages_1g && is_aligned(both, PAGE_1G) && size >= PAGE_1G)
        return 3;
    return is_aligned(both, PAGE_2M) && size >= PAGE_2M ? 2 : 1;
}

static bool is_empty(const _Atomic uint64_t *table)
{
    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        if (atomic_load_explicit(&table[i], memory_order_relaxed) & EPT_RIGHTS)
            return false;
    return true;
}

// Puts `value` in the place of a pointer to a table, which goes to those that may still be walked.
static void replace_table(struct ept *ept, _Atomic uint64_t *entry, uint64_t value)
{
    uint64_t old = atomic_exchange(entry, value);
    ept->retired[ept->retired_count++] = (void *)(uintptr_t)table_of(ept, old);
    translations_changed(ept);
}

// Writes one leaf over a hole or another leaf.
static void set_leaf(struct ept *ept, _Atomic uint64_t *entry, uint64_t value)
{
    uint64_t old = atomic_exchange(entry, value);
    if ((old & EPT_RIGHTS) && (old & ~(EPT_ACCESSED | EPT_DIRTY)) != value)
        translations_changed(ept);
}

// Maps one leaf of at most `level` at `guest`. Its level comes back: smaller where a table is in
// use already.
static status_t map_leaf(struct ept *ept, gpa_t guest, hpa_t host, uint64_t flags, unsigned *level)
{
    for (;;) {
        unsigned at;
        _Atomic uint64_t *entry = find(ept, guest, *level, &at);
        uint64_t old = atomic_load(entry);
        uint64_t value = host.value | flags | (*level > 1 ? EPT_LEAF : 0);
        if (at > *level) {
            status_t status = old & EPT_RIGHTS ? split(ept, entry, at) : extend(ept, entry);
            if (status != STATUS_OK)
                return status;
        } else if (!is_pointer(old, at)) {
            set_leaf(ept, entry, value);
            return STATUS_OK;
        } else if (ept->retired_count < EPT_RETIRED && is_empty(table_of(ept, old))) {
            replace_table(ept, entry, value);
            return STATUS_OK;
        } else {
            --*level;
        }
    }
}

status_t ept_map(struct ept *ept, gpa_t guest, hpa_t host, uint64_t size, uint64_t flags)
{
    status_t status = check_range(guest, size);
    if (status != STATUS_OK)
        return status;
    if (!is_aligned(host.value, PAGE_SIZE) || !flags_are_valid(ept, flags))
        return STATUS_INVALID;
    uint64_t host_limit = BIT(ept->features.physical_bits);
    if (host.value >= host_limit || size > host_limit - host.value)
        return STATUS_RANGE;

    while (size > 0) {
        unsigned level = leaf_level(ept, guest, host, size);
        status = map_leaf(ept, guest, host, flags, &level);
        if (status != STATUS_OK)
            return status;
        guest.value += level_size(level);
        host.value += level_size(level);
        size -= level_size(level);
    }
    return STATUS_OK;
}

// Changes every leaf in the range to (leaf & keep) | set, splitting those that reach out of it.
static status_t change_range(struct ept *ept, gpa_t guest, uint64_t size, uint64_t keep,
                             uint64_t set)
{
    uint64_t end = guest.value + size;
    while (guest.value < end) {
        unsigned level;
        _Atomic uint64_t *entry = find(ept, guest, 1, &level);
        uint64_t old = atomic_load(entry);
        uint64_t covered = level_size(level);
        uint64_t first = align_down(guest.value, covered);
        if (old & EPT_RIGHTS) {
            if (first < guest.value || first + covered > end) {
                status_t status = split(ept, entry, level);
                if (status != STATUS_OK)
                    return status;
                continue;
            }
            // By compare and exchange: the CPU may set a flag at the same time, and it must not be
            // lost.
            while (!atomic_compare_exchange_weak(entry, &old, (old & keep) | set))
                ;
            if (old & EPT_RIGHTS & ~set)
                translations_changed(ept);
        }
        guest.value = first + covered;
    }
    return STATUS_OK;
}

status_t ept_unmap(struct ept *ept, gpa_t guest, uint64_t size)
{
    status_t status = check_range(guest, size);
    return status != STATUS_OK ? status : change_range(ept, guest, size, 0, 0);
}

status_t ept_protect(struct ept *ept, gpa_t guest, uint64_t size, uint64_t rights)
{
    status_t status = check_range(guest, size);
    if (status != STATUS_OK)
        return status;
    if ((rights & ~EPT_RIGHTS) || !flags_are_valid(ept, rights | EPT_MEMORY_WB))
        return STATUS_INVALID;
    return change_range(ept, guest, size, ~EPT_RIGHTS, rights);
}

// The leaf that says the same as the 512 entries of `table`, whose level is `level`; 0 if there is
// none.
static uint64_t merged(const _Atomic uint64_t *table, unsigned level)
{
    uint64_t first = atomic_load(&table[0]) & ~(EPT_ACCESSED | EPT_DIRTY);
    if (!(first & EPT_RIGHTS) || !is_leaf(first, level) ||
        !is_aligned(first & EPT_ADDRESS, level_size(level + 1)))
        return 0;
    for (unsigned i = 1; i < EPT_ENTRIES; i++) {
        uint64_t entry = atomic_load(&table[i]) & ~(EPT_ACCESSED | EPT_DIRTY);
        if (entry != first + i * level_size(level))
            return 0;
    }
    // A CPU may still write by the small pages while we look: better one page too many in a dirty
    // log than one missed.
    return first | EPT_LEAF | EPT_ACCESSED | EPT_DIRTY;
}

status_t ept_merge(struct ept *ept, gpa_t guest, uint64_t size)
{
    if ((size != PAGE_2M && size != PAGE_1G) || !is_aligned(guest.value, size))
        return STATUS_INVALID;
    if (guest.value >= EPT_ADDRESS_LIMIT)
        return STATUS_RANGE;
    if ((size == PAGE_1G && !ept->features.pages_1g) || ept->features.only_4k)
        return STATUS_UNSUPPORTED;
    if (ept->retired_count == EPT_RETIRED)
        return STATUS_FULL;

    unsigned target = size == PAGE_2M ? 2 : 3, level;
    _Atomic uint64_t *entry = find(ept, guest, target, &level);
    uint64_t old = atomic_load(entry);
    uint64_t leaf =
        level == target && is_pointer(old, level) ? merged(table_of(ept, old), level - 1) : 0;
    if (leaf == 0)
        return STATUS_INVALID;
    replace_table(ept, entry, leaf);
    return STATUS_OK;
}

uint64_t ept_test_and_clear(struct ept *ept, gpa_t guest, uint64_t flags, uint64_t *size)
{
    unsigned level;
    _Atomic uint64_t *entry = find(ept, guest, 1, &level);
    uint64_t had = atomic_load(entry) & EPT_RIGHTS ? atomic_fetch_and(entry, ~flags) & flags : 0;
    if (had)
        translations_changed(ept);
    *size = level_size(level);
    return had;
}
