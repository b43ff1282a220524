// RAM that is not mapped in the nested page tables for the time being, or not to be written (the
// services `memory_` of vm/vm.h), or broken.
#pragma once

#include "vm/vm.h"
#include "vmx/vmx.h"

// How the log works here: once, before the VM runs.
void ram_setup(struct vmx_vm *vmx);

// Takes the page at `at` out, if there is a frame to split a large one. Any CPU may call it.
void ram_drop(struct vm *vm, gpa_t at);

// Takes the ROM's hidden part out. Any CPU may call it.
void ram_hide(struct vm *vm);

// Maps the page again, whoever took it out, or lets it be written and notes that it was. A page
// that is away comes again; without memory for it the guest waits. False: there is no RAM, or no
// frame for tables.
bool ram_fault(struct vcpu *vcpu, gpa_t at, uint64_t qualification);

// Begins the log of written pages (mm/tables/dirty_log.h), or ends it. The log is complete from
// when every vCPU has served the request that is sent. Any CPU may call it.
void ram_log(struct vm *vm, bool on);

// A piece of what the end of a log leaves to do; while vmx->restores, when a slice of the vCPU
// begins, which is made short.
void ram_restore(struct vmx_vcpu *v);

// What CPUs listed goes into the log: when a list is full, and before the log is looked at.
void ram_collect(struct vm *vm);

// Whether the page at `at` was written since the log began or this was last asked.
bool ram_written(struct vm *vm, gpa_t at);

// Gives the log's memory back: the VM is no more.
void ram_release(struct vm *vm);

// After a VM exit by a machine check. True: the guest used broken memory of its own, which is noted
// in vcpu->error. Panics where the host cannot go on.
bool ram_machine_check(struct vcpu *vcpu);
