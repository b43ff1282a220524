// A PCI function with a header of type 0: its configuration space, and the regions that its base
// addresses place on the VM's buses. PCI specification: "Configuration Space Header", "Base
// Addresses", "Capabilities List".
#pragma once

#include "vm/bus.h"

#define VPCI_REGISTERS 64 // of four bytes; the extended space behind them has no capabilities
#define VPCI_REGIONS   6

// Numbers of registers.
#define VPCI_ID           0
#define VPCI_COMMAND      1 // status above it
#define VPCI_CLASS        2 // revision below it
#define VPCI_HEADER       3
#define VPCI_BASE         4
#define VPCI_SUBSYSTEM    11
#define VPCI_CAPABILITIES 13
#define VPCI_INTERRUPT    15

#define VPCI_COMMAND_IO     BIT32(0)
#define VPCI_COMMAND_MEMORY BIT32(1)
#define VPCI_COMMAND_MASTER BIT32(2)
#define VPCI_COMMAND_NO_INT BIT32(10)
#define VPCI_STATUS_INT     BIT32(19)
#define VPCI_STATUS_LIST    BIT32(20) // of capabilities
#define VPCI_BASE_IO        BIT32(0)

struct vpci_function;

// What a function does about accesses to its configuration space, under the lock of struct vpci;
// it may take its device's lock. NULL: nothing.
struct vpci_hooks {
    void (*read)(struct vpci_function *function, unsigned reg);    // before it
    void (*written)(struct vpci_function *function, unsigned reg); // after it
};

struct vpci_function {
    uint32_t value[VPCI_REGISTERS]; // the lock of struct vpci guards it; others may read a register
    // The rest is what the function is: the values after power-on and the bits that a guest can
    // change (the size of a region is its base address's lowest one); what answers in its regions,
    // with the region's number in bits 63:32 of the offsets; and where they are now.
    uint32_t reset[VPCI_REGISTERS];
    uint32_t writable[VPCI_REGISTERS];
    const struct vpci_hooks *hooks;
    struct vdev *device;
    uint64_t placed[VPCI_REGIONS]; // 0: nowhere
};

// For the table of a function's device.
extern const struct field vpci_function_fields[];

// A header: its values after power-on, and which bits of them a guest can change.
#define VPCI_HEADER_REGISTERS 16
struct vpci_header {
    uint32_t reset[VPCI_HEADER_REGISTERS];
    uint32_t writable[VPCI_HEADER_REGISTERS];
};

// The function has this header and no capabilities; then it may get some; then its values are those
// after power-on.
void vpci_function_describe(struct vpci_function *function, const struct vpci_header *header);
void vpci_function_reset(struct vpci_function *function);

// A state was loaded: what a guest cannot change is as it was built.
void vpci_function_loaded(struct vpci_function *function);

// A capability of `size` bytes (a multiple of 4) behind the others, from register `reg` on: its
// first dword holds its id; the rest, and the bits 31:16 of the first, are the caller's to fill.
void vpci_add_capability(struct vpci_function *function, unsigned reg, uint8_t id);

// One access to the configuration space; `reg` and the access's offset in it are in range.
void vpci_function_access(struct vpci_function *function, unsigned reg, struct access *access);

// Takes the regions that are no longer where the base addresses say off their buses; then, when
// others have made room, puts those that are nowhere there. One that another device is in the place
// of waits.
void vpci_function_leave(struct vpci_function *function);
void vpci_function_arrive(struct vpci_function *function);

// A register's value, from any CPU.
static inline uint32_t vpci_value(const struct vpci_function *function, unsigned reg)
{
    return __atomic_load_n(&function->value[reg], __ATOMIC_RELAXED);
}
