// MSI: messages whose address and data stand in a function's configuration space, with a mask and a
// pending bit for each. Beside MSI-X for functions that need no table. PCI specification: "MSI
// Capability Structure".
#pragma once

#include "drivers/virt/pci/vpci_function.h"

#define VMSI_MESSAGES  32
#define VMSI_REGISTERS 6 // of the capability

// The device's lock guards it.
struct vmsi {
    uint32_t reg;     // where the capability is
    uint32_t pending; // a bit for each message
};

extern const struct field vmsi_fields[];

// Gives a function that is being described the capability, at register `reg`: `count` messages, a
// power of two up to VMSI_MESSAGES, which a guest may grant or a part of them.
void vmsi_describe(struct vmsi *msi, struct vpci_function *function, unsigned reg, unsigned count);

// Whether the guest has turned it on: then there is no line.
bool vmsi_is_on(const struct vmsi *msi, const struct vpci_function *function);

// Sends a message, now or when its mask goes. If the guest granted fewer than there are, several
// share one. Off: nothing.
void vmsi_send(struct vmsi *msi, const struct vpci_function *function, unsigned message);

// A register of the configuration space will be read, or was written to; or a state was loaded: the
// pending bits are seen, and what waits and is not masked goes out.
void vmsi_show(const struct vmsi *msi, struct vpci_function *function, unsigned reg);
void vmsi_flush(struct vmsi *msi, const struct vpci_function *function);
