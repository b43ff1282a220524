// The operator's side of the machine: the console's input and output while VMs run, and the end
// when none is left.
#pragma once

// Runs CPU 0's loop with the console attended to. Never returns: when no VM is left the machine
// goes off.
__attribute__((noreturn)) void operator_run(void);
