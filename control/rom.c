// ROM and flash memory of domains. Called by control/vms.c, and where VMs are built.

#include "control/rom.h"

#include "control/disks.h"
#include "control/instance_inputs.h"
#include "control/ram_pieces.h"
#include "lib/panic.h"
#include "mm/paging.h"
#include "mm/tables/ept.h"
#include "vm/platform.h"
#include "vmx/task.h"

static uint64_t start_of(const struct rom *rom)
{
    return HIGH_MEMORY_START - rom->size;
}

// Which key names a part.
static const char *key_of(const struct vm_config *config, unsigned part)
{
    return part == 0 && config->nvram[0] ? "nvram" : "firmware";
}

// The code ends where the boot processor begins.
static status_t find_parts(struct rom *rom, const struct vm_config *config, struct explanation *why)
{
    struct guest_files files;
    status_t status =
        files_find(config, instance_inputs.images, instance_inputs.image_count, &files, why);
    for (unsigned i = 0; i < FIRMWARE_PARTS && status == STATUS_OK; i++) {
        const struct image *part = &files.firmware[FIRMWARE_PARTS - 1 - i];
        rom->part[i] = *part;
        rom->size += part->size;
        bool is_empty = part->name && !part->size;
        if (is_empty || part->size % PAGE_SIZE || part->size > FIRMWARE_ROM ||
            rom->size > FIRMWARE_ROM)
            status = config_explain(why, STATUS_INVALID, config, key_of(config, i),
                                    "%s: %lu bytes are no firmware: all of it is at most 4 MiB, in "
                                    "whole pages of 4 KiB",
                                    part->name, part->size);
    }
    rom->flash = files.firmware[FIRMWARE_PARTS - 1].size;
    if (status == STATUS_OK && rom->flash && rom->size != FIRMWARE_ROM)
        status = config_explain(why, STATUS_INVALID, config, key_of(config, 0),
                                "%s and %s are %lu bytes, not 4 MiB: they are no pair",
                                rom->part[0].name, rom->part[1].name, rom->size);
    return status;
}

status_t rom_make(struct rom *rom, const struct vm_config *config, unsigned id,
                  struct explanation *why)
{
    *rom = (struct rom){0};
    if (!config->traits.firmware)
        return STATUS_OK;
    status_t status = find_parts(rom, config, why);
    if (status != STATUS_OK)
        return status;
    if (ram_pieces_make(&rom->memory, rom->size, disks_owner(id)) &&
        ram_pieces_take(&rom->memory, gpa(0), rom->size, disks_owner(id)) == 0)
        return STATUS_OK;
    rom_release(rom, id);
    return config_explain(why, STATUS_NO_MEMORY, config, "firmware", "no memory for firmware");
}

void rom_release(struct rom *rom, unsigned id)
{
    ram_pieces_release(&rom->memory, disks_owner(id));
    *rom = (struct rom){0};
}

static void hide(const struct rom *rom)
{
    uint64_t size;
    uint8_t *bytes;
    for (uint64_t at = 0; (bytes = gmem_next(&rom->memory, &at, PAGE_2M, &size)); at += PAGE_2M)
        paging_hide(paging_window_hpa(bytes), PAGE_2M);
}

void rom_fill(struct rom *rom, const bool *is_called_off)
{
    uint64_t start = 0;
    if (!rom->filled)
        hide(rom);
    for (unsigned i = 0; i < FIRMWARE_PARTS; start += rom->part[i++].size) {
        const struct image *part = &rom->part[i];
        while (rom->filled < start + part->size && !*is_called_off) {
            uint64_t done = rom->filled - start, size = MIN(part->size - done, RAM_PIECE);
            bool is_there = gmem_write(&rom->memory, gpa(rom->filled), part->bytes + done, size);
            assert(is_there);
            rom->filled += size;
            task_pause();
        }
    }
}

void rom_place(const struct rom *rom, struct gmem *memory)
{
    if (!rom->size)
        return;
    memory->rom.memory = &rom->memory;
    memory->rom.start = gpa(start_of(rom));
    memory->rom.size = rom->size;
}

static bool map(const struct rom *rom, struct page_table *ept, uint64_t first, uint64_t end)
{
    uint64_t size;
    uint8_t *bytes;
    bool is_mapped = true;
    for (uint64_t at = first; at < end && is_mapped; at += size) {
        bytes = gmem_next(&rom->memory, &at, end - at, &size);
        is_mapped =
            page_table_map(ept, start_of(rom) + at, paging_window_hpa(bytes).value, size, EPT_ROM);
    }
    return is_mapped;
}

bool rom_show(const struct rom *rom, uint64_t view, struct page_table *ept, unsigned id)
{
    uint64_t size;
    uint8_t *bytes;
    for (uint64_t at = 0; (bytes = gmem_next(&rom->memory, &at, PAGE_2M, &size)); at += PAGE_2M)
        if (!paging_view_add(view, id, paging_window_hpa(bytes), PAGE_2M))
            return false;
    // Apart, so that what is hidden is whole pages.
    return map(rom, ept, 0, rom->flash) && map(rom, ept, rom->flash, rom->size);
}
