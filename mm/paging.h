// Corbel's own page tables: everything one to one, text readable and executable, the rest not
// executable, nothing both writable and executable. SDM: "4-Level Paging and 5-Level Paging".
//
// Guests' memory is not in that map. It is seen at PAGING_WINDOW, which differs from table to
// table: in the tables that CPUs start with, and work for the operator with, it shows all RAM; in a
// VM's view, in which a CPU runs its vCPUs and serves their exits, the RAM of that VM. So what is
// read by mistake, or speculatively, for one guest is never another's. A view shares all else:
// nothing but RAM that is hidden and shown changes once the first was made.
#pragma once

#include "lib/status.h"
#include "vm/address.h"

enum cache_type { CACHE_WB, CACHE_UC, CACHE_WC };

// Builds the tables: all addresses below 4 GiB (write-back where paging_add_ram() says so, else
// uncached), the image by its sections, page 0 absent. Switches this CPU to them with
// paging_load().
void paging_init(void);
void paging_add_ram(hpa_t start, uint64_t size);
void paging_load(void);
uint64_t paging_root(void); // CR3, below 4 GiB

// Makes [start, start+size) accessible (one to one) with the given type: device memory, tables of
// the firmware.
void *paging_map(hpa_t start, uint64_t size, enum cache_type type);

#define PAGING_WINDOW UINT64_C(0xffff800000000000)

static inline void *paging_window(hpa_t at)
{
    return (void *)(PAGING_WINDOW + at.value);
}
static inline hpa_t paging_window_hpa(const void *bytes)
{
    return hpa((uintptr_t)bytes - PAGING_WINDOW);
}

// Takes RAM out of the one-to-one map, and puts it back: whole pages of 2 MiB, or of 4 KiB where
// paging_split() was done. CPUs that look at it may do so until their next MOV CR3.
void paging_hide(hpa_t start, uint64_t size);
void paging_show(hpa_t start, uint64_t size);

// The one-to-one map has pages of 4 KiB in the 2 MiB of `at` from now on. False: no memory.
MUST_CHECK bool paging_split(hpa_t at);
uint64_t paging_splits(void); // frames that this has taken, for good

// A VM's view, as a value for CR3, or 0: no memory. Its tables are the VM's (`owner`, of
// mm/tables/frames.h). paging_view_add() and paging_view_split() say false without memory.
uint64_t paging_view_make(unsigned owner);
MUST_CHECK bool paging_view_add(uint64_t view, unsigned owner, hpa_t start, uint64_t size);
void paging_view_free(uint64_t view, unsigned owner);

// The RAM of two VMs, for what goes from one to the other by one copy: tables of a CPU's own, which
// show the RAM of `view` where it always is and that of `other` at PAGING_OTHER (vm/gmem.h:
// gmem_beside()), and no third VM's.
#define PAGING_OTHER UINT64_C(0xffffc00000000000)

uint64_t paging_pair_make(void); // once for each CPU; 0: no memory

// What the pair shows from its next MOV CR3 on; both views stay until it is left.
void paging_pair_show(uint64_t pair, uint64_t view, uint64_t other);
// Takes a page of 4 KiB out again, where paging_view_split() was done for its 2 MiB. Other CPUs
// that look at it may do so until their next MOV CR3.
MUST_CHECK bool paging_view_split(uint64_t view, unsigned owner, hpa_t at);
void paging_view_take(uint64_t view, unsigned owner, hpa_t page);

// Takes one page away: a guard below a stack.
void paging_guard(uint64_t page);

// Makes one page of RAM read-only and executable, and plain data again: the trampoline of the other
// CPUs.
void paging_set_text(uint64_t page, bool is_text);

// Walks all tables and counts mappings that are both writable and executable, or executable outside
// the text.
unsigned paging_violations(void);
