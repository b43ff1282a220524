// The operator's side of the machine: the console's input and output while VMs run, and the end
// when none is left.
#pragma once

// From now on the console is attended to, the VMs are watched, and the machine is switched off when
// none is left.
void operator_init(void);
