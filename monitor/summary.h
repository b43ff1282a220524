// What is printed when a VM ends: why, and where its exits went.
#pragma once

#include "lib/print.h"
#include "vm/vm.h"

void summary_print(struct printer *to, const struct vm *vm);
