// MSI-X: a table of messages in a region of a function, and the bits of those that wait for their
// mask to go. PCI specification: "MSI-X Capability and Table Structures".
#pragma once

#include "drivers/virt/pci/vpci_function.h"

#define VMSIX_VECTORS 32
#define VMSIX_SIZE    4096 // of the region: the table, and the pending bits behind it
#define VMSIX_PENDING 2048
#define VMSIX_NONE    0xffff // a vector that is none

struct vmsix_entry {
    uint32_t word[4]; // address, low and high; data; vector control
};

// The device's lock guards it.
struct vmsix {
    unsigned reg;     // of the capability, three registers
    unsigned count;   // vectors
    uint64_t pending; // a bit for each
    struct vmsix_entry entry[VMSIX_VECTORS];
};

extern const struct field vmsix_fields[];

// Gives a function that is being described the capability, at register `reg`: `count` vectors (1 to
// VMSIX_VECTORS) in region `region`. All are masked.
void vmsix_describe(struct vmsix *msix, struct vpci_function *function, unsigned reg,
                    unsigned region, unsigned count);
void vmsix_reset(struct vmsix *msix);

#define VMSIX_ON BIT32(31) // of the capability's first register

// Whether the guest has turned it on: then there is no line.
static inline bool vmsix_is_on(const struct vmsix *msix, const struct vpci_function *function)
{
    return vpci_value(function, msix->reg) & VMSIX_ON;
}

// One access to the region. Messages that were unmasked go out.
void vmsix_access(struct vmsix *msix, const struct vpci_function *function, struct access *access);

// Sends the vector's message, now or when its mask goes. No such vector: nothing.
void vmsix_send(struct vmsix *msix, const struct vpci_function *function, unsigned vector);

// The capability was written to, or a state loaded: sends what waits and is not masked.
void vmsix_flush(struct vmsix *msix, const struct vpci_function *function);
