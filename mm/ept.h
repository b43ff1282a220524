// The extended page tables of one VM: guest-physical to host-physical, in leaves of 1G, 2M and 4K.
// The functions here change the tables while other CPUs walk them: every entry is written by one
// atomic store, and a table is complete before an entry points to it, so that each CPU sees the old
// translation or the new one. Callers serialise changes of one VM's tables; look-ups may run at any
// time. SDM: "The Extended Page Table Mechanism", "Guidelines for Use of the INVEPT Instruction".
#pragma once

#include <stdatomic.h>

#include "lib/status.h"
#include "mm/frame_source.h"

// Format of an entry. An entry is present if any of the three rights is set.
#define EPT_READ        BIT(0)
#define EPT_WRITE       BIT(1)
#define EPT_EXECUTE     BIT(2)
#define EPT_RIGHTS      BITS(2, 0)
#define EPT_MEMORY_TYPE BITS(5, 3)
#define EPT_IGNORE_PAT  BIT(6) // the guest's PAT has no say
#define EPT_LEAF        BIT(7) // at the levels of 1G and 2M
#define EPT_ACCESSED    BIT(8)
#define EPT_DIRTY       BIT(9)
#define EPT_ADDRESS     BITS(51, 12)

#define EPT_MEMORY_UC FIELD_MAKE(EPT_MEMORY_TYPE, 0)
#define EPT_MEMORY_WC FIELD_MAKE(EPT_MEMORY_TYPE, 1)
#define EPT_MEMORY_WT FIELD_MAKE(EPT_MEMORY_TYPE, 4)
#define EPT_MEMORY_WP FIELD_MAKE(EPT_MEMORY_TYPE, 5)
#define EPT_MEMORY_WB FIELD_MAKE(EPT_MEMORY_TYPE, 6)

// Guest memory that no device sees but through us, and the same without the right to write.
#define EPT_RAM (EPT_RIGHTS | EPT_MEMORY_WB | EPT_IGNORE_PAT)
#define EPT_ROM (EPT_RAM & ~EPT_WRITE)

#define EPT_ENTRIES       512
#define EPT_LEVELS        4
#define EPT_ADDRESS_LIMIT BIT(48) // guest-physical addresses of a walk of 4 levels
#define EPT_RETIRED       32

// What the CPUs can do, all of them.
struct ept_features {
    bool pages_1g;
    bool only_4k; // larger pages must not be used
    bool accessed_dirty;
    bool execute_only;
    uint8_t physical_bits;
};

struct ept {
    struct frame_source *frames;
    struct ept_features features;
    _Atomic uint64_t *root;
    unsigned tables; // frames taken and not given back
    // Advances whenever translations that CPUs may have cached became wrong. A CPU that last did
    // INVEPT at another value must do it before its next entry; a right that was taken away is gone
    // for certain only when every CPU that runs this VM has done so.
    _Atomic uint64_t generation;
    // Tables no longer in use that a CPU may still walk from its caches. ept_reclaim() gives them
    // back.
    void *retired[EPT_RETIRED];
    unsigned retired_count;
};

// Begins with empty tables. STATUS_NO_MEMORY: no frame for the root.
MUST_CHECK status_t ept_init(struct ept *ept, struct frame_source *frames,
                             struct ept_features features);

// Gives all frames back. No CPU may use the tables any more.
void ept_destroy(struct ept *ept);

// The EPTP field of the VMCS: write-back, 4 levels, accessed and dirty flags if the CPUs have them.
uint64_t ept_pointer(const struct ept *ept);

// Maps [gpa, gpa + size) to [hpa, hpa + size) in the largest leaves possible. All three are
// multiples of 4K, size not 0; `flags` are rights, a memory type and EPT_IGNORE_PAT. What was
// mapped there is replaced (generation advances); fresh mappings need no INVEPT. STATUS_RANGE: an
// address does not fit; STATUS_INVALID: alignment, or flags that the CPU calls a misconfiguration;
// STATUS_NO_MEMORY: what was mapped so far stays.
MUST_CHECK status_t ept_map(struct ept *ept, gpa_t guest, hpa_t host, uint64_t size,
                            uint64_t flags);

// Takes the range out; holes in it are fine. Generation advances if anything was mapped.
// STATUS_NO_MEMORY: a large page reaches over the range's end and there is no frame to split it;
// the range before it is unmapped.
MUST_CHECK status_t ept_unmap(struct ept *ept, gpa_t guest, uint64_t size);

// Gives what is mapped in the range other rights (not none). Large pages at its ends are split.
// Generation advances if a right was taken away or a page split. Results as for ept_unmap().
MUST_CHECK status_t ept_protect(struct ept *ept, gpa_t guest, uint64_t size, uint64_t rights);

// Makes one leaf of `size` (2M or 1G) at `guest` out of the 512 smaller ones, if they map a
// contiguous, aligned range in the same way. Generation advances. The leaf counts as accessed and
// dirty. STATUS_INVALID: they do not; STATUS_UNSUPPORTED: no pages of this size; STATUS_FULL:
// ept_reclaim() first.
MUST_CHECK status_t ept_merge(struct ept *ept, gpa_t guest, uint64_t size);

// Gives back the tables that became unused. Only after every CPU did INVEPT at the present
// generation.
void ept_reclaim(struct ept *ept);

// ---- looking
// -------------------------------------------------------------------------------------------------------

// One walk as the CPU does it.
struct ept_walk {
    uint64_t entry[EPT_LEVELS]; // from the root on
    unsigned depth;             // entries read
    bool present;               // a leaf was reached
    gpa_t guest;                // start of the leaf, or of the hole
    uint64_t size;              // of the leaf, or of the hole
    hpa_t host;                 // where the leaf begins (if present)
    uint64_t flags;             // of the leaf: everything but the address and EPT_LEAF
};

// Walks to `guest` (below EPT_ADDRESS_LIMIT).
struct ept_walk ept_lookup(const struct ept *ept, gpa_t guest);

// Why the CPU would call the last entry of a walk a misconfiguration, or NULL.
const char *ept_misconfiguration(const struct ept *ept, const struct ept_walk *walk);

// Calls `visit` for each leaf that touches the range, in order, until it returns false.
void ept_visit(const struct ept *ept, gpa_t guest, uint64_t size,
               bool (*visit)(void *context, const struct ept_walk *leaf), void *context);

// Clears `flags` (EPT_ACCESSED, EPT_DIRTY) in each leaf that touches the range and calls `found`
// for those that had one of them (its `flags` as before). Returns how many; generation advances if
// any.
uint64_t ept_test_and_clear(struct ept *ept, gpa_t guest, uint64_t size, uint64_t flags,
                            void (*found)(void *context, const struct ept_walk *leaf),
                            void *context);

// ---- shared by the files of this module
// ----------------------------------------------------------------------------

// The bytes that an entry covers at `level` (1: 4K, 2: 2M, 3: 1G, 4: 512G).
static inline uint64_t ept_level_size(unsigned level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

static inline unsigned ept_index(gpa_t guest, unsigned level)
{
    return (guest.value >> (12 + 9 * (level - 1))) & (EPT_ENTRIES - 1);
}

static inline bool ept_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & EPT_LEAF);
}

static inline _Atomic uint64_t *ept_table(const struct ept *ept, uint64_t entry)
{
    return ept->frames->pointer(ept->frames, hpa(entry & EPT_ADDRESS));
}

// The entry that decides about `guest`: a leaf or a hole; its level in *level.
_Atomic uint64_t *ept_find(const struct ept *ept, gpa_t guest, unsigned *level);
