// Port 0xE9 of Bochs, and of QEMU with a debug console: a byte written there appears at once, at
// the cost of one instruction. Silent on every other machine.
#pragma once

#include "lib/bits.h"

// Looks for the port.
void debugport_init(void);

// Does nothing before debugport_init() has found the port, or while it is somebody's alone.
void debugport_write(const uint8_t *bytes, size_t length);

// Whether it was found; it becomes the caller's alone, or anybody's again; what only he writes.
bool debugport_is_there(void);
void debugport_claim(bool claimed);
void debugport_put(const uint8_t *bytes, size_t length);
