// The operator's side of the machine: the console's input and output while VMs run, and the end
// when none is left.
#pragma once

#include "lib/status.h"

// From now on CPU 0's loop attends to the console, and switches the machine off when no VM is left.
// Before any CPU's loop. CPU `hang` then hangs, if there is such a one.
MUST_CHECK status_t operator_init(unsigned hang);
