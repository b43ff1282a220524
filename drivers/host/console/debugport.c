// The debug port of emulators: see debugport.h.

#include "drivers/host/console/debugport.h"
#include "arch/x86_64/io.h"

#define DEBUG_PORT 0xe9

static bool is_present;
static _Atomic bool is_claimed;

void debugport_init(void)
{
    // It reads as its own number; on a board nothing answers.
    is_present = in8(DEBUG_PORT) == DEBUG_PORT;
}

void debugport_write(const uint8_t *bytes, size_t length)
{
    if (!is_claimed)
        debugport_put(bytes, length);
}

bool debugport_is_there(void)
{
    return is_present;
}

void debugport_claim(bool claimed)
{
    is_claimed = claimed;
}

void debugport_put(const uint8_t *bytes, size_t length)
{
    if (!is_present)
        return;
    for (size_t i = 0; i < length; i++)
        out8(DEBUG_PORT, bytes[i]);
}
