// RAM disks, overlays and modules as disks. Called by control/vms.c and control/domain_work.c.

#include "control/disks.h"

#include "control/instance_inputs.h"
#include "control/ram_pieces.h"
#include "lib/string.h"
#include "mm/paging.h"
#include "mm/tables/frames.h"
#include "vmx/ram_pages.h"
#include "vmx/task.h"

_Static_assert(BOARD_DISKS == CONFIG_DISKS, "each disk of a description has a place");

unsigned disks_owner(unsigned id)
{
    return CONFIG_VMS + id;
}

_Static_assert(2 * CONFIG_VMS < FRAMES_SHARED, "VMs and their disks own frames");

uint64_t disks_frames(unsigned id)
{
    return frames_held(disks_owner(id)).alone;
}

void disks_release(struct disks *disks, unsigned id)
{
    for (unsigned i = 0; i < disks->count; i++)
        ram_pieces_release(&disks->disk[i].block.data, disks_owner(id));
    disks->count = 0;
}

static status_t no_memory(const struct vm_config *config, const struct config_disk *disk,
                          uint64_t size, struct explanation *why)
{
    return config_explain_line(why, STATUS_NO_MEMORY, config, disk->line,
                               "disk = %s%s: %lu MiB do not fit: %lu MiB of this machine's RAM are "
                               "free",
                               disk->module[0] ? "module:" : "ram", disk->module, size >> 20,
                               frames_available() * PAGE_SIZE >> 20);
}

// ---- pages ----

// A domain's disk that stands in RAM.
static struct disks *disks_of(const struct gmem *memory, struct gmem **data)
{
    const struct block *block = CONTAINER_OF(memory, struct block, data);
    struct disk *disk = CONTAINER_OF(block, struct disk, block);
    *data = &disk->block.data;
    return disk->disks;
}

// Where pages are looked up has room for this one. False: no memory.
static bool make_table(struct gmem *data, gpa_t page, unsigned owner)
{
    uint8_t **table = gmem_is_split(data, page) ? NULL : frame_allocate(owner);
    if (table)
        gmem_split(data, page, table);
    return gmem_is_split(data, page);
}

static void give_back(void *frame, unsigned owner)
{
    if (ram_overcommit)
        frames_free(frame, PAGE_SIZE, owner);
    else
        frames_lend(frame, PAGE_SIZE, owner);
}

// The first write to a page: it begins as the module's, or as zeros. The device's lock is held.
static uint8_t *take(const struct gmem *memory, gpa_t page)
{
    struct gmem *data;
    struct disks *disks = disks_of(memory, &data);
    unsigned owner = disks_owner(disks->id);
    uint8_t *frame = frame_allocate_promised(owner);
    hpa_t host = hpa((uintptr_t)frame);
    spin_lock(&disks->lock);
    bool is_there = frame && make_table(data, page, owner) && paging_split(host) &&
                    paging_view_add(disks->view, disks->id, host, PAGE_SIZE);
    if (is_there) {
        if (page.value < data->image_size)
            memcpy(frame, data->image + page.value, MIN(PAGE_SIZE, data->image_size - page.value));
        paging_hide(host, PAGE_SIZE);
        gmem_set_page(data, page, paging_window(host));
    }
    spin_unlock(&disks->lock);
    if (frame && !is_there)
        give_back(frame, owner);
    return is_there ? paging_window(host) : NULL;
}

// What other CPUs may still see of it is cleared before it is another's.
static void drop(const struct gmem *memory, gpa_t page)
{
    struct gmem *data;
    struct disks *disks = disks_of(memory, &data);
    uint8_t *bytes = gmem_page(data, page);
    if (!bytes)
        return;
    hpa_t host = paging_window_hpa(bytes);
    frames_clear(host, bytes, PAGE_SIZE);
    spin_lock(&disks->lock);
    gmem_set_page(data, page, NULL);
    paging_view_take(disks->view, disks->id, host);
    spin_unlock(&disks->lock);
    paging_show(host, PAGE_SIZE);
    give_back((void *)host.value, disks_owner(disks->id));
}

// All of it is away; there is memory for all of it, and for the tables that say where it is.
static bool make_data(struct disks *disks, unsigned i, struct image image)
{
    struct gmem *data = &disks->disk[i].block.data;
    unsigned owner = disks_owner(disks->id);
    uint64_t pages = align_up(image.size, PAGE_SIZE) / PAGE_SIZE;
    uint64_t tables = align_up(image.size, GMEM_PIECE) / GMEM_PIECE;
    if (!ram_pieces_make(data, image.size, owner))
        return false;
    gmem_add(data, gpa(0), NULL, image.size);
    data->take = take;
    data->drop = drop;
    data->image = image.bytes;
    data->image_size = image.bytes ? image.size : 0;
    return ram_overcommit || frames_promise(owner, pages + tables);
}

static status_t make(struct disks *disks, unsigned i, const struct vm_config *config,
                     struct explanation *why)
{
    const struct config_disk *disk = &config->disk[i];
    struct block *block = &disks->disk[i].block;
    struct image image = {.size = disk->size};
    disks->disk[i] = (struct disk){.disks = disks};
    if (disk->module[0]) {
        status_t status = inputs_find_file(config, "disk", disk->line, disk->module, &image, why);
        if (status != STATUS_OK)
            return status;
    }
    block->sectors = image.size / BLOCK_SECTOR;
    format_text(block->name, sizeof(block->name), "corbel-disk%u", i);
    if (!block->sectors || image.size % BLOCK_SECTOR)
        return config_explain_line(
            why, STATUS_INVALID, config, disk->line,
            "disk = module:%s: %lu bytes are no image of a disk: its size is "
            "a multiple of %u",
            disk->module, image.size, BLOCK_SECTOR);
    if (disk->module[0] && !disk->overlay) {
        block->image = image.bytes;
        return STATUS_OK;
    }
    return make_data(disks, i, image) ? STATUS_OK : no_memory(config, disk, image.size, why);
}

status_t disks_make(struct disks *disks, const struct vm_config *config, unsigned id,
                    struct explanation *why)
{
    status_t status = STATUS_OK;
    disks->id = id;
    for (unsigned i = 0; i < config->disk_count && status == STATUS_OK; i++) {
        status = make(disks, i, config, why);
        disks->count++;
    }
    if (status != STATUS_OK)
        disks_release(disks, id);
    return status;
}

bool disks_show(struct disks *disks, uint64_t view)
{
    bool is_shown = true;
    disks->view = view;
    for (unsigned i = 0; i < disks->count; i++) {
        const struct gmem *data = &disks->disk[i].block.data;
        uint64_t size;
        uint8_t *bytes;
        for (uint64_t at = 0; is_shown && (bytes = gmem_next(data, &at, RAM_PIECE, &size));
             at += size) {
            is_shown = paging_view_add(view, disks->id, paging_window_hpa(bytes), size);
            task_pause();
        }
    }
    return is_shown;
}
