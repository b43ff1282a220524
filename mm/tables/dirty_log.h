// Which pages of a VM's RAM were written: by the guest, and by us (vm/gmem.h). A log begins with
// one entry of each GiB that takes the right to write; what lies below gets it back, as far as the
// log may, when the guest first writes there, and loses it again part by part: each step is
// bounded, and done in the VM's share. So is the end. Callers serialise changes of one VM's EPT.
// What was taken is written no more unseen when every CPU that runs the VM has done INVEPT at
// ept->generation; only then are the pages read.
#pragma once

#include "mm/tables/ept.h"
#include "vm/gmem.h"

// How the writes of a guest to pages of 4K are found, where it may write to the table above them.
// (Larger pages are made small when they are first written.)
enum dirty_how {
    DIRTY_PROTECTED, // each page is protected until then
    DIRTY_FLAGS,     // by their dirty flags
    DIRTY_PML,       // the CPU lists those whose dirty flag it sets
};

struct dirty_log {
    struct page_table *ept;
    struct gmem *memory;
    enum dirty_how how;
    _Atomic uint64_t *bits; // a bit a page, holes included; they are clear once nothing is left
    uint64_t restored;      // after an end, guest-physical: RAM from here on may still be protected
};

// Bytes of a log for this memory.
uint64_t dirty_log_size(const struct gmem *memory);

// There is a log, and it is clear; where the end of one before was not followed to its own end,
// pages may count as written that were so then.
void dirty_log_begin(struct dirty_log *log);

// There is none. CPUs may still look at the bits until their next exit.
void dirty_log_end(struct dirty_log *log);

// A piece of what is left to do after an end: RAM can be written again without a fault, in pages as
// large as they were. False: nothing is left. What it merged waits for page_table_reclaim(); it
// needs that now and then to go on.
bool dirty_log_restore(struct dirty_log *log);

// The guest's access to this page of RAM, which lies at `host`, met an EPT violation: the page was
// taken out, is protected for the log, or another CPU was faster. False: no RAM there, or it is
// away (vm/gmem.h), or no frame for tables.
MUST_CHECK bool dirty_log_fault(struct dirty_log *log, gpa_t page, hpa_t host, bool is_write);

// Takes a page out; what its dirty flag said is kept. False: it is part of a large page, and there
// is no frame to split that.
MUST_CHECK bool dirty_log_drop(struct dirty_log *log, gpa_t page);

// What a CPU of the VM listed by itself. Any number of CPUs may look at once. It is to be done when
// the list is full, and before bits are taken.
#define PML_ENTRIES 512
#define PML_EMPTY   (~UINT64_C(0)) // which the CPU never writes
void dirty_log_collect(const struct dirty_log *log, _Atomic uint64_t list[PML_ENTRIES]);

// Of the 64 pages from number `first` (a multiple of 64) on, those of `which` that were written:
// they are clear from now on. While there is a log.
uint64_t dirty_log_take(struct dirty_log *log, uint64_t first, uint64_t which);
