// PCI bus 0. PCI specification: "Configuration Mechanism #1"; PCI Express: "Enhanced Configuration
// Access Mechanism". Called from both buses.
#include "drivers/virt/pci/vpci.h"

#include "vm/platform.h"
#include "vm/vm.h"

#define ADDRESS_ENABLE   BIT32(31)
#define ADDRESS_WRITABLE UINT32_C(0x80fffffc)
#define ADDRESS_BUS      UINT32_C(0x00ff0000)
#define ADDRESS_SLOT     UINT32_C(0x0000f800)
#define ADDRESS_FUNCTION UINT32_C(0x00000700)
#define ADDRESS_REGISTER UINT32_C(0x000000fc)

#define ECAM_BUS      UINT64_C(0xff00000)
#define ECAM_SLOT     UINT64_C(0x00f8000)
#define ECAM_FUNCTION UINT64_C(0x0007000)
#define ECAM_REGISTER UINT64_C(0x0000ffc)

#define RESET_HARD 0x02 // also the power-good line: no difference here
#define RESET_CPU  0x04 // rising: reset
#define RESET_FULL 0x08

// PCI Express: "PCI Express Capability". Some systems use MSI only where a function has it.
#define CAPABILITY_EXPRESS 0x10
#define EXPRESS_REGISTER   52
#define EXPRESS_ROOT_PART  UINT32_C(0x00920000) // version 2, an endpoint integrated into the root

// The header of a bridge without firmware: read-only, without resources of its own.
static const struct vpci_header bridge_header = {
    .reset = {
        [VPCI_ID] = 0x0d578086, // a host bridge that no operating system has quirks for
        [VPCI_COMMAND] = VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY | VPCI_COMMAND_MASTER,
        [VPCI_CLASS] = 0x06000000, // bridge, host
    }};

// Regions follow their base addresses. Those that go make room first.
static void follow(struct vpci *pci)
{
    vm_exert(pci->device.vm);
    for (unsigned slot = 1; slot < VPCI_SLOTS; slot++)
        if (pci->slot[slot])
            vpci_function_leave(pci->slot[slot]);
    for (unsigned slot = 1; slot < VPCI_SLOTS; slot++)
        if (pci->slot[slot])
            vpci_function_arrive(pci->slot[slot]);
}

// A Q35's ECAM is where no other region can go, or nowhere.
static void follow_ecam(struct vpci *pci)
{
    struct vm *vm = pci->device.vm;
    uint64_t at = vm->traits.firmware ? q35_ecam(&pci->bridge) : 0;
    if (at == pci->ecam)
        return;
    if (pci->ecam)
        bus_remove(&vm->mmio, pci->ecam, &pci->device);
    bool is_placed =
        at == PCI_ECAM_Q35 && bus_insert_part(&vm->mmio, at, PCI_ECAM_LENGTH_Q35, at - PCI_ECAM,
                                              &pci->device, NULL) == STATUS_OK;
    pci->ecam = is_placed ? at : 0;
}

// One access stays within the dword. Where no function is, reads are all ones and the cycle is
// nobody's, but the bridge has answered.
static void access_register(struct vpci *pci, struct vpci_function *function, uint64_t reg,
                            struct access *access)
{
    uint64_t low = access->offset & 3;
    if (!function || low + access->size > 4 || low % access->size) {
        access->value = access->write ? access->value : size_mask(access->size);
    } else if (reg >= VPCI_REGISTERS) {
        access->value = access->write ? access->value : 0;
    } else {
        vpci_function_access(function, (unsigned)reg, access);
        if (access->write && (reg == VPCI_COMMAND || reg - VPCI_BASE < VPCI_REGIONS))
            follow(pci);
        if (access->write && function == &pci->bridge)
            follow_ecam(pci);
    }
}

static bool access_data(struct vpci *pci, struct access *access)
{
    struct vpci_function *function = pci->slot[FIELD_GET(ADDRESS_SLOT, pci->address)];
    if (!(pci->address & ADDRESS_ENABLE))
        return false;
    bool is_here = !(pci->address & (ADDRESS_BUS | ADDRESS_FUNCTION));
    access_register(pci, is_here ? function : NULL, FIELD_GET(ADDRESS_REGISTER, pci->address),
                    access);
    return true;
}

static bool access_ecam(struct vpci *pci, struct access *access)
{
    uint64_t at = access->offset - PCI_ECAM;
    struct vpci_function *function = pci->slot[FIELD_GET(ECAM_SLOT, at)];
    bool is_here = !(at & (ECAM_BUS | ECAM_FUNCTION));
    access_register(pci, is_here ? function : NULL, FIELD_GET(ECAM_REGISTER, at), access);
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
    uint64_t at = access->offset;
    if (at >= PCI_ECAM)
        return access_ecam(pci, access);
    if (at >= PORT_PCI_DATA)
        return access_data(pci, access);
    if (at == PORT_RESET && access->size == 1)
        return access_reset(pci, access);
    // The address register takes whole dwords only; other accesses go past it.
    if (at != PORT_PCI_ADDRESS || access->size != 4)
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
    struct vpci_function *bridge = &pci->bridge;
    bool is_q35 = device->vm->traits.firmware;
    pci->slot[0] = bridge;
    if (is_q35) {
        pci->slot[PCI_LPC_SLOT] = &pci->lpc;
        q35_describe_mch(bridge);
        q35_describe_lpc(&pci->lpc);
        vpci_function_reset(&pci->lpc);
    } else {
        vpci_function_describe(bridge, &bridge_header);
    }
    bridge->reset[EXPRESS_REGISTER] = EXPRESS_ROOT_PART;
    vpci_add_capability(bridge, EXPRESS_REGISTER, CAPABILITY_EXPRESS);
    vpci_function_reset(bridge);
}

static void vpci_loaded(struct vdev *device)
{
    struct vpci *pci = CONTAINER_OF(device, struct vpci, device);
    pci->address &= ADDRESS_WRITABLE;
    pci->reset &= RESET_HARD | RESET_CPU | RESET_FULL;
    for (unsigned slot = 0; slot < VPCI_SLOTS; slot++)
        if (pci->slot[slot])
            vpci_function_loaded(pci->slot[slot]);
    follow(pci);
    follow_ecam(pci);
}

static const struct field fields[] = {
    WIRING(struct vpci, device),
    FIELD(struct vpci, address),
    FIELD(struct vpci, reset),
    WIRING(struct vpci, slot),
    FIELD_ONE(struct vpci, bridge, vpci_function_fields),
    FIELD_ONE(struct vpci, lpc, vpci_function_fields),
    WIRING(struct vpci, ecam),
    {0},
};

const struct vdev_class vpci_class = {.name = "PCI",
                                      .size = sizeof(struct vpci),
                                      .access = vpci_access,
                                      .reset = vpci_reset,
                                      .loaded = vpci_loaded,
                                      .fields = fields};

status_t vpci_add(struct vpci *pci, unsigned slot, struct vpci_function *function,
                  struct explanation *why)
{
    if (slot >= VPCI_SLOTS)
        return explain(why, STATUS_RANGE, "PCI: no slot %u: the last one is %u", slot,
                       VPCI_SLOTS - 1);
    if (pci->slot[slot])
        return explain(why, STATUS_OVERLAP, "PCI: slot %u is taken: choose another", slot);
    pci->slot[slot] = function;
    follow(pci);
    return STATUS_OK;
}
