// The disks of a domain that stand in RAM. They outlive its VMs: what one wrote, the next one
// finds.
#pragma once

#include "drivers/virt/board.h"
#include "vm/config/config.h"

struct disks;

struct disk {
    struct block block;
    struct disks *disks; // where it is one of
};

struct disks {
    unsigned id; // of the domain's VMs
    unsigned count;
    struct disk disk[BOARD_DISKS];
    uint64_t view;        // of the VM that has them
    struct spinlock lock; // guards which of their pages are there
};

// Makes them: they take frames when their pages are first written, which are promised to them
// unless memory is overcommitted. Any result but STATUS_OK is explained; then nothing is taken.
MUST_CHECK status_t disks_make(struct disks *disks, const struct vm_config *config, unsigned id,
                               struct explanation *why);
void disks_release(struct disks *disks, unsigned id);

// Who owns their frames and what else outlives the VMs, which give all back that they have; and how
// many these are.
unsigned disks_owner(unsigned id);
uint64_t disks_frames(unsigned id);

// A VM's view gets what is there, and what comes. False: no memory for its tables.
MUST_CHECK bool disks_show(struct disks *disks, uint64_t view);
