// The devices by which test guests talk to the machine that runs them, at the addresses of QEMU's
// pc-testdev and isa-debug-exit: ports that end the VM, by an exit code or by the
// word "Shutdown"; a latch of four bytes, at two places; ports that drive the interrupt
// inputs; one that takes a page of RAM out of the nested page tables until the next access; one, of
// our own, that tells which pages were written; and
// memory where each access is an exit. On the board only if the configuration asks for it.
#pragma once

#include "drivers/virt/legacy/vioapic.h"
#include "vm/irq.h"
#include "vm/platform.h"

struct vtestdev {
    struct vdev device; // the offset is the port
    uint32_t latch;
    uint64_t page;    // that the guest asks about in the log of written pages
    unsigned matched; // letters of "Shutdown" so far
    struct irq_line line[VIOAPIC_PINS];
};

struct vtestmem {
    struct vdev device;
    uint8_t *bytes; // MMIO_TEST_LENGTH of them, the board's builder's
};

extern const struct vdev_class vtestdev_class, vtestmem_class;
