// The table of formats, in the order in which a file is tried against them, and the steps that all
// have in common.

#include "loaders/loader.h"

#include "loaders/acpi.h"
#include "loaders/bios.h"
#include "loaders/flat.h"
#include "loaders/kind.h"
#include "loaders/linux.h"
#include "loaders/mptable.h"
#include "loaders/multiboot.h"
#include "loaders/multiboot2.h"
#include "loaders/pvh.h"
#include "loaders/sector.h"
#include "loaders/smbios.h"

static const struct format {
    enum boot_format boot;
    bool (*recognise)(const struct image *); // NULL: only where vms.conf says so
    status_t (*load)(struct loading *);
    bool implies_bios; // and the board as a BIOS has set it up
} formats[] = {
    {BOOT_LINUX, linux_recognise, linux_load, false},
    {BOOT_MULTIBOOT2, multiboot2_recognise, multiboot2_load, true},
    {BOOT_MULTIBOOT, multiboot_recognise, multiboot_load, true},
    {BOOT_PVH, pvh_recognise, pvh_load, false},
    {BOOT_SECTOR, sector_recognise, sector_load, true},
    {BOOT_FLAT, NULL, flat_load, true},
};

static const struct format *choose_format(enum boot_format boot, const struct image *kernel)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(formats); i++) {
        const struct format *format = &formats[i];
        if (boot == BOOT_AUTO ? format->recognise && format->recognise(kernel)
                              : boot == format->boot)
            return format;
    }
    return NULL;
}

status_t loader_load(struct vm *vm, const struct vm_config *config, const struct image *kernel,
                     const struct image *initrd, const struct image *modules, unsigned module_count,
                     struct explanation *why)
{
    struct loading loading = {
        .vm = vm,
        .config = config,
        .kernel = kernel,
        .initrd = initrd,
        .modules = modules,
        .module_count = module_count,
        .why = why,
    };
    const struct format *format = choose_format(config->boot, kernel);
    if (!format)
        return explain(why, STATUS_UNSUPPORTED, "%s: no kernel but %s", kernel->name,
                       kind_describe(kernel));
    status_t status = memory_map_build(&vm->memory, &loading.map, why);
    if (status == STATUS_OK)
        status = acpi_write(vm, &loading.rsdp, why);
    if (status != STATUS_OK)
        return status;
    loading.memblock.map = &loading.map;
    mptable_write(&loading);
    smbios_write(&loading);
    bios_write(&loading);
    if (format->implies_bios)
        bios_set_up_board(vm);
    return format->load(&loading);
}
