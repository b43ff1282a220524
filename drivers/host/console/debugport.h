// Port 0xE9 of Bochs, and of QEMU with a debug console: a byte written there appears at once, at
// the cost of one instruction. Silent on every other machine.
#pragma once

#include "lib/bits.h"

// Looks for the port.
void debugport_init(void);

// Does nothing before debugport_init() has found the port.
void debugport_write(const uint8_t *bytes, size_t length);
