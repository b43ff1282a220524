// Extended page tables, which take guest-physical addresses to host-physical ones: their format,
// for mm/tables/page_table.h. A CPU that last did INVEPT at another generation must do it before
// its next entry. SDM: "The Extended Page Table Mechanism", "Guidelines for Use of the INVEPT
// Instruction".
#pragma once

#include "mm/tables/page_table.h"

#define EPT_READ       BIT(0)
#define EPT_WRITE      BIT(1)
#define EPT_EXECUTE    BIT(2)
#define EPT_RIGHTS     BITS(2, 0)
#define EPT_MEMORY_WB  FIELD_MAKE(BITS(5, 3), 6)
#define EPT_IGNORE_PAT BIT(6) // the guest's PAT has no say
#define EPT_ACCESSED   BIT(8)
#define EPT_DIRTY      BIT(9)

#define EPT_FORMAT ((struct page_format){EPT_RIGHTS, EPT_ACCESSED | EPT_DIRTY})

// Guest memory that no device sees but through us, and the same without the right to write.
#define EPT_RAM (EPT_RIGHTS | EPT_MEMORY_WB | EPT_IGNORE_PAT)
#define EPT_ROM (EPT_RAM & ~EPT_WRITE)

// The EPTP field of the VMCS: write-back, 4 levels, accessed and dirty flags if the CPUs have them.
static inline uint64_t ept_pointer(const struct page_table *ept, bool accessed_dirty)
{
    return ept->frames->address(ept->frames, (const void *)(uintptr_t)ept->root).value | 6 |
           (PAGE_TABLE_LEVELS - 1) << 3 | (accessed_dirty ? BIT(6) : 0);
}
