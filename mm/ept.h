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

// Clears `flags` (EPT_ACCESSED, EPT_DIRTY) in the leaf at `guest` and returns those that it had;
// generation advances if any. *size: what the leaf, or the hole there, covers.
uint64_t ept_test_and_clear(struct ept *ept, gpa_t guest, uint64_t flags, uint64_t *size);
