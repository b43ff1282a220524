// The exit qualification of port I/O.
#pragma once

#include "lib/bits.h"

#define IO_SIZE   BITS(2, 0) // minus 1
#define IO_IN     BIT(3)
#define IO_STRING BIT(4)
#define IO_REP    BIT(5)
#define IO_PORT   BITS(31, 16)
