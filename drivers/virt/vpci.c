// PCI bus 0. PCI specification: "Configuration Mechanism #1", "Configuration Space Header". Called
// from the port bus.
#include "drivers/virt/vpci.h"

#include "vm/platform.h"
#include "vm/vm.h"

#define OFFSET_ADDRESS 0
#define OFFSET_RESET   1
#define OFFSET_DATA    4

#define ADDRESS_ENABLE   BIT32(31)
#define ADDRESS_WRITABLE UINT32_C(0x80fffffc)
#define ADDRESS_BUS      UINT32_C(0x00ff0000)
#define ADDRESS_SLOT     UINT32_C(0x0000f800)
#define ADDRESS_FUNCTION UINT32_C(0x00000700)
#define ADDRESS_REGISTER UINT32_C(0x000000fc)

#define RESET_HARD 0x02 // also the power-good line: no difference here
#define RESET_CPU  0x04 // rising: reset
#define RESET_FULL 0x08

// The bridge's header: read-only, without resources of its own.
static const uint32_t bridge_header[16] = {
    0x0d578086, // a host bridge that no operating system has quirks for
    0x00000007, // decodes I/O and memory, masters the bus
    0x06000000, // class: bridge, host
};

static void bridge_access(struct vpci_function *function, struct access *access)
{
    if (access->write)
        return;
    uint64_t dword = access->offset / 4;
    uint32_t value = dword < ARRAY_LENGTH(bridge_header) ? bridge_header[dword] : 0;
    access->value = value >> 8 * (access->offset & 3) & size_mask(access->size);
}

static bool access_data(struct vpci *pci, struct access *access)
{
    unsigned slot = FIELD_GET(ADDRESS_SLOT, pci->address);
    struct vpci_function *function = pci->slot[slot];
    uint64_t low = access->offset & 3;
    if (!(pci->address & ADDRESS_ENABLE))
        return false;
    // No function there: reads are all ones and the cycle is nobody's, but the port has answered.
    // One access stays within the dword.
    if ((pci->address & (ADDRESS_BUS | ADDRESS_FUNCTION)) || !function || low + access->size > 4 ||
        low % access->size) {
        access->value = access->write ? access->value : size_mask(access->size);
        return true;
    }
    struct access here = *access;
    here.offset = (pci->address & ADDRESS_REGISTER) + low;
    function->access(function, &here);
    access->value = here.value;
    return true;
}

static bool access_reset(struct vpci *pci, struct access *access)
{
    if (!access->write) {
        access->value = pci->reset;
        return true;
    }
    bool rises = access->value & ~(uint64_t)pci->reset & RESET_CPU;
    pci->reset = access->value & (RESET_HARD | RESET_CPU | RESET_FULL);
    if (rises)
        vm_stop(pci->device.vm, STOP_RESET, 0);
    return true;
}

static bool vpci_access(struct vdev *device, struct access *access)
{
    struct vpci *pci = CONTAINER_OF(device, struct vpci, device);
    if (access->offset >= OFFSET_DATA)
        return access_data(pci, access);
    if (access->offset == OFFSET_RESET && access->size == 1)
        return access_reset(pci, access);
    // The address register takes whole dwords only; other accesses go past it.
    if (access->offset != OFFSET_ADDRESS || access->size != 4)
        return false;
    if (access->write)
        pci->address = (uint32_t)access->value & ADDRESS_WRITABLE;
    else
        access->value = pci->address;
    return true;
}

static void vpci_reset(struct vdev *device)
{
    struct vpci *pci = CONTAINER_OF(device, struct vpci, device);
    pci->address = 0;
    pci->reset = 0;
}

void vpci_init(struct vpci *pci, struct vm *vm)
{
    *pci = (struct vpci){
        .device = {.name = "PCI", .vm = vm, .access = vpci_access, .reset = vpci_reset},
        .bridge = {.access = bridge_access},
    };
    pci->slot[0] = &pci->bridge;
}

status_t vpci_add(struct vpci *pci, unsigned slot, struct vpci_function *function,
                  struct explanation *why)
{
    if (slot >= VPCI_SLOTS)
        return explain(why, STATUS_RANGE, "PCI: no slot %u: the last one is %u", slot,
                       VPCI_SLOTS - 1);
    if (pci->slot[slot])
        return explain(why, STATUS_OVERLAP, "PCI: slot %u is taken: choose another", slot);
    pci->slot[slot] = function;
    return STATUS_OK;
}
