// The RAM of one VM, from its frames to the page tables that show it, and back. All of it takes as
// long as it is large. Called by control/instance.c.

#include "control/instance_ram.h"

#include "control/disks.h"
#include "control/ram_pieces.h"
#include "control/rom.h"
#include "lib/string.h"
#include "loaders/memory_map.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "vmx/mitigations.h"
#include "vmx/ram_pages.h"
#include "vmx/task.h"

#define PIECE_TABLES 256

static status_t no_tables(const struct instance *instance, struct explanation *why)
{
    return config_explain(why, STATUS_NO_MEMORY, instance->config, "memory",
                          "no memory for page tables");
}

// One region of guest RAM.
static status_t add_ram(struct instance *instance, gpa_t start, uint64_t size,
                        struct explanation *why)
{
    uint64_t missing = ram_pieces_take(&instance->vm.memory, start, size, instance->vm.id);
    if (!missing)
        return STATUS_OK;
    return config_explain(why, STATUS_NO_MEMORY, instance->config, "memory",
                          "memory = %luM does not fit: for the last %lu MiB of it, %lu MiB of this "
                          "machine's RAM are free",
                          instance->config->memory >> 20, missing >> 20,
                          frames_available() * PAGE_SIZE >> 20);
}

status_t instance_ram_make(struct instance *instance, struct explanation *why)
{
    bool only_4k = host_speculation.mitigations & MITIGATION_4K;
    unsigned largest = only_4k ? 1 : vmx_uses(FEATURE_1G) ? 3 : 2;
    instance->frames = frames_source(instance->vm.id);
    instance->vmx.view = paging_view_make(instance->vm.id);
    if (!instance->vmx.view ||
        !page_table_init(&instance->vmx.ept, EPT_FORMAT, largest, &instance->frames))
        return no_tables(instance, why);
    struct memory_layout layout = memory_layout(&instance->vm.traits);
    uint64_t end = layout.high ? HIGH_MEMORY_START + layout.high : layout.low;
    if (!ram_pieces_make(&instance->vm.memory, end, instance->vm.id))
        return no_tables(instance, why);
    rom_place(instance->rom, &instance->vm.memory);
    status_t status = add_ram(instance, gpa(0), layout.low, why);
    if (status == STATUS_OK)
        status = add_ram(instance, gpa(HIGH_MEMORY_START), layout.high, why);
    if (status == STATUS_OK && instance->config->traits.balloon)
        status = ram_pages_make(&instance->vm) == STATUS_OK ? STATUS_OK : no_tables(instance, why);
    return status;
}

// RAM is mapped in the EPT with the largest pages that fit, and seen by this VM's exits alone.
static bool map_run(struct instance *instance, uint64_t guest, uint8_t *bytes, uint64_t size)
{
    hpa_t ram = paging_window_hpa(bytes);
    uint64_t whole = align_up(size, PAGE_2M);
    paging_hide(ram, whole);
    return paging_view_add(instance->vmx.view, instance->vm.id, ram, whole) &&
           page_table_map(&instance->vmx.ept, guest, ram.value, size, EPT_RAM);
}

// The bits of a log of written pages, clear.
static bool make_log(struct instance *instance)
{
    uint64_t size = dirty_log_size(&instance->vm.memory);
    uint8_t *bits = frames_allocate(size, PAGE_SIZE, instance->vm.id);
    instance->vmx.log.bits = (_Atomic uint64_t *)bits;
    for (uint64_t at = 0; bits && at < size && !instance->is_called_off; at += RAM_PIECE) {
        memset(bits + at, 0, MIN(size - at, RAM_PIECE));
        task_pause();
    }
    return bits;
}

status_t instance_ram_map(struct instance *instance, struct explanation *why)
{
    if (!make_log(instance))
        return no_tables(instance, why);
    // As much as one table of the EPT, or a few, can say.
    uint64_t most = instance->vmx.ept.largest == 1 ? PAGE_2M : PAGE_1G, size;
    uint8_t *bytes;
    for (uint64_t at = 0;
         !instance->is_called_off && (bytes = gmem_next(&instance->vm.memory, &at, most, &size));
         at += size) {
        if (!map_run(instance, at, bytes, size))
            return no_tables(instance, why);
        task_pause();
    }
    return rom_show(instance->rom, instance->vmx.view, &instance->vmx.ept, instance->vm.id) &&
                   disks_show(instance->disks, &instance->vmx)
               ? STATUS_OK
               : no_tables(instance, why);
}

void instance_clear(struct instance *instance)
{
    uint64_t size;
    uint8_t *bytes;
    for (uint64_t at = 0; !instance->is_called_off &&
                          (bytes = gmem_next(&instance->vm.memory, &at, RAM_PIECE, &size));
         at += size) {
        frames_clear(paging_window_hpa(bytes), bytes, size);
        task_pause();
    }
}

void instance_ram_release(struct instance *instance)
{
    struct page_table *ept = &instance->vmx.ept;
    while (ept->root) {
        page_table_destroy(ept, PIECE_TABLES);
        task_pause();
    }
    ram_pages_release(&instance->vm);
    ram_pieces_release(&instance->vm.memory, instance->vm.id);
    paging_view_free(instance->vmx.view, instance->vm.id);
}
