// Corbel's own page tables: everything one to one, text readable and executable, the rest not
// executable, nothing both writable and executable. SDM: "4-Level Paging and 5-Level Paging".
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

// Takes one page away: a guard below a stack.
void paging_guard(uint64_t page);

// Makes one page of RAM read-only and executable, and plain data again: the trampoline of the other
// CPUs.
void paging_set_text(uint64_t page, bool is_text);

// Walks all tables and counts mappings that are both writable and executable, or executable outside
// the text.
unsigned paging_violations(void);
