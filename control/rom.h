// The ROM of a domain whose VMs begin with firmware: its code, in front of it the flash memory that
// it keeps variables in. It outlives the VMs, as disks do.
#pragma once

#include "loaders/files.h"
#include "mm/tables/page_table.h"
#include "vm/gmem.h"

struct rom {
    struct gmem memory;                // the bytes, from 0 on
    uint64_t size;                     // 0: there is none
    uint64_t flash;                    // so many of them can be written
    uint64_t filled;                   // ... have their first contents
    struct image part[FIRMWARE_PARTS]; // what these are, by address
};

// Finds the files and takes the memory. `id`: of the domain's VMs. Any result but STATUS_OK is
// explained; then nothing is taken.
MUST_CHECK status_t rom_make(struct rom *rom, const struct vm_config *config, unsigned id,
                             struct explanation *why);
void rom_release(struct rom *rom, unsigned id);

// Copies the files there, the first time; by a task, which may pause. Ends early when
// `is_called_off` is set.
void rom_fill(struct rom *rom, const bool *is_called_off);

// Puts it where a VM has it.
void rom_place(const struct rom *rom, struct gmem *memory);

// A VM's view and its nested page tables get it. False: no memory for theirs.
MUST_CHECK bool rom_show(const struct rom *rom, uint64_t view, struct page_table *ept, unsigned id);
