// PCI bus 0. PCI specification: "Configuration Mechanism #1", "Configuration Space Header", "Base
// Addresses". Called from both buses.
#include "drivers/virt/vpci.h"

#include "lib/string.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define ADDRESS_ENABLE   BIT32(31)
#define ADDRESS_WRITABLE UINT32_C(0x80fffffc)
#define ADDRESS_BUS      UINT32_C(0x00ff0000)
#define ADDRESS_SLOT     UINT32_C(0x0000f800)
#define ADDRESS_FUNCTION UINT32_C(0x00000700)
#define ADDRESS_REGISTER UINT32_C(0x000000fc)

#define COMMAND        1 // register of the command
#define COMMAND_IO     BIT32(0)
#define COMMAND_MEMORY BIT32(1)
#define BASE_IO        BIT32(0)

#define RESET_HARD 0x02 // also the power-good line: no difference here
#define RESET_CPU  0x04 // rising: reset
#define RESET_FULL 0x08

// The bridge's header: read-only, without resources of its own.
static const struct vpci_registers bridge_registers = {
    .reset = {
        0x0d578086, // a host bridge that no operating system has quirks for
        0x00000007, // decodes I/O and memory, masters the bus
        0x06000000, // class: bridge, host
    }};

static void access_register(struct vpci_function *function, uint64_t reg, struct access *access)
{
    unsigned shift = 8 * (access->offset & 3);
    uint64_t mask = size_mask(access->size) << shift;
    if (reg >= VPCI_REGISTERS) {
        access->value = 0;
    } else if (access->write) {
        mask &= function->registers->writable[reg];
        function->value[reg] =
            (uint32_t)((function->value[reg] & ~mask) | (access->value << shift & mask));
    } else {
        access->value = (function->value[reg] & mask) >> shift;
    }
}

static bool access_data(struct vpci *pci, struct access *access)
{
    struct vpci_function *function = pci->slot[FIELD_GET(ADDRESS_SLOT, pci->address)];
    uint64_t low = access->offset & 3;
    if (!(pci->address & ADDRESS_ENABLE))
        return false;
    // No function there: reads are all ones and the cycle is nobody's, but the port has answered.
    // One access stays within the dword.
    if ((pci->address & (ADDRESS_BUS | ADDRESS_FUNCTION)) || !function || low + access->size > 4 ||
        low % access->size)
        access->value = access->write ? access->value : size_mask(access->size);
    else
        access_register(function, FIELD_GET(ADDRESS_REGISTER, pci->address), access);
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

// The region of a function that holds the whole access, or -1.
static int find_region(const struct vpci_function *function, const struct access *access)
{
    bool is_io = access->offset < PCI_MMIO_START;
    if (!(function->value[COMMAND] & (is_io ? COMMAND_IO : COMMAND_MEMORY)))
        return -1;
    for (int i = 0; i < VPCI_REGIONS; i++) {
        uint32_t base = function->value[VPCI_BASE + i];
        uint32_t mask = function->registers->writable[VPCI_BASE + i];
        if (!function->region[i] || (base & BASE_IO) != (is_io ? BASE_IO : 0))
            continue;
        uint64_t offset = access->offset - (base & mask), size = mask & -mask;
        if (offset < size && access->size <= size - offset)
            return i;
    }
    return -1;
}

// An access to a window: the first function that decodes it answers.
static bool access_window(struct vpci *pci, struct access *access)
{
    for (unsigned slot = 0; slot < VPCI_SLOTS; slot++) {
        const struct vpci_function *function = pci->slot[slot];
        int region = function ? find_region(function, access) : -1;
        if (region < 0)
            continue;
        uint32_t base =
            function->value[VPCI_BASE + region] & function->registers->writable[VPCI_BASE + region];
        struct access here = *access;
        here.offset = (uint64_t)region << 32 | (access->offset - base);
        bool answered = vdev_access(function->region[region], &here);
        access->value = here.value;
        return answered;
    }
    return false;
}

static bool vpci_access(struct vdev *device, struct access *access)
{
    struct vpci *pci = CONTAINER_OF(device, struct vpci, device);
    uint64_t at = access->offset;
    if (at >= PORT_PCI_WINDOW)
        return access_window(pci, access);
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

static void reset_function(struct vpci_function *function)
{
    memcpy(function->value, function->registers->reset, sizeof(function->value));
}

void vpci_init(struct vpci *pci, struct vm *vm)
{
    *pci = (struct vpci){
        .device = {.name = "PCI", .vm = vm, .access = vpci_access},
        .bridge = {.registers = &bridge_registers},
    };
    pci->slot[0] = &pci->bridge;
    reset_function(&pci->bridge);
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
    reset_function(function);
    return STATUS_OK;
}
