// The disks of a domain that stand in RAM. They outlive its VMs: what one wrote, the next one
// finds. With overcommitment a page has a frame from its first write on, and gives it back when it
// is discarded. Without, all have theirs from the beginning, and lend those that they do without.
#pragma once

#include "drivers/virt/board.h"
#include "mm/tables/frame_chain.h"
#include "vm/config/config.h"
#include "vmx/vmx.h"

struct disks;

struct disk {
    struct block block;
    struct disks *disks; // where it is one of
};

struct disks {
    unsigned id; // of the domain's VMs
    unsigned count;
    struct disk disk[BOARD_DISKS];
    struct vmx_vm *vmx;   // that has them
    struct spinlock lock; // guards which of their pages are there, and `leaving`
    struct frames_leaving leaving;
};

// Makes them. Any result but STATUS_OK is explained; then nothing is taken.
MUST_CHECK status_t disks_make(struct disks *disks, const struct vm_config *config, unsigned id,
                               struct explanation *why);
void disks_release(struct disks *disks, unsigned id);

// Who owns their frames and what else outlives the VMs, which give all back that they have; and how
// many these are.
unsigned disks_owner(unsigned id);
uint64_t disks_frames(unsigned id);

// A VM has them from now on: its view gets what is there, and what comes. False: no memory for its
// tables.
MUST_CHECK bool disks_show(struct disks *disks, struct vmx_vm *vmx);

// A piece of what is left to do for pages that were discarded: now and then.
void disks_settle(struct disks *disks);
