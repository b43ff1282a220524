// gdb at a serial line of the host's: Corbel's word stream=com2:gdb:NAME. By the operator's task.
#pragma once

#include "boot/info/options.h"

// Takes the line that `options` name, if they do, from now on. Before the first VM is made.
void debugging_init(const struct boot_options *options);

// Moves bytes both ways, and does what gdb asks for. True: more is under way.
bool debugging_poll(void);
