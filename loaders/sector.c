// Copies the first 512 bytes to 7C00h and points every interrupt vector at an IRET in the BIOS's
// area.

#include "loaders/sector.h"

#include "loaders/bytes.h"
#include "loaders/entry.h"

#define SECTOR_SIZE    512
#define SECTOR_ADDRESS 0x7c00
#define FIRST_DISK     0x80
#define STUB_SEGMENT   0xf000
#define STUB_OFFSET    0xff53 // where PC BIOSes have their empty handler
#define IRET           0xcf

static bool has_signature(const struct image *image)
{
    return image->size >= SECTOR_SIZE && get16(image->bytes + 510) == 0xaa55;
}

bool sector_recognise(const struct image *image)
{
    return image->size == SECTOR_SIZE && has_signature(image);
}

static status_t write_vectors(struct loading *loading)
{
    uint8_t vector[4], stub = IRET;
    put16(vector, STUB_OFFSET);
    put16(vector + 2, STUB_SEGMENT);
    status_t status = room_claim(&loading->room, 0, 0x500, "interrupt vectors", loading->why);
    if (status != STATUS_OK)
        return status;
    for (unsigned i = 0; i < 256; i++)
        loading_write(loading, i * sizeof(vector), vector, sizeof(vector));
    loading_write(loading, STUB_SEGMENT * 16 + STUB_OFFSET, &stub, sizeof(stub));
    return STATUS_OK;
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
    status = write_vectors(loading);
    if (status == STATUS_OK)
        status = loading_copy(loading, SECTOR_ADDRESS, kernel->bytes, SECTOR_SIZE, kernel->name);
    if (status != STATUS_OK)
        return status;
    entry_real(loading, 0, SECTOR_ADDRESS);
    loading->vm->vcpu[0]->gpr[RDX] = FIRST_DISK;
    loading->vm->vcpu[0]->gpr[RSP] = SECTOR_ADDRESS;
    return STATUS_OK;
}
