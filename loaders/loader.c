// The table of formats, in the order in which a file is tried against them, and the steps that all
// have in common.

#include "loaders/loader.h"

#include "loaders/acpi.h"
#include "loaders/flat.h"
#include "loaders/kind.h"
#include "loaders/linux.h"
#include "loaders/multiboot.h"
#include "loaders/multiboot2.h"
#include "loaders/pvh.h"
#include "loaders/sector.h"

static const struct format {
    enum boot_format boot;
    bool (*recognise)(const struct image *); // NULL: only where vms.conf says so
    status_t (*load)(struct loading *);
} formats[] = {
    {BOOT_LINUX, linux_recognise, linux_load},
    {BOOT_MULTIBOOT2, multiboot2_recognise, multiboot2_load},
    {BOOT_MULTIBOOT, multiboot_recognise, multiboot_load},
    {BOOT_PVH, pvh_recognise, pvh_load},
    {BOOT_SECTOR, sector_recognise, sector_load},
    {BOOT_FLAT, NULL, flat_load},
};

static const struct format *choose_format(const struct vm *vm, const struct image *kernel)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(formats); i++) {
        const struct format *format = &formats[i];
        if (vm->config.boot == BOOT_AUTO ? format->recognise && format->recognise(kernel)
                                         : vm->config.boot == format->boot)
            return format;
    }
    return NULL;
}

status_t loader_load(struct vm *vm, const struct image *kernel, const struct image *initrd,
                     const struct image *modules, unsigned module_count, struct explanation *why)
{
    struct loading loading = {
        .vm = vm,
        .kernel = kernel,
        .initrd = initrd,
        .modules = modules,
        .module_count = module_count,
        .why = why,
    };
    const struct format *format = choose_format(vm, kernel);
    if (!format)
        return explain(why, STATUS_UNSUPPORTED, "%s: no kernel but %s", kernel->name,
                       kind_describe(kernel));
    status_t status = memory_map_build(&vm->memory, &loading.map, why);
    if (status == STATUS_OK)
        status = acpi_write(vm, &loading.rsdp, why);
    loading.room.map = &loading.map;
    return status == STATUS_OK ? format->load(&loading) : status;
}
