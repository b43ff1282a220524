// Copies the first 512 bytes to 7C00h, where real-mode code begins as after a BIOS.

#include "loaders/sector.h"

#include "lib/bytes.h"
#include "loaders/entry.h"

#define SECTOR_SIZE    512
#define SECTOR_ADDRESS 0x7c00
#define FIRST_DISK     0x80

static bool has_signature(const struct image *image)
{
    return image->size >= SECTOR_SIZE && get16(image->bytes + 510) == 0xaa55;
}

bool sector_recognise(const struct image *image)
{
    return image->size == SECTOR_SIZE && has_signature(image);
}

status_t sector_load(struct loading *loading)
{
    const struct image *kernel = loading->kernel;
    status_t status = loading_refuse_modules(loading, "a boot sector");
    if (status != STATUS_OK)
        return status;
    if (!has_signature(kernel))
        return explain(loading->why, STATUS_INVALID,
                       "%s: no boot sector: 512 bytes that end with 55h AAh are needed, the file "
                       "has %lu",
                       kernel->name, kernel->size);
    status = loading_copy(loading, SECTOR_ADDRESS, kernel->bytes, SECTOR_SIZE, SECTOR_SIZE,
                          kernel->name);
    if (status != STATUS_OK)
        return status;
    entry_real(loading, 0, SECTOR_ADDRESS);
    loading->vm->vcpu[0]->gpr[RDX] = FIRST_DISK;
    loading->vm->vcpu[0]->gpr[RSP] = SECTOR_ADDRESS;
    return STATUS_OK;
}
