// What a board consists of, and the lines between its devices and its interrupt controllers.
#pragma once

#include "vm/vm.h"

#include "drivers/virt/legacy/vchipset.h"
#include "drivers/virt/legacy/vflash.h"
#include "drivers/virt/legacy/vfwcfg.h"
#include "drivers/virt/legacy/vgenid.h"
#include "drivers/virt/legacy/vi8042.h"
#include "drivers/virt/legacy/vioapic.h"
#include "drivers/virt/pci/vpci.h"
#include "drivers/virt/pci/vpcitest.h"
#include "drivers/virt/legacy/vpic.h"
#include "drivers/virt/legacy/vpit.h"
#include "drivers/virt/legacy/vpm.h"
#include "drivers/virt/legacy/vrtc.h"
#include "drivers/virt/legacy/vtestdev.h"
#include "drivers/virt/legacy/vuart.h"
#include "drivers/virt/virtio/virtio_balloon.h"
#include "drivers/virt/virtio/virtio_blk.h"
#include "drivers/virt/virtio/virtio_console.h"
#include "drivers/virt/virtio/virtio_net.h"
#include "drivers/virt/virtio/virtio_rng.h"
#include "drivers/virt/virtio/virtio_vsock.h"

#define BOARD_UARTS   2 // COM2 only if the configuration says so
#define BOARD_DISKS   8
#define BOARD_NETS    4
#define BOARD_DEVICES 40

struct board {
    struct vpic pic;
    struct vioapic ioapic;
    struct vpit pit;
    struct vpm pm;
    struct vrtc rtc;
    struct vi8042 keyboard_controller;
    struct vpci pci;
    struct vchipset chipset;
    struct vgenid generation;
    struct vflash flash;     // only if the VM's ROM is one
    struct vfwcfg fwcfg;     // for firmware, and with test devices
    struct vtestdev testdev; // this and the next two only if the configuration has test devices
    struct vtestmem testmem;
    struct vpcitest pci_test;
    struct vuart uart[BOARD_UARTS];
    unsigned uart_count;
    struct virtio_blk disk[BOARD_DISKS];
    unsigned disk_count;
    struct virtio_net net[BOARD_NETS];
    unsigned net_count;
    char boot_order[BOARD_DISKS * 40]; // for firmware: the disks in their order
    unsigned boot_order_size;
    struct virtio_console console, agent; // these and the next only if the configuration says so
    struct virtio_rng rng;
    struct virtio_balloon balloon; // only if the configuration says so
    struct virtio_vsock *vsock;    // of the parts, or NULL
    unsigned next_slot;            // of PCI, and where the next regions of functions go
    uint32_t next_port;
    uint32_t next_memory;
    struct spinlock irq_lock;     // guards `raised`; taken under the locks of devices
    uint8_t raised[VIOAPIC_PINS]; // how many lines hold each input up
    unsigned device_count;
    struct vdev *device[BOARD_DEVICES]; // all of them, in the order of a saved state
};

// What a board is built with, besides the VM's traits: memory of the caller's that lives as long as
// the VM.
struct board_parts {
    uint8_t *test_memory; // MMIO_TEST_LENGTH bytes of zeros, for the test devices
    const struct block *disk[BOARD_DISKS];
    unsigned disk_count;
    struct net_port *port[BOARD_NETS]; // of its network cards
    unsigned port_count;
    struct virtio_vsock_card *vsock; // or NULL
    uint64_t
        flash; // bytes of the VM's ROM, from its start on, that are a chip which can be written
};

// The device is one of the board's, from now on.
void board_plug(struct board *board, struct vm *vm, struct vdev *device,
                const struct vdev_class *class);

// The line raises the interrupt controllers' input `irq`.
void board_connect(struct board *board, struct irq_line *line, unsigned irq);

// Counts the lines that are up anew, from what the devices' fields say.
void board_count_lines(struct board *board);
