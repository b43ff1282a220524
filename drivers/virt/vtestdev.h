// The devices by which test guests talk to the machine that runs them, at the addresses of QEMU's
// pc-testdev, isa-debug-exit and isa-debugcon: ports that end the VM, by an exit code or by the
// word "Shutdown"; a console; a latch of four bytes, at two places; ports that drive the interrupt
// inputs; one that takes a page of RAM out of the nested page tables until the next access; and
// memory where each access is an exit. On the board only if the configuration asks for it.
#pragma once

#include "drivers/virt/vioapic.h"
#include "vm/irq.h"
#include "vm/platform.h"

struct vtestdev {
    struct vdev device; // the offset is the port
    uint32_t latch;
    unsigned matched; // letters of "Shutdown" so far
    struct irq_line line[VIOAPIC_PINS];
    struct vdev memory;
    uint8_t *bytes; // MMIO_TEST_LENGTH of them
};

// The memory stays the caller's and must outlive the VM.
void vtestdev_init(struct vtestdev *testdev, struct vm *vm, uint8_t *bytes);
