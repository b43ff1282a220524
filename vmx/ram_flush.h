// What the nested page tables said no more, and every CPU must forget. SDM: "Guidelines for Use of
// the INVEPT Instruction".
#pragma once

#include "vm/vm.h"

// Asks every vCPU of the VM for INVEPT before its next entry: what its nested page tables said may
// be cached and wrong (ept.generation advanced). Any CPU may call it.
void ram_changed(struct vm *vm);

// Every CPU that is in this VM has forgotten what its nested page tables said before `generation`,
// or will do before it enters the guest.
bool ram_have_flushed(const struct vm *vm, uint64_t generation);

// The same of every other CPU: this one does not run the guest now, and was asked to forget.
bool ram_others_have_flushed(const struct vm *vm, uint64_t generation);

// Counts the rounds of all CPUs' loops, for mm/tables/frame_chain.h: between two that follow each
// other each CPU has written CR3, or sleeps, and has done with what an exit looked up. Whoever
// waits asks now and then: rounds that nobody asks for are not counted.
uint64_t ram_round(void);
