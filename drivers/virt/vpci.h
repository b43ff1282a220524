// PCI's configuration mechanism #1 (ports CF8h and CFCh) over one bus, which holds a host bridge
// and what the board adds; and the reset control register at CF9h, which lives among its ports.
#pragma once

#include "vm/bus.h"

#define VPCI_SLOTS 32

// A device of one function on bus 0. Reads and writes of its configuration space come with the
// register as offset, 1, 2 or 4 bytes, aligned, under the lock of struct vpci.
struct vpci_function {
    void (*access)(struct vpci_function *function, struct access *access);
};

struct vpci {
    struct vdev device; // ports CF8h to CFFh
    uint32_t address;   // CF8h
    uint8_t reset;      // CF9h
    struct vpci_function *slot[VPCI_SLOTS];
    struct vpci_function bridge; // slot 0
};

void vpci_init(struct vpci *pci, struct vm *vm);

// Puts a function into a free slot (1 to 31) of bus 0, before the first entry.
MUST_CHECK status_t vpci_add(struct vpci *pci, unsigned slot, struct vpci_function *function,
                             struct explanation *why);
