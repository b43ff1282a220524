// The small registers of a PC's chipset that are latches, or less: port 92h, the POST code and DMA
// page registers, the DMA controllers (nothing on this board uses them), and the delay port.
#pragma once

#include "vm/bus.h"

struct vdma_controller {
    uint16_t address[4];
    uint16_t count[4];
    uint8_t mask;
    bool high; // the byte flip-flop
};

struct vchipset {
    struct vdev device; // the offset is the port
    uint8_t system_a;   // port 92h
    uint8_t page[16];   // ports 80h to 8Fh
    struct vdma_controller dma[2];
};

extern const struct vdev_class vchipset_class;
