// A vCPU's registers in the shape that users of QEMU's monitor know, for `info registers` and for
// the summary of a VM that died; and a look at guest memory that leaves the guest as it was.
#pragma once

#include "lib/print.h"
#include "vm/vcpu.h"

// General, segment and control registers: 11 lines. All groups of state must be valid.
void registers_print(struct printer *to, const struct vcpu *vcpu);

// Debug registers and MSRs.
void registers_print_more(struct printer *to, const struct vcpu *vcpu);

// "64-bit mode", "real mode", ...
const char *registers_mode(const struct vcpu *vcpu);

// Translates a linear address as the vCPU would, with a kernel's or a user's rights. False: it has
// no translation.
bool registers_translate(struct vcpu *vcpu, uint64_t linear, gpa_t *physical);

// Reads the bytes at RIP, up to `size`. Returns how many could be read.
unsigned registers_code(struct vcpu *vcpu, uint8_t *bytes, unsigned size);
