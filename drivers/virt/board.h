// The board: every device that a guest finds outside its CPUs, contained by value and wired
// together. Built before a VM's first entry, and anew when it starts again; afterwards reached
// through the VM's buses, its irqchip, and the functions below.
#pragma once

#include "vm/vm.h"

#include "drivers/virt/vchipset.h"
#include "drivers/virt/vfwcfg.h"
#include "drivers/virt/vi8042.h"
#include "drivers/virt/vioapic.h"
#include "drivers/virt/vpci.h"
#include "drivers/virt/vpcitest.h"
#include "drivers/virt/vpic.h"
#include "drivers/virt/vpit.h"
#include "drivers/virt/vpm.h"
#include "drivers/virt/vrtc.h"
#include "drivers/virt/vtestdev.h"
#include "drivers/virt/vuart.h"

#define BOARD_UARTS   2 // COM2 only if the configuration says so
#define BOARD_DEVICES 16

struct board {
    struct vpic pic;
    struct vioapic ioapic;
    struct vpit pit;
    struct vpm pm;
    struct vrtc rtc;
    struct vi8042 keyboard_controller;
    struct vpci pci;
    struct vchipset chipset;
    struct vtestdev testdev; // this and the next two only if the configuration has test devices
    struct vfwcfg fwcfg;
    struct vpcitest pci_test;
    struct vuart uart[BOARD_UARTS];
    unsigned uart_count;
    unsigned device_count;
    struct vdev *device[BOARD_DEVICES]; // all of them
};

// Builds the board that vm->config asks for: inserts its devices on vm->ports and vm->mmio, freezes
// both, fills vm->irqchip, vm->board and vm->device_deadline. `board` is memory of the caller's
// that lives as long as the VM, and so is `test_memory`, MMIO_TEST_LENGTH bytes of zeros, which
// only the test devices need. vm->host and vm->config must be set. Any result but STATUS_OK is
// explained.
MUST_CHECK status_t board_build(struct board *board, struct vm *vm, uint8_t *test_memory,
                                struct explanation *why);

// Lets the devices do what is due at `now` (VM time) and sets vm->device_deadline anew. Any CPU may
// call it; cheap when nothing is due.
void board_tick(struct vm *vm, uint64_t now);

// Input for the guest's serial port `port` (0 to 3), a byte or VUART_BREAK, which Linux takes as
// the SysRq key. False: there is no such port or its FIFO is full; offer it again after the guest
// has read.
MUST_CHECK bool board_uart_receive(struct vm *vm, unsigned port, unsigned byte);

// Console output has room again: ports that were refused by vm->host->console_write() go on. True:
// all that the guest wrote is out.
bool board_uart_room(struct vm *vm);

// The operator presses the power button: an ACPI guest shuts itself down. False: the guest has not
// enabled the button's event, so nothing will happen.
bool board_power_button(struct vm *vm);
