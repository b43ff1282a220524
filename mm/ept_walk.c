// Looking at extended page tables: walks for dumps and checks, and the accessed and dirty flags.
// See ept.h. SDM: "EPT Misconfigurations", "Accessed and Dirty Flags for EPT".

#include "mm/ept.h"

struct ept_walk ept_lookup(const struct ept *ept, gpa_t guest)
{
    struct ept_walk walk = {0};
    _Atomic uint64_t *table = ept->root;
    for (unsigned level = EPT_LEVELS;; level--) {
        uint64_t entry =
            atomic_load_explicit(&table[ept_index(guest, level)], memory_order_acquire);
        walk.entry[walk.depth++] = entry;
        walk.size = ept_level_size(level);
        walk.guest = gpa(align_down(guest.value, walk.size));
        if (!(entry & EPT_RIGHTS))
            return walk;
        if (ept_is_leaf(entry, level)) {
            walk.present = true;
            walk.host = hpa(align_down(entry & EPT_ADDRESS, walk.size));
            walk.flags = entry & ~(EPT_ADDRESS | EPT_LEAF);
            return walk;
        }
        table = ept_table(ept, entry);
    }
}

const char *ept_misconfiguration(const struct ept *ept, const struct ept_walk *walk)
{
    unsigned level = EPT_LEVELS + 1 - walk->depth;
    uint64_t entry = walk->entry[walk->depth - 1];
    uint64_t rights = entry & EPT_RIGHTS;
    if (rights == 0)
        return NULL;
    if ((rights & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return "writable but not readable";
    if (rights == EPT_EXECUTE && !ept->features.execute_only)
        return "execute-only, which this CPU does not have";
    if (entry & EPT_ADDRESS & ~(BIT(ept->features.physical_bits) - 1))
        return "address beyond the CPU's physical addresses";
    if (!ept_is_leaf(entry, level))
        return entry & BITS(6, 3) ? "reserved bits 6:3 in a pointer to a table" : NULL;
    if (level == EPT_LEVELS)
        return "reserved bit 7 in a PML4 entry";
    if (level == 3 && !ept->features.pages_1g)
        return "1G page, which this CPU does not have";
    if (entry & EPT_ADDRESS & (ept_level_size(level) - 1))
        return "reserved bits in the address of a large page";
    uint64_t type = FIELD_GET(EPT_MEMORY_TYPE, entry);
    if (type == 2 || type == 3 || type == 7)
        return "reserved memory type";
    return NULL;
}

static uint64_t range_end(gpa_t guest, uint64_t size)
{
    bool fits = guest.value < EPT_ADDRESS_LIMIT && size <= EPT_ADDRESS_LIMIT - guest.value;
    return fits ? guest.value + size : EPT_ADDRESS_LIMIT;
}

void ept_visit(const struct ept *ept, gpa_t guest, uint64_t size,
               bool (*visit)(void *context, const struct ept_walk *leaf), void *context)
{
    uint64_t end = range_end(guest, size);
    while (guest.value < end) {
        struct ept_walk walk = ept_lookup(ept, guest);
        if (walk.present && !visit(context, &walk))
            return;
        guest.value = walk.guest.value + walk.size;
    }
}

uint64_t ept_test_and_clear(struct ept *ept, gpa_t guest, uint64_t size, uint64_t flags,
                            void (*found)(void *context, const struct ept_walk *leaf),
                            void *context)
{
    uint64_t end = range_end(guest, size), count = 0;
    while (guest.value < end) {
        unsigned level;
        _Atomic uint64_t *entry = ept_find(ept, guest, &level);
        struct ept_walk leaf = {.size = ept_level_size(level), .present = true};
        leaf.guest = gpa(align_down(guest.value, leaf.size));
        uint64_t old = atomic_load(entry);
        if ((old & EPT_RIGHTS) && (old & flags)) {
            old = atomic_fetch_and(entry, ~flags);
            leaf.host = hpa(old & EPT_ADDRESS);
            leaf.flags = old & ~(EPT_ADDRESS | EPT_LEAF);
            found(context, &leaf);
            count++;
        }
        guest.value = leaf.guest.value + leaf.size;
    }
    if (count > 0)
        atomic_fetch_add_explicit(&ept->generation, 1, memory_order_release);
    return count;
}
