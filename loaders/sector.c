// Copies the first 512 bytes to 7C00h and points the interrupt vectors at handlers in the BIOS's
// area: services that fail, but for text, which goes to the first serial port.

#include "loaders/sector.h"

#include "lib/bytes.h"
#include "loaders/entry.h"

#define SECTOR_SIZE    512
#define SECTOR_ADDRESS 0x7c00
#define FIRST_DISK     0x80
#define STUB_SEGMENT   0xf000
#define IRET_OFFSET    0xff53 // where PC BIOSes have their empty handler
#define VIDEO_SERVICE  0x10
#define LAST_SERVICE   0x1a

static const uint8_t handlers[] = {
    // Video services: AH = 0Eh writes AL.
    0x80, 0xfc, 0x0e, // cmp ah, 0Eh
    0x75, 0x10,       // jne unsupported
    0x52,             // push dx
    0x50,             // push ax
    0xba, 0xfd, 0x03, // mov dx, 3FDh
    0xec,             // wait: in al, dx
    0xa8, 0x20,       // test al, 20h
    0x74, 0xfb,       // jz wait
    0xb2, 0xf8,       // mov dl, F8h
    0x58,             // pop ax
    0xee,             // out dx, al
    0x5a,             // pop dx
    0xcf,             // iret
// Unsupported: the carry flag that IRET will load, and AH.
#define UNSUPPORTED 21
    0x55,                   // push bp
    0x89, 0xe5,             // mov bp, sp
    0x80, 0x4e, 0x06, 0x01, // or byte [bp + 6], 1
    0x5d,                   // pop bp
    0xb4, 0x86,             // mov ah, 86h
    0xcf,                   // iret, and alone the handler of everything that is no service
};
#define HANDLERS_OFFSET (IRET_OFFSET + 1 - sizeof(handlers))

static bool has_signature(const struct image *image)
{
    return image->size >= SECTOR_SIZE && get16(image->bytes + 510) == 0xaa55;
}

bool sector_recognise(const struct image *image)
{
    return image->size == SECTOR_SIZE && has_signature(image);
}

static uint16_t handler_of(unsigned vector)
{
    if (vector < VIDEO_SERVICE || vector > LAST_SERVICE)
        return IRET_OFFSET;
    return (uint16_t)(HANDLERS_OFFSET + (vector == VIDEO_SERVICE ? 0 : UNSUPPORTED));
}

static status_t write_vectors(struct loading *loading)
{
    status_t status = room_claim(&loading->room, 0, 0x500, "interrupt vectors", loading->why);
    if (status != STATUS_OK)
        return status;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t vector[4];
        put16(vector, handler_of(i));
        put16(vector + 2, STUB_SEGMENT);
        loading_write(loading, i * sizeof(vector), vector, sizeof(vector));
    }
    loading_write(loading, STUB_SEGMENT * 16 + HANDLERS_OFFSET, handlers, sizeof(handlers));
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
