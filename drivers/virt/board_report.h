// The board's state in words, for the operator.
#pragma once

#include "lib/print.h"
#include "drivers/virt/virtio/virtio_balloon.h"
#include "vm/vm.h"

// The 8259 pair and the I/O APIC. The VM should stand still.
void board_report_irq(struct printer *to, struct vm *vm);

// All devices, and what their tables of fields name. The VM should stand still.
void board_report_devices(struct printer *to, struct vm *vm);

// The functions on the PCI bus, as QEMU's `info pci` has them. The VM should stand still.
void board_report_pci(struct printer *to, struct vm *vm);

// What the balloon has; its driver is asked for new statistics. False: the VM has none.
MUST_CHECK bool board_report_balloon(struct vm *vm, struct balloon_report *report);
