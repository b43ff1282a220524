// A PCI function with the registers of QEMU's pci-testdev: a region of memory and one of ports,
// where a guest chooses one of three tests a region, learns from its header where and what to
// write, and finds there how many writes came in. Comes with the test devices.
#pragma once

#include "drivers/virt/vpci.h"

struct vpcitest {
    struct vpci_function function;
    struct vdev device; // both regions, by the number in the offset
    unsigned chosen;    // test, counted through both regions; none: as many as there are
    uint32_t count;
};

void vpcitest_init(struct vpcitest *test);
