// Changes to extended page tables while other CPUs walk them. See ept.h; called when VMs are built
// and for dirty logs. SDM: "The Extended Page Table Mechanism", "Guidelines for Use of the INVEPT
// Instruction".

#include "mm/ept.h"

// Rights stand in the leaves alone: an entry that points to a table allows everything.
#define TABLE_RIGHTS EPT_RIGHTS

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
        if ((entry & EPT_RIGHTS) && !ept_is_leaf(entry, level))
            destroy_table(ept, ept_table(ept, entry), level - 1);
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

_Atomic uint64_t *ept_find(const struct ept *ept, gpa_t guest, unsigned *level)
{
    _Atomic uint64_t *table = ept->root;
    for (*level = EPT_LEVELS;; --*level) {
        _Atomic uint64_t *entry = &table[ept_index(guest, *level)];
        uint64_t value = atomic_load_explicit(entry, memory_order_acquire);
        if (!(value & EPT_RIGHTS) || ept_is_leaf(value, *level))
            return entry;
        table = ept_table(ept, value);
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
            atomic_store_explicit(&table[i], part + i * ept_level_size(level - 1),
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
    ept->retired[ept->retired_count++] = (void *)(uintptr_t)ept_table(ept, old);
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
    _Atomic uint64_t *table = ept->root;
    for (unsigned at = EPT_LEVELS;; at--) {
        _Atomic uint64_t *entry = &table[ept_index(guest, at)];
        uint64_t old = atomic_load(entry);
        bool present = old & EPT_RIGHTS;
        bool points = present && !ept_is_leaf(old, at);
        if (at <= *level) {
            uint64_t value = host.value | flags | (at > 1 ? EPT_LEAF : 0);
            bool replaceable =
                points && ept->retired_count < EPT_RETIRED && is_empty(ept_table(ept, old));
            if (replaceable)
                replace_table(ept, entry, value);
            else if (!points)
                set_leaf(ept, entry, value);
            if (replaceable || !points) {
                *level = at;
                return STATUS_OK;
            }
        } else if (!points) {
            status_t status = present ? split(ept, entry, at) : extend(ept, entry);
            if (status != STATUS_OK)
                return status;
        }
        table = ept_table(ept, atomic_load(entry));
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
        guest.value += ept_level_size(level);
        host.value += ept_level_size(level);
        size -= ept_level_size(level);
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
        _Atomic uint64_t *entry = ept_find(ept, guest, &level);
        uint64_t old = atomic_load(entry);
        uint64_t covered = ept_level_size(level);
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
    if (!(first & EPT_RIGHTS) || !ept_is_leaf(first, level) ||
        !is_aligned(first & EPT_ADDRESS, ept_level_size(level + 1)))
        return 0;
    for (unsigned i = 1; i < EPT_ENTRIES; i++) {
        uint64_t entry = atomic_load(&table[i]) & ~(EPT_ACCESSED | EPT_DIRTY);
        if (entry != first + i * ept_level_size(level))
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

    unsigned target = size == PAGE_2M ? 2 : 3;
    _Atomic uint64_t *table = ept->root;
    for (unsigned level = EPT_LEVELS;; level--) {
        _Atomic uint64_t *entry = &table[ept_index(guest, level)];
        uint64_t value = atomic_load(entry);
        if (!(value & EPT_RIGHTS) || ept_is_leaf(value, level))
            return STATUS_INVALID;
        table = ept_table(ept, value);
        if (level != target)
            continue;
        uint64_t leaf = merged(table, level - 1);
        if (leaf == 0)
            return STATUS_INVALID;
        replace_table(ept, entry, leaf);
        return STATUS_OK;
    }
}
