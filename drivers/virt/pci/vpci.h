// PCI bus 0: the configuration mechanism #1 (ports CF8h and CFCh) and the memory-mapped one (ECAM)
// over a host bridge and what the board adds; and the reset control register at CF9h, which lives
// among the ports. The bridge of a VM with firmware is a Q35's, which says where its ECAM is.
#pragma once

#include "drivers/virt/pci/q35.h"

#define VPCI_SLOTS 32

struct vpci {
    struct vdev device; // the offset is the port, or PCI_ECAM and that in the ECAM
    uint32_t address;   // CF8h
    uint8_t reset;      // CF9h
    struct vpci_function *slot[VPCI_SLOTS];
    struct vpci_function bridge; // slot 0
    struct vpci_function lpc;    // slot 31 of a Q35
    uint64_t ecam;               // where a Q35's is; 0: nowhere
};

extern const struct vdev_class vpci_class;

// Puts a function into a free slot (1 to 31) of bus 0, and its regions on the VM's buses, before
// the first entry.
MUST_CHECK status_t vpci_add(struct vpci *pci, unsigned slot, struct vpci_function *function,
                             struct explanation *why);
