// The image says nothing of itself, so every check is one of addresses. It finds no boot
// information; its stack is its own to set up.

#include "loaders/flat.h"

#include "loaders/entry.h"

#define REAL_MODE_END UINT64_C(0x100000)
#define FOUR_GIB      UINT64_C(0x100000000)

status_t flat_load(struct loading *loading)
{
    const struct image *kernel = loading->kernel;
    const struct vm_config *config = loading->config;
    uint64_t address = config->flat_address;
    uint64_t limit = config->flat_mode == FLAT_REAL ? REAL_MODE_END : FOUR_GIB;
    status_t status = loading_refuse_modules(loading, "a flat image");
    if (status != STATUS_OK)
        return status;
    if (!kernel->size)
        return explain(loading->why, STATUS_INVALID, "%s: an empty file; copy it again",
                       kernel->name);
    if (address >= limit)
        return explain(loading->why, STATUS_RANGE,
                       "%s: boot = flat@0x%lx is out of reach in that mode; the address must be "
                       "below 0x%lx",
                       kernel->name, address, limit);
    status =
        loading_copy(loading, address, kernel->bytes, kernel->size, kernel->size, kernel->name);
    if (status != STATUS_OK)
        return status;
    switch (config->flat_mode) {
    case FLAT_REAL: {
        bool in_first_segment = address <= 0xffff;
        entry_real(loading, in_first_segment ? 0 : (uint16_t)(address >> 4),
                   (uint16_t)(in_first_segment ? address : address & 0xf));
        return STATUS_OK;
    }
    case FLAT_PROTECTED:
        return entry_protected(loading, (uint32_t)address);
    case FLAT_LONG:
        return entry_long(loading, address);
    }
    return STATUS_INVALID;
}
