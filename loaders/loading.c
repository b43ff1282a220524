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
    bool is_later = vm->host->copy_later && vm->host->copy_later(vm, gpa(at), from, size);
    if (!is_later)
        loading_write(loading, at, from, size);
}

static void write_zeroes(struct loading *loading, uint64_t at, uint64_t size)
{
    static const uint8_t zeroes[4096];
    for (uint64_t done = 0; done < size; done += sizeof(zeroes))
        loading_write(loading, at + done, zeroes, MIN(size - done, sizeof(zeroes)));
}

status_t loading_copy(struct loading *loading, uint64_t at, const void *from, uint64_t size,
                      const char *name)
{
    status_t status = room_claim(&loading->room, at, size, name, loading->why);
    if (status == STATUS_OK)
        loading_write_file(loading, at, from, size);
    return status;
}

status_t loading_zero(struct loading *loading, uint64_t at, uint64_t size, const char *name)
{
    status_t status = room_claim(&loading->room, at, size, name, loading->why);
    if (status == STATUS_OK)
        write_zeroes(loading, at, size);
    return status;
}

status_t loading_take_info(struct loading *loading, uint64_t size, uint64_t alignment,
                           const char *name, uint64_t *at)
{
    struct room_wish wish = {size, alignment, INFO_LOW, INFO_HIGH, false};
    return room_take(&loading->room, &wish, name, at, loading->why);
}

status_t loading_place_info(struct loading *loading, const void *from, uint64_t size,
                            const char *name, uint64_t *at)
{
    status_t status = loading_take_info(loading, size, PAGE_SIZE, name, at);
    if (status == STATUS_OK)
        loading_write(loading, *at, from, size);
    return status;
}

status_t loading_take_page(struct loading *loading, const char *name, uint64_t *at, uint8_t **bytes)
{
    status_t status = loading_take_info(loading, PAGE_SIZE, PAGE_SIZE, name, at);
    if (status != STATUS_OK)
        return status;
    *bytes = gmem_at(&loading->vm->memory, gpa(*at), PAGE_SIZE);
    assert(*bytes); // regions of RAM are whole pages
    memset(*bytes, 0, PAGE_SIZE);
    return STATUS_OK;
}

status_t loading_place_text(struct loading *loading, const char *text, const char *name,
                            uint64_t *at)
{
    return loading_place_info(loading, text, strlen(text) + 1, name, at);
}

status_t loading_place_high(struct loading *loading, const struct image *module, uint64_t high,
                            uint64_t *at)
{
    struct room_wish wish = {MAX(module->size, 1), PAGE_SIZE, BIOS_END, high, true};
    status_t status = room_take(&loading->room, &wish, module->name, at, loading->why);
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
    struct room_wish wish = {MAX(module->size, 1), PAGE_SIZE, low, HIGH_MEMORY_START, false};
    status_t status = room_take(&loading->room, &wish, module->name, &slot->start, loading->why);
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
