// The MSI capability. Called by devices under their lock; its registers are the function's, and are
// read as they are.
#include "drivers/virt/pci/vmsi.h"

#include "vm/apic/lapic.h"
#include "vm/vm.h"

#define CAPABILITY_MSI 0x05

// Registers of the capability.
enum { CONTROL, ADDRESS_LOW, ADDRESS_HIGH, DATA, MASK, PENDING };

#define CONTROL_ON      BIT32(16)
#define CONTROL_CAPABLE BITS(19, 17) // of so many messages, as a power of two
#define CONTROL_GRANTED BITS(22, 20)
#define CONTROL_64      BIT32(23)
#define CONTROL_MASKS   BIT32(24)
#define DATA_BITS       UINT32_C(0xffff)

void vmsi_describe(struct vmsi *msi, struct vpci_function *function, unsigned reg, unsigned count)
{
    uint32_t *writable = &function->writable[reg];
    msi->reg = reg;
    function->reset[reg] = (uint32_t)FIELD_MAKE(CONTROL_CAPABLE, (uint64_t)lowest_bit(count)) |
                           CONTROL_64 | CONTROL_MASKS;
    writable[CONTROL] = CONTROL_ON | (uint32_t)CONTROL_GRANTED;
    writable[ADDRESS_LOW] = ~UINT32_C(3);
    writable[ADDRESS_HIGH] = ~UINT32_C(0);
    writable[DATA] = DATA_BITS;
    writable[MASK] = (uint32_t)(BIT(count) - 1);
    vpci_add_capability(function, reg, CAPABILITY_MSI);
}

bool vmsi_is_on(const struct vmsi *msi, const struct vpci_function *function)
{
    return vpci_value(function, msi->reg + CONTROL) & CONTROL_ON;
}

// How many messages there are now: at most those that there can be, whatever the guest writes.
static uint32_t granted(uint32_t control)
{
    return (uint32_t)BIT(MIN(FIELD_GET(CONTROL_GRANTED, (uint64_t)control),
                             FIELD_GET(CONTROL_CAPABLE, (uint64_t)control)));
}

void vmsi_flush(struct vmsi *msi, const struct vpci_function *function)
{
    uint32_t control = vpci_value(function, msi->reg + CONTROL), count = granted(control);
    uint32_t ready = msi->pending & ~vpci_value(function, msi->reg + MASK);
    uint64_t address = (uint64_t)vpci_value(function, msi->reg + ADDRESS_HIGH) << 32 |
                       vpci_value(function, msi->reg + ADDRESS_LOW);
    uint32_t data = vpci_value(function, msi->reg + DATA);
    if (!(control & CONTROL_ON))
        ready = msi->pending = 0; // those that nobody would take
    msi->pending &= ~ready;
    for (; ready; ready &= ready - 1)
        (void)msi_deliver(function->device->vm, address,
                          (data & ~(count - 1)) | (lowest_bit(ready) & (count - 1)));
}

void vmsi_send(struct vmsi *msi, const struct vpci_function *function, unsigned message)
{
    uint32_t count = granted(vpci_value(function, msi->reg + CONTROL));
    msi->pending |= BIT32(message & (count - 1));
    vmsi_flush(msi, function);
}

void vmsi_show(const struct vmsi *msi, struct vpci_function *function, unsigned reg)
{
    if (reg == msi->reg + PENDING)
        __atomic_store_n(&function->value[reg], msi->pending, __ATOMIC_RELAXED);
}

const struct field vmsi_fields[] = {
    WIRING(struct vmsi, reg),
    FIELD(struct vmsi, pending),
    {0},
};
