// A vCPU's registers as gdb numbers them, and the target description that tells it so: with the
// names of QEMU's. gdb's manual: "Target Descriptions", "i386 Features".
#pragma once

#include "lib/print.h"
#include "vm/vcpu.h"

#define GDB_REGISTER_MAX 16 // bytes

// `is_64`: those of a guest in long mode; else a 32-bit CPU is described, so that gdb understands
// stacks and addresses of protected mode, and with `is_16` the instructions of real mode.

// The size of a register, and its bytes; 0: there is no such register. Needs all groups.
unsigned gdb_register_read(struct vcpu *vcpu, bool is_64, unsigned number,
                           uint8_t bytes[GDB_REGISTER_MAX]);

// Sets it, and takes its size from `bytes`. Only general registers, RIP, flags and those of the FPU
// and SSE can be: what a VM entry would refuse would end the VM. False: cannot.
MUST_CHECK bool gdb_register_write(struct vcpu *vcpu, bool is_64, unsigned number,
                                   const uint8_t bytes[GDB_REGISTER_MAX]);

// The description, from byte `skip` on, at most `most` of it. True: there is more.
bool gdb_target_describe(struct printer *to, bool is_64, bool is_16, uint64_t skip, uint64_t most);
