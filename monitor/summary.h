// What is printed when a VM ends: why, and where its exits went.
#pragma once

#include "lib/print.h"
#include "vm/vm.h"

// The name of an exit reason, up to STATS_OTHER.
const char *summary_reason(unsigned reason);

// The table alone, over all vCPUs.
void summary_exits(struct printer *to, const struct vm *vm);

// Where the vCPU stands whose exit ended the VM, if one did: a dozen lines.
void summary_state(struct printer *to, const struct vm *vm);

void summary_print(struct printer *to, const struct vm *vm);

// The CPU time of each vCPU, `received` in nanoseconds, within the VM's `life`.
void summary_times(struct printer *to, const struct vm *vm, uint64_t life,
                   const uint64_t *received);
