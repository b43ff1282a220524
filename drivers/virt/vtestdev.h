// Ports by which test guests end their VM: an exit code at PORT_DEBUG_EXIT, and the word
// "Shutdown", letter by letter, at PORT_SHUTDOWN; PORT_PAGE_FLUSH, which takes a page of their RAM
// out of the nested page tables until the next access; and a page of plain registers at MMIO_TEST,
// which behaves like RAM except that each access is an exit. On the board only if the configuration
// asks for it.
#pragma once

#include "vm/bus.h"
#include "vm/platform.h"

struct vtestdev {
    struct vdev device; // the offset is the port
    unsigned matched;   // letters of "Shutdown" so far
    struct vdev memory;
    uint8_t bytes[MMIO_TEST_LENGTH];
};

void vtestdev_init(struct vtestdev *testdev, struct vm *vm);
