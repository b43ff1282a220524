// The keyboard's controller, as the firmware has left it: polled, with scan codes of set 1.
// Firmware lets many USB keyboards appear there, too.
#pragma once

#include "lib/bits.h"

// The next scan code, or -1. What a mouse sends is dropped. A machine without the controller has
// none.
int i8042_read(void);
