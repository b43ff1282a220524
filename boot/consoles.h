// The consoles of the VMs and the monitor's, on the serial line: the one multiplexer of this
// machine. Corbel's own messages go to consoles.printer.
#pragma once

#include "monitor/mux.h"

extern struct mux consoles;

// After console_init().
void consoles_init(void);

// A message: a whole line in one piece, since other CPUs print too.
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);
