// Machine checks of the host: the banks are switched on at boot and read out in a panic. SDM:
// "Machine-Check Architecture".
#pragma once

#include "lib/print.h"

// On each CPU: names the errors that are still there from before this boot (a machine that was
// reset by one keeps it), clears them and lets all kinds be reported.
void machine_check_init(struct printer *to);

// Prints the banks of this CPU that hold an error. Returns how many.
unsigned machine_check_print(struct printer *to);
