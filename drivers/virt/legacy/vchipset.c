// Chipset registers that guests touch on their way. Intel's data sheet "8237A High Performance
// Programmable DMA Controller" for the two DMA controllers. Called from the port bus.
#include "drivers/virt/legacy/vchipset.h"

#include "vm/platform.h"
#include "vm/vm.h"

#define SYSTEM_A_RESET 0x01 // rising: resets the CPU
#define SYSTEM_A_A20   0x02 // kept, but A20 is always open

enum vdma_register { // from 8 on; below are address and count of each channel
    DMA_STATUS = 8,
    DMA_REQUEST,
    DMA_SINGLE_MASK,
    DMA_MODE,
    DMA_CLEAR_FLIP_FLOP,
    DMA_MASTER_CLEAR,
    DMA_CLEAR_MASK,
    DMA_ALL_MASK,
};

static uint8_t dma_read(struct vdma_controller *dma, unsigned reg)
{
    if (reg >= DMA_STATUS)
        return reg == DMA_ALL_MASK ? dma->mask | 0xf0 : 0; // no channel has ever finished
    uint16_t value = reg & 1 ? dma->count[reg / 2] : dma->address[reg / 2];
    bool high = dma->high;
    dma->high = !high;
    return (uint8_t)(high ? value >> 8 : value);
}

static void dma_write(struct vdma_controller *dma, unsigned reg, uint8_t value)
{
    if (reg < DMA_STATUS) {
        uint16_t *target = reg & 1 ? &dma->count[reg / 2] : &dma->address[reg / 2];
        *target = dma->high ? (uint16_t)((*target & 0xff) | value << 8)
                            : (uint16_t)((*target & 0xff00) | value);
        dma->high = !dma->high;
        return;
    }
    switch (reg) {
    case DMA_SINGLE_MASK:
        dma->mask =
            (uint8_t)((dma->mask & ~(1U << (value & 3))) | (value & 4 ? 1U << (value & 3) : 0));
        break;
    case DMA_CLEAR_FLIP_FLOP:
        dma->high = false;
        break;
    case DMA_MASTER_CLEAR:
        dma->high = false;
        dma->mask = 0x0f;
        break;
    case DMA_CLEAR_MASK:
        dma->mask = 0;
        break;
    case DMA_ALL_MASK:
        dma->mask = value & 0x0f;
        break;
    default: // command, mode and request: nothing ever asks for DMA
        break;
    }
}

static void access_dma(struct vdma_controller *dma, unsigned reg, struct access *access)
{
    if (access->write)
        dma_write(dma, reg, (uint8_t)access->value);
    else
        access->value = dma_read(dma, reg);
}

static void access_latch(uint8_t *latch, struct access *access)
{
    if (access->write)
        *latch = (uint8_t)access->value;
    else
        access->value = *latch;
}

static void write_system_a(struct vchipset *chipset, uint8_t value)
{
    bool rises = value & ~chipset->system_a & SYSTEM_A_RESET;
    chipset->system_a = value & (SYSTEM_A_RESET | SYSTEM_A_A20);
    if (rises)
        vm_stop(chipset->device.vm, STOP_RESET, 0);
}

static bool vchipset_access(struct vdev *device, struct access *access)
{
    struct vchipset *chipset = CONTAINER_OF(device, struct vchipset, device);
    uint64_t port = access->offset;
    if (port == PORT_SYSTEM_A) {
        if (access->write)
            write_system_a(chipset, (uint8_t)access->value);
        else
            access->value = chipset->system_a;
    } else if (port == PORT_DELAY) {
        access->value = access->write ? access->value : 0xff;
    } else if (port >= PORT_DMA2) {
        access_dma(&chipset->dma[1], (unsigned)(port - PORT_DMA2) / 2, access);
    } else if (port >= PORT_DMA_PAGE) {
        access_latch(&chipset->page[port & 15], access);
    } else {
        access_dma(&chipset->dma[0], (unsigned)port & 15, access);
    }
    return true;
}

static void vchipset_reset(struct vdev *device)
{
    struct vchipset *chipset = CONTAINER_OF(device, struct vchipset, device);
    chipset->system_a = SYSTEM_A_A20;
    chipset->dma[0].mask = chipset->dma[1].mask = 0x0f;
}

static const struct field dma_fields[] = {
    FIELD_ARRAY(struct vdma_controller, address),
    FIELD_ARRAY(struct vdma_controller, count),
    FIELD(struct vdma_controller, mask),
    FIELD(struct vdma_controller, high),
    {0},
};

static const struct field fields[] = {
    WIRING(struct vchipset, device),
    FIELD(struct vchipset, system_a),
    FIELD_ARRAY(struct vchipset, page),
    FIELD_EACH(struct vchipset, dma, dma_fields),
    {0},
};

const struct vdev_class vchipset_class = {.name = "chipset",
                                          .size = sizeof(struct vchipset),
                                          .bytewise = true,
                                          .access = vchipset_access,
                                          .reset = vchipset_reset,
                                          .fields = fields};
