// Pages of guests' RAM that go back to the machine, and come again as zeros when they are touched
// (the services `memory_give`, `memory_settle` and `memory_is_gone` of vm/vm.h, and vm/gmem.h's
// `take`).
#pragma once

#include "vm/vm.h"
#include "vmx/vmx.h"

// Whether frames that went back may be had by whoever asks first. Else they stay the VM's that gave
// them. Set at boot.
extern bool ram_overcommit;

// The VM's RAM can go and come from now on. STATUS_NO_MEMORY: no memory for the lists.
MUST_CHECK status_t ram_pages_make(struct vm *vm);

// Takes `count` pages from `at` on out of the VM; those that are away or no RAM count, too, and
// those that cannot go for want of memory stay. Returns how many of them it has looked at: fewer
// than `count` while so many are on their way that ram_settle() comes first. By a vCPU of the VM.
uint64_t ram_give(struct vm *vm, gpa_t at, uint64_t count);

// A piece of the way back of what was given. False: nothing is left.
bool ram_settle(struct vm *vm);

// No guest's CPU has any of what was given in its TLB when it runs again. By a vCPU of the VM.
bool ram_is_gone(struct vm *vm);

// Has a page of RAM there that may have been away. NULL: there is no frame for it; the VM is
// starved.
uint8_t *ram_take(const struct gmem *memory, gpa_t page);

// Whether the guest must wait until there is memory for it again, before it touches more.
bool ram_must_wait(struct vm *vm);

// Memory is there for a starved VM.
bool ram_can_go_on(const struct vm *vm);

// All that is on its way goes back at once: the VM is no more.
void ram_pages_release(struct vm *vm);
