// Copies into a guest that is being loaded, each into a place that was claimed before.

#include "loaders/loading.h"

#include "lib/panic.h"
#include "lib/string.h"
#include "vm/platform.h"

void loading_write(struct loading *loading, uint64_t at, const void *from, uint64_t size)
{
    bool written = gmem_write(&loading->vm->memory, gpa(at), from, size);
    assert(written); // only claimed places, which are RAM, come here
}

void loading_write_file(struct loading *loading, uint64_t at, const void *from, uint64_t size)
{
    struct vm *vm = loading->vm;
    if (!size)
        return;
    if (vm->host->copy_file)
        vm->host->copy_file(vm, gpa(at), from, size);
    else
        loading_write(loading, at, from, size);
}

status_t loading_copy(struct loading *loading, uint64_t at, const void *from, uint64_t filled,
                      uint64_t size, const char *name)
{
    static const uint8_t zeroes[BIOS_DATA_END]; // the rest of RAM is clear
    status_t status = memblock_reserve(&loading->memblock, at, size, name, loading->why);
    if (status != STATUS_OK)
        return status;
    if (at + filled < BIOS_DATA_END)
        loading_write(loading, at + filled, zeroes,
                      MIN(size - filled, BIOS_DATA_END - at - filled));
    loading_write_file(loading, at, from, filled);
    return STATUS_OK;
}

status_t loading_take_info(struct loading *loading, uint64_t size, uint64_t alignment,
                           const char *name, uint64_t *at)
{
    struct memblock_request request = {size, alignment, INFO_LOW, INFO_HIGH, false};
    return memblock_alloc(&loading->memblock, &request, name, at, loading->why);
}

status_t loading_place_info(struct loading *loading, const void *from, uint64_t size,
                            const char *name, uint64_t *at)
{
    status_t status = loading_take_info(loading, size, PAGE_SIZE, name, at);
    if (status == STATUS_OK)
        loading_write(loading, *at, from, size);
    return status;
}

status_t loading_place_text(struct loading *loading, const char *text, const char *name,
                            uint64_t *at)
{
    return loading_place_info(loading, text, strlen(text) + 1, name, at);
}

status_t loading_place_high(struct loading *loading, const struct image *module, uint64_t high,
                            uint64_t *at)
{
    struct memblock_request request = {MAX(module->size, 1), PAGE_SIZE, BIOS_END, high, true};
    status_t status = memblock_alloc(&loading->memblock, &request, module->name, at, loading->why);
    if (status == STATUS_OK)
        loading_write_file(loading, *at, module->bytes, module->size);
    return status;
}

static status_t place_module_text(struct loading *loading, const struct image *module, uint64_t *at)
{
    const char *arguments = module->cmdline ? module->cmdline : "";
    uint64_t name_length = strlen(module->name), size = name_length + strlen(arguments) + 2;
    status_t status = loading_take_info(loading, size, 16, module->name, at);
    if (status != STATUS_OK)
        return status;
    loading_write(loading, *at, module->name, name_length + 1);
    if (*arguments) {
        loading_write(loading, *at + name_length, " ", 1);
        loading_write(loading, *at + name_length + 1, arguments, strlen(arguments) + 1);
    }
    return STATUS_OK;
}

static status_t place_one(struct loading *loading, const struct image *module, uint64_t low,
                          struct placed_modules *placed)
{
    if (placed->count == LOADING_MODULES)
        return explain(loading->why, STATUS_FULL,
                       "%s: one module too many; at most %d are possible", module->name,
                       CONFIG_MODULES);
    struct placed_module *slot = &placed->module[placed->count];
    struct memblock_request request = {MAX(module->size, 1), PAGE_SIZE, low, HIGH_MEMORY_START,
                                       false};
    status_t status =
        memblock_alloc(&loading->memblock, &request, module->name, &slot->start, loading->why);
    if (status != STATUS_OK)
        return status;
    loading_write_file(loading, slot->start, module->bytes, module->size);
    slot->size = module->size;
    placed->count++;
    return place_module_text(loading, module, &slot->text);
}

status_t loading_place_modules(struct loading *loading, uint64_t low, struct placed_modules *placed)
{
    status_t status = STATUS_OK;
    placed->count = 0;
    low = MAX(low, BIOS_END);
    if (loading->initrd)
        status = place_one(loading, loading->initrd, low, placed);
    for (unsigned i = 0; i < loading->module_count && status == STATUS_OK; i++)
        status = place_one(loading, &loading->modules[i], low, placed);
    return status;
}

status_t loading_refuse_modules(struct loading *loading, const char *format)
{
    if (!loading->initrd && !loading->module_count)
        return STATUS_OK;
    return explain(loading->why, STATUS_UNSUPPORTED, "%s: %s takes no %s; remove the line",
                   loading->kernel->name, format, loading->initrd ? "initrd" : "modules");
}
