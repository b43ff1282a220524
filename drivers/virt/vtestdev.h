// Ports by which test guests end their VM: an exit code at PORT_DEBUG_EXIT, and the word
// "Shutdown", letter by letter, at PORT_SHUTDOWN. On the board only if the configuration asks for
// it.
#pragma once

#include "vm/bus.h"

struct vtestdev {
    struct vdev device; // the offset is the port
    unsigned matched;   // letters of "Shutdown" so far
};

void vtestdev_init(struct vtestdev *testdev, struct vm *vm);
