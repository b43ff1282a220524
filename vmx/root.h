// VMX root operation on each CPU. SDM: "Discovering Support for VMX", "Enabling and Entering VMX
// Operation".
#pragma once

#include "vmx/vmx.h"

// Reads this CPU's capability MSRs; where IA32_FEATURE_CONTROL is not locked, VMX is enabled there
// first.
void root_read_capabilities(struct vmx_raw *raw);

// VMXON on this CPU, with control registers that VMX accepts; then nothing stale in its TLB.
MUST_CHECK status_t root_enter(struct explanation *why);

// Before a reset: the chipset may do it by INIT, which is blocked in VMX root operation.
void root_leave(void);
