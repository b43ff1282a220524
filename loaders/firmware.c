// What firmware finds in memory besides its ROM, and the files that it asks for.
#include "loaders/firmware.h"

#include "lib/bytes.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "vm/platform.h"

#define SHADOW    (BIOS_END - BIOS_START)
#define NO_RETRY  UINT32_MAX // it says that there is no disk to boot from, and waits
#define E820_SIZE 20

static void write_file(struct vm *vm, uint64_t at, const uint8_t *from, uint64_t size)
{
    if (vm->host->copy_file) {
        vm->host->copy_file(vm, gpa(at), from, size);
        return;
    }
    bool is_written = gmem_write(&vm->memory, gpa(at), from, size);
    assert(is_written);
}

static void add_ram(struct firmware_tables *tables, uint64_t start, uint64_t size)
{
    uint8_t *entry = tables->e820 + tables->e820_size;
    if (!size)
        return;
    put64(entry, start);
    put64(entry + 8, size);
    put32(entry + 16, MEMORY_RAM);
    tables->e820_size += E820_SIZE;
}

static void make_tables(struct firmware_tables *tables, const struct vm *vm)
{
    struct memory_layout layout = memory_layout(&vm->traits);
    memset(tables, 0, sizeof(*tables));
    add_ram(tables, 0, layout.low);
    add_ram(tables, HIGH_MEMORY_START, layout.high);
    put32(tables->fail_wait, NO_RETRY);
    acpi_build(&tables->acpi, vm);
    tables->command_size = acpi_commands(&tables->acpi, tables->command);
    smbios_build(&tables->smbios, vm, false);
    smbios_anchor(&tables->smbios, 0, tables->smbios_anchor);
}

status_t firmware_load(struct vm *vm, const struct image *image, struct firmware_tables *tables,
                       struct explanation *why)
{
    if (image->size < SHADOW)
        return explain(why, STATUS_INVALID, "%s: %lu bytes are no firmware: 128 KiB are the least",
                       image->name, image->size);
    write_file(vm, BIOS_START, image->bytes + image->size - SHADOW, SHADOW);
    make_tables(tables, vm);
    return STATUS_OK;
}
