// A VM's memory and registers as an ELF core file, as QEMU's dump-guest-memory writes it: crash and
// gdb read it. The file is never whole: any part of it is made when it is asked for. Physical
// addresses are virtual ones, too. System V ABI: "Object Files"; QEMU's target/i386/arch_dump.c has
// the notes.
#pragma once

#include "vm/vm.h"

// Bytes of the whole file; the same for as long as the VM lives.
uint64_t core_size(const struct vm *vm);

// The next part of the file at `offset`, below its size: at most `length` bytes, not 0, and the
// number of them. The VM stands still, with every group of its vCPUs' state in struct vcpu.
uint64_t core_read(const struct vm *vm, uint64_t offset, uint8_t *to, uint64_t length);
