// RAM that is not mapped in the nested page tables, for the time being: the services `memory_drop`
// and `memory_fault` of vm/vm.h.
#pragma once

#include "vm/vm.h"

// Asks every vCPU of the VM for INVEPT before its next entry: what its nested page tables said may
// be cached and wrong (ept.generation advanced). Any CPU may call it.
void ram_changed(struct vm *vm);

// Takes the page at `at` out. Without a frame for smaller tables it stays. Any CPU may call it.
void ram_drop(struct vm *vm, gpa_t at);

// Maps the page again, whoever took it out. False: there is no RAM, or no frame for tables.
bool ram_fault(struct vcpu *vcpu, gpa_t at, uint64_t qualification);
