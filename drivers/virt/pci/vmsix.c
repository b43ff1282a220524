// The MSI-X table. Called by devices under their lock; the capability's control bits are the
// function's, and are read as they are.
#include "drivers/virt/pci/vmsix.h"

#include "vm/apic/lapic.h"
#include "vm/vm.h"

#define CAPABILITY_MSIX 0x11
#define CONTROL_MASKED  BIT32(30) // beside VMSIX_ON

enum { LOW, HIGH, DATA, VECTOR_CONTROL };
#define MASKED BIT32(0) // vector control

static const uint32_t writable[] = {
    [LOW] = ~UINT32_C(3), [HIGH] = ~UINT32_C(0), [DATA] = ~UINT32_C(0), [VECTOR_CONTROL] = MASKED};

void vmsix_describe(struct vmsix *msix, struct vpci_function *function, unsigned reg,
                    unsigned region, unsigned count)
{
    msix->reg = reg;
    msix->count = count;
    function->reset[reg] = (count - 1) << 16;
    function->reset[reg + 1] = region;
    function->reset[reg + 2] = VMSIX_PENDING | region;
    function->writable[reg] = VMSIX_ON | CONTROL_MASKED;
    vpci_add_capability(function, reg, CAPABILITY_MSIX);
}

void vmsix_reset(struct vmsix *msix)
{
    for (unsigned i = 0; i < msix->count; i++)
        msix->entry[i].word[VECTOR_CONTROL] = MASKED;
}

static inline bool may_go(const struct vmsix *msix, uint32_t control, unsigned vector)
{
    return (control & (VMSIX_ON | CONTROL_MASKED)) == VMSIX_ON &&
           !(msix->entry[vector].word[VECTOR_CONTROL] & MASKED);
}

static void send(const struct vmsix *msix, const struct vpci_function *function, unsigned vector)
{
    const uint32_t *word = msix->entry[vector].word;
    (void)msi_deliver(function->device->vm, (uint64_t)word[HIGH] << 32 | word[LOW], word[DATA]);
}

void vmsix_flush(struct vmsix *msix, const struct vpci_function *function)
{
    uint32_t control = vpci_value(function, msix->reg);
    for (unsigned i = 0; msix->pending >> i; i++)
        if ((msix->pending & BIT(i)) && may_go(msix, control, i)) {
            msix->pending &= ~BIT(i);
            send(msix, function, i);
        }
}

void vmsix_send(struct vmsix *msix, const struct vpci_function *function, unsigned vector)
{
    if (vector >= msix->count)
        return;
    vector = (unsigned)index_below(vector, VMSIX_VECTORS);
    if (may_go(msix, vpci_value(function, msix->reg), vector))
        send(msix, function, vector);
    else
        msix->pending |= BIT(vector);
}

// One dword. Pending bits are read-only.
static uint32_t access_word(struct vmsix *msix, uint64_t offset, bool write, uint32_t value)
{
    uint64_t number = offset / sizeof(struct vmsix_entry), which = offset / 4 % 4;
    if (offset == VMSIX_PENDING)
        return (uint32_t)msix->pending;
    if (number >= msix->count)
        return 0;
    uint32_t *word = &msix->entry[index_below(number, VMSIX_VECTORS)].word[which];
    if (write)
        *word = value & writable[which];
    return *word;
}

void vmsix_access(struct vmsix *msix, const struct vpci_function *function, struct access *access)
{
    uint64_t offset = access->offset & (VMSIX_SIZE - 1), value = 0;
    // Dwords, and pairs of them; what else drivers might do is theirs to find out.
    if (access->size < 4 || !is_aligned(offset, access->size)) {
        access->value = access->write ? access->value : 0;
        return;
    }
    for (unsigned i = 0; i < access->size; i += 4) {
        uint32_t part = (uint32_t)(access->value >> 8 * i);
        value |= (uint64_t)access_word(msix, offset + i, access->write, part) << 8 * i;
    }
    if (access->write)
        vmsix_flush(msix, function);
    else
        access->value = value;
}

static const struct field entry_fields[] = {FIELD_ARRAY(struct vmsix_entry, word), {0}};

const struct field vmsix_fields[] = {
    WIRING(struct vmsix, reg),
    WIRING(struct vmsix, count),
    FIELD(struct vmsix, pending),
    FIELD_EACH(struct vmsix, entry, entry_fields),
    {0},
};
