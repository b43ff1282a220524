// What is printed when a VM ends: why, and where its exits went.
#pragma once

#include "lib/print.h"
#include "vm/vm.h"

// The name of an exit reason, up to STATS_OTHER.
const char *summary_reason(unsigned reason);

// The table alone, over all vCPUs.
void summary_exits(struct printer *to, const struct vm *vm);

// Where the vCPU stands whose exit ended the VM, if one did: less than a screen.
void summary_state(struct printer *to, const struct vm *vm);

// Why the VM has ended.
void summary_end(struct printer *to, const struct vm *vm);

// What it did: the table of exits if it is wanted, the accesses that nobody answered, and the CPU
// time of each vCPU, `received` in nanoseconds, within the VM's `life`.
void summary_figures(struct printer *to, const struct vm *vm, uint64_t life,
                     const uint64_t *received);
