// PCI's configuration mechanism #1 (ports CF8h and CFCh) over one bus, which holds a host bridge
// and what the board adds; the windows of ports and of memory in which those functions can be
// placed; and the reset control register at CF9h, which lives among the ports.
#pragma once

#include "vm/bus.h"

#define VPCI_SLOTS     32
#define VPCI_REGISTERS 16 // of a header of type 0; beyond it there are zeros
#define VPCI_REGIONS   6
#define VPCI_BASE      4 // register of the first base address

struct vpci_registers {
    uint32_t reset[VPCI_REGISTERS];    // values after power-on; there is no firmware: base
                                       // addresses are set, and decoding is on
    uint32_t writable[VPCI_REGISTERS]; // which bits a guest can change: the size of a region is its
                                       // base address's lowest one
};

// A function of a device on bus 0; the lock of struct vpci guards it.
struct vpci_function {
    const struct vpci_registers *registers;
    uint32_t value[VPCI_REGISTERS];
    // What answers where the base addresses say, or NULL. Its offsets count from there; the number
    // of the base address is in bits 63:32.
    struct vdev *region[VPCI_REGIONS];
};

struct vpci {
    struct vdev device; // the offset is the port, or the address in the memory window
    uint32_t address;   // CF8h
    uint8_t reset;      // CF9h
    struct vpci_function *slot[VPCI_SLOTS];
    struct vpci_function bridge; // slot 0
};

void vpci_init(struct vpci *pci, struct vm *vm);

// Puts a function into a free slot (1 to 31) of bus 0, before the first entry, and resets it.
MUST_CHECK status_t vpci_add(struct vpci *pci, unsigned slot, struct vpci_function *function,
                             struct explanation *why);
