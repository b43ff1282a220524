// The I/O APIC's inputs, registers and messages. Called by board.c's interrupt lines, by guests'
// MMIO, and by the local APICs' EOI broadcasts. 82093AA datasheet: "Register Description",
// "Functional Description".
//
// Locks: every entry holds device.lock; under it only messages to local APICs are sent, which take
// no lock.
#include "drivers/virt/legacy/vioapic.h"

#include "vm/vm.h"

// Registers of the MMIO window, and those behind it.
#define REGISTER_SELECT 0x00
#define REGISTER_WINDOW 0x10

#define INDEX_ID          0x00
#define INDEX_VERSION     0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_REDIRECTION 0x10

#define WRITABLE (BITS(11, 0) | BIT(13) | BIT(15) | BIT(16) | VIOAPIC_DESTINATION)

// ---- messages ----

// Only these modes know levels; the others take the line's edge whatever the entry says.
static bool is_level(uint64_t entry)
{
    uint64_t mode = FIELD_GET(VIOAPIC_MODE, entry);
    return (entry & VIOAPIC_LEVEL) && (mode == DELIVERY_FIXED || mode == DELIVERY_LOWEST);
}

// An entry's low half is an MSI's data, or it has no message.
static bool send(struct vioapic *ioapic, uint64_t entry)
{
    uint64_t address = MSI_ADDRESS | FIELD_MAKE(MSI_DESTINATION, entry >> 56);
    uint32_t data = (uint32_t)entry & (VIOAPIC_VECTOR | VIOAPIC_MODE | VIOAPIC_LEVEL);
    return msi_deliver(ioapic->device.vm, address | (entry & VIOAPIC_LOGICAL ? MSI_LOGICAL : 0),
                       data | MSI_ASSERT);
}

// Sends a level-triggered pin if it is asserted, not masked and not yet on its way.
static void serve_level(struct vioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->redirection[pin];
    if (!(ioapic->inputs & BIT32(pin)) || (*entry & (VIOAPIC_MASKED | VIOAPIC_REMOTE_IRR)))
        return;
    if (is_level(*entry) && send(ioapic, *entry))
        *entry |= VIOAPIC_REMOTE_IRR;
}

void vioapic_set(void *controller, unsigned input, bool level)
{
    struct vioapic *ioapic = controller;
    if (input >= VIOAPIC_PINS)
        return;
    spin_lock(&ioapic->device.lock);
    uint32_t bit = BIT32(input);
    bool rises = level && !(ioapic->inputs & bit);
    ioapic->inputs = level ? ioapic->inputs | bit : ioapic->inputs & ~bit;
    uint64_t entry = ioapic->redirection[input];
    if (rises && is_level(entry))
        serve_level(ioapic, input);
    else if (rises && !(entry & VIOAPIC_MASKED)) // an edge at a masked pin is lost
        send(ioapic, entry);
    spin_unlock(&ioapic->device.lock);
}

void vioapic_eoi(void *controller, uint8_t vector)
{
    struct vioapic *ioapic = controller;
    spin_lock(&ioapic->device.lock);
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->redirection[pin];
        if (!(*entry & VIOAPIC_REMOTE_IRR) || FIELD_GET(VIOAPIC_VECTOR, *entry) != vector)
            continue;
        *entry &= ~VIOAPIC_REMOTE_IRR;
        serve_level(ioapic, pin);
    }
    spin_unlock(&ioapic->device.lock);
}

// ---- registers ----

static uint32_t read_indexed(const struct vioapic *ioapic)
{
    unsigned index = ioapic->select, pin = (index - INDEX_REDIRECTION) / 2;
    if (index == INDEX_ID || index == INDEX_ARBITRATION)
        return (uint32_t)ioapic->id << 24;
    if (index == INDEX_VERSION)
        return VIOAPIC_VERSION | (VIOAPIC_PINS - 1) << 16;
    if (index < INDEX_REDIRECTION || pin >= VIOAPIC_PINS)
        return 0;
    return (uint32_t)(ioapic->redirection[pin] >> (index & 1 ? 32 : 0));
}

static void write_redirection(struct vioapic *ioapic, unsigned pin, uint64_t value)
{
    uint64_t *entry = &ioapic->redirection[pin];
    *entry = (*entry & ~WRITABLE) | (value & WRITABLE);
    if (!is_level(*entry)) // software clears a stuck remote IRR by a detour over edge mode
        *entry &= ~VIOAPIC_REMOTE_IRR;
    serve_level(ioapic, pin);
}

static void write_indexed(struct vioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->select, pin = (index - INDEX_REDIRECTION) / 2;
    if (index == INDEX_ID)
        ioapic->id = value >> 24 & 0xf;
    if (index < INDEX_REDIRECTION || pin >= VIOAPIC_PINS)
        return;
    uint64_t entry = ioapic->redirection[pin];
    write_redirection(ioapic, pin,
                      index & 1 ? (uint64_t)value << 32 | (uint32_t)entry
                                : (entry & ~UINT64_C(0xffffffff)) | value);
}

// Registers are 32 bits wide. Reads of any size get their bytes; the select register takes any
// write, the others whole ones.
static bool ioapic_access(struct vdev *device, struct access *access)
{
    struct vioapic *ioapic = CONTAINER_OF(device, struct vioapic, device);
    unsigned byte = access->offset % 16;
    uint64_t offset = access->offset - byte;
    bool whole = byte == 0 && access->size >= 4;

    if (!access->write) {
        uint64_t value = offset == REGISTER_SELECT   ? ioapic->select
                         : offset == REGISTER_WINDOW ? read_indexed(ioapic)
                                                     : 0;
        access->value = byte < 4 ? value >> (byte * 8) & size_mask(access->size) : 0;
    } else if (offset == REGISTER_SELECT && byte == 0) {
        ioapic->select = (uint8_t)access->value;
    } else if (offset == REGISTER_WINDOW && whole) {
        write_indexed(ioapic, (uint32_t)access->value);
    }
    return true;
}

static void vioapic_reset(struct vdev *device)
{
    struct vioapic *ioapic = CONTAINER_OF(device, struct vioapic, device);
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++)
        ioapic->redirection[pin] = VIOAPIC_MASKED;
}

static void vioapic_loaded(struct vdev *device)
{
    struct vioapic *ioapic = CONTAINER_OF(device, struct vioapic, device);
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++)
        ioapic->redirection[pin] &= WRITABLE | VIOAPIC_REMOTE_IRR;
}

static const struct field fields[] = {
    WIRING(struct vioapic, device),
    FIELD_WITHIN(struct vioapic, id, 0, 15),
    FIELD(struct vioapic, select),
    FIELD(struct vioapic, inputs),
    FIELD_ARRAY(struct vioapic, redirection),
    {0},
};

const struct vdev_class vioapic_class = {.name = "ioapic",
                                         .size = sizeof(struct vioapic),
                                         .access = ioapic_access,
                                         .reset = vioapic_reset,
                                         .loaded = vioapic_loaded,
                                         .fields = fields};
