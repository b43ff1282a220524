// A PCI function with the registers of QEMU's pci-testdev: a region of memory and one of ports,
// where a guest chooses one of three tests a region, learns from its header where and what to
// write, and finds there how many writes came in. It has MSI, too, which QEMU's has not: a byte
// written to the memory at VPCITEST_MESSAGE sends the message of this number. Comes with the test
// devices.
#pragma once

#include "drivers/virt/pci/vmsi.h"

#define VPCITEST_MESSAGE  0x400
#define VPCITEST_MESSAGES 4

struct vpcitest {
    struct vdev device; // both regions, by the number in the offset
    struct vpci_function function;
    struct vmsi msi;
    unsigned chosen; // test, counted through both regions; none: as many as there are
    uint32_t count;
};

extern const struct vdev_class vpcitest_class;
