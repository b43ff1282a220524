// Where a guest's serial port leads. The port's device is one end, under its own lock; the host's
// console service is the other. Bytes wait in a ring each way, so that neither waits for the other.
#pragma once

#include "lib/ring.h"

struct vm_console {
    struct ring printed;  // by the guest
    struct ring typed;    // for the guest, not offered to the port or refused by it
    _Atomic bool is_held; // bytes wait in the port, for room here: board_flush()
};

// Room for what the guest prints, in one piece. 0: none, and what reads the ring is asked to say
// when there is some.
static inline uint64_t vm_console_room(struct vm_console *console, uint8_t **to)
{
    uint64_t room = ring_room(&console->printed, to);
    if (room)
        return room;
    console->is_held = true;
    return ring_room(&console->printed, to); // there may be some since
}

// A byte that the guest prints. False: no room, and what reads the ring is asked to say when there
// is some.
static inline bool vm_console_put(struct vm_console *console, uint8_t byte)
{
    if (ring_put(&console->printed, byte))
        return true;
    console->is_held = true;
    return ring_put(&console->printed, byte); // there may be room since
}
