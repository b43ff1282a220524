// A vCPU's registers in the shape that users of QEMU's monitor know, for `info registers` and for
// the summary of a VM that died.
#pragma once

#include "lib/print.h"
#include "vm/vcpu.h"

// General, segment and control registers: 11 lines. All groups of state must be valid.
void registers_print(struct printer *to, const struct vcpu *vcpu);

// Debug registers and MSRs.
void registers_print_more(struct printer *to, const struct vcpu *vcpu);

// "64-bit mode", "real mode", ...
const char *registers_mode(const struct vcpu *vcpu);
