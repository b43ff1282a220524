// Copies into a guest that is being loaded, each into a place that was claimed before.

#include "loaders/loading.h"

#include "lib/panic.h"
#include "lib/string.h"

void loading_write(struct loading *loading, uint64_t at, const void *from, uint64_t size)
{
    bool written = gmem_write(&loading->vm->memory, gpa(at), from, size);
    assert(written); // only claimed places, which are RAM, come here
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
        loading_write(loading, at, from, size);
    return status;
}

status_t loading_zero(struct loading *loading, uint64_t at, uint64_t size, const char *name)
{
    status_t status = room_claim(&loading->room, at, size, name, loading->why);
    if (status == STATUS_OK)
        write_zeroes(loading, at, size);
    return status;
}

status_t loading_place_info(struct loading *loading, const void *from, uint64_t size,
                            const char *name, uint64_t *at)
{
    struct room_wish wish = {size, PAGE_SIZE, INFO_LOW, INFO_HIGH};
    status_t status = room_take_lowest(&loading->room, &wish, name, at, loading->why);
    if (status == STATUS_OK)
        loading_write(loading, *at, from, size);
    return status;
}

status_t loading_take_page(struct loading *loading, const char *name, uint64_t *at, uint8_t **bytes)
{
    struct room_wish wish = {PAGE_SIZE, PAGE_SIZE, INFO_LOW, INFO_HIGH};
    status_t status = room_take_lowest(&loading->room, &wish, name, at, loading->why);
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

status_t loading_place_module(struct loading *loading, const struct image *module, uint64_t high,
                              uint64_t *at)
{
    struct room_wish wish = {MAX(module->size, 1), PAGE_SIZE, BIOS_END, high};
    status_t status = room_take_highest(&loading->room, &wish, module->name, at, loading->why);
    if (status == STATUS_OK)
        loading_write(loading, *at, module->bytes, module->size);
    return status;
}
