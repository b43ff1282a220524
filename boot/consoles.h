// The consoles of the VMs and the monitor's, on the serial line: the one multiplexer of this
// machine.
#pragma once

#include "monitor/mux.h"

extern struct mux consoles;

// After console_init().
void consoles_init(void);

// Where messages go from then on.
struct printer *consoles_printer(void);
