// Configuration spaces, and regions that come and go on the VM's buses as a guest programs them.
// Called from struct vpci.
#include "drivers/virt/pci/vpci_function.h"

#include "lib/string.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define POINTER_MASK 0xfcU

void vpci_function_describe(struct vpci_function *function, const struct vpci_header *header)
{
    memset(function->reset, 0, sizeof(function->reset));
    memset(function->writable, 0, sizeof(function->writable));
    memcpy(function->reset, header->reset, sizeof(header->reset));
    memcpy(function->writable, header->writable, sizeof(header->writable));
}

void vpci_add_capability(struct vpci_function *function, unsigned reg, uint8_t id)
{
    uint32_t *list = &function->reset[VPCI_CAPABILITIES];
    function->reset[reg] = (function->reset[reg] & 0xffff0000) | (*list & POINTER_MASK) << 8 | id;
    *list = reg * 4; // the newest comes first
    function->reset[VPCI_COMMAND] |= VPCI_STATUS_LIST;
}

void vpci_function_reset(struct vpci_function *function)
{
    memcpy(function->value, function->reset, sizeof(function->value));
}

void vpci_function_access(struct vpci_function *function, unsigned reg, struct access *access)
{
    unsigned shift = 8 * (access->offset & 3);
    uint32_t mask = (uint32_t)(size_mask(access->size) << shift);
    const struct vpci_hooks *hooks = function->hooks;
    if (!access->write) {
        if (hooks && hooks->read)
            hooks->read(function, reg);
        access->value = (function->value[reg] & mask) >> shift;
        return;
    }
    mask &= function->writable[reg];
    uint32_t value = (uint32_t)(access->value << shift) & mask;
    __atomic_store_n(&function->value[reg], (function->value[reg] & ~mask) | value,
                     __ATOMIC_RELAXED);
    if (hooks && hooks->written)
        hooks->written(function, reg);
}

// ---- regions ----

static bool is_io(const struct vpci_function *function, unsigned region)
{
    return function->reset[VPCI_BASE + region] & VPCI_BASE_IO;
}

static uint64_t size_of(const struct vpci_function *function, unsigned region)
{
    uint32_t mask = function->writable[VPCI_BASE + region];
    return mask & -mask;
}

static struct bus *bus_of(const struct vpci_function *function, unsigned region)
{
    struct vm *vm = function->device->vm;
    return is_io(function, region) ? &vm->ports : &vm->mmio;
}

// Where the registers say that a region is; 0: nothing decodes it, or no window goes there.
static uint64_t place_of(const struct vpci_function *function, unsigned region)
{
    bool io = is_io(function, region);
    uint64_t first = io ? PORT_PCI_WINDOW : PCI_MMIO_START;
    uint64_t last = io ? UINT16_MAX : PCI_MMIO_END;
    uint64_t at = function->value[VPCI_BASE + region] & function->writable[VPCI_BASE + region];
    if (!(function->value[VPCI_COMMAND] & (io ? VPCI_COMMAND_IO : VPCI_COMMAND_MEMORY)))
        return 0;
    return at >= first && at <= last && last - at >= size_of(function, region) - 1 ? at : 0;
}

void vpci_function_leave(struct vpci_function *function)
{
    for (unsigned i = 0; i < VPCI_REGIONS; i++) {
        uint64_t *placed = &function->placed[i];
        if (!*placed || *placed == place_of(function, i))
            continue;
        bus_remove(bus_of(function, i), *placed, function->device);
        *placed = 0;
    }
}

void vpci_function_arrive(struct vpci_function *function)
{
    for (unsigned i = 0; i < VPCI_REGIONS; i++) {
        uint64_t at = place_of(function, i), base = at - ((uint64_t)i << 32);
        if (function->placed[i] || !at)
            continue;
        bool is_placed = bus_insert_part(bus_of(function, i), at, size_of(function, i), base,
                                         function->device, NULL) == STATUS_OK;
        function->placed[i] = is_placed ? at : 0;
    }
}

void vpci_function_loaded(struct vpci_function *function)
{
    for (unsigned i = 0; i < VPCI_REGISTERS; i++)
        function->value[i] = (function->value[i] & function->writable[i]) |
                             (function->reset[i] & ~function->writable[i]);
}

const struct field vpci_function_fields[] = {
    FIELD_ARRAY(struct vpci_function, value),
    WIRING(struct vpci_function, reset),
    WIRING(struct vpci_function, writable),
    WIRING(struct vpci_function, hooks),
    WIRING(struct vpci_function, device),
    WIRING(struct vpci_function, placed),
    {0},
};
