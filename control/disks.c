// RAM disks, overlays and modules as disks. Called by control/vms.c and control/domain_work.c.

#include "control/disks.h"

#include "control/instance_inputs.h"
#include "control/ram_pieces.h"
#include "lib/string.h"
#include "mm/paging.h"
#include "mm/tables/frames.h"
#include "vmx/ram_flush.h"
#include "vmx/ram_pages.h"
#include "vmx/task.h"

#define PIECE_PAGES 128 // that are given back at a time

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

// Its place of its own, whether it is there or not. NULL: it has none.
static uint8_t *own_place(const struct gmem *data, gpa_t page)
{
    uint8_t *bytes = data->piece[page.value / GMEM_PIECE].bytes;
    return bytes ? bytes + page.value % GMEM_PIECE : NULL;
}

// A frame for a page that has no place of its own. NULL: no memory.
static uint8_t *find_place(struct disks *disks, struct gmem *data, gpa_t page)
{
    unsigned owner = disks_owner(disks->id);
    void *frame = frames_leaving_again(&disks->leaving);
    if (!frame)
        frame = frame_allocate(owner);
    hpa_t host = hpa((uintptr_t)frame);
    if (frame && make_table(data, page, owner) && paging_split(host) &&
        paging_view_add(disks->vmx->view, disks->id, host, PAGE_SIZE)) {
        paging_hide(host, PAGE_SIZE);
        return paging_window(host);
    }
    if (frame)
        frame_chain_push(&disks->leaving.leaving, frame);
    return NULL;
}

// It begins as the module's, or as zeros.
static void fill(const struct gmem *data, gpa_t page, uint8_t *bytes)
{
    frames_clear(paging_window_hpa(bytes), bytes, PAGE_SIZE);
    if (page.value < data->image_size)
        memcpy(bytes, data->image + page.value, MIN(PAGE_SIZE, data->image_size - page.value));
}

// The first write to a page. The device's lock is held.
static uint8_t *take(const struct gmem *memory, gpa_t page)
{
    struct gmem *data;
    struct disks *disks = disks_of(memory, &data);
    struct vm *vm = disks->vmx->vm;
    spin_lock(&disks->lock);
    uint8_t *bytes = own_place(data, page);
    bool is_own = bytes && paging_view_add(disks->vmx->view, disks->id, paging_window_hpa(bytes),
                                           PAGE_SIZE); // its table is there
    if (is_own)
        frames_claim(disks_owner(disks->id), 1);
    else
        bytes = find_place(disks, data, page);
    if (bytes) {
        fill(data, page, bytes);
        gmem_set_page(data, page, bytes);
    }
    spin_unlock(&disks->lock);
    if (!bytes)
        vm->is_starved = true;
    else
        (void)ram_must_wait(vm); // it is paused before there is nothing at all
    return bytes;
}

// What other CPUs may still see of it is not another's before they do not any more.
static void drop(const struct gmem *memory, gpa_t page)
{
    struct gmem *data;
    struct disks *disks = disks_of(memory, &data);
    unsigned owner = disks_owner(disks->id);
    uint8_t *bytes = gmem_page(data, page);
    if (!bytes)
        return;
    hpa_t host = paging_window_hpa(bytes);
    spin_lock(&disks->lock);
    gmem_set_page(data, page, NULL);
    if (bytes == own_place(data, page)) {
        frames_lend(owner, 1);
    } else {
        frames_clear(host, bytes, PAGE_SIZE);
        paging_view_take(disks->vmx->view, disks->id, host);
        paging_show(host, PAGE_SIZE);
        if (frame_is_retired(host))
            frame_free((void *)host.value, owner); // nobody gets it
        else
            frame_chain_push(&disks->leaving.leaving, (void *)host.value);
    }
    spin_unlock(&disks->lock);
}

void disks_settle(struct disks *disks)
{
    bool waits = disks->leaving.leaving.count || disks->leaving.waiting.count;
    uint64_t round = waits ? ram_round() : 0;
    void *frame = NULL;
    for (unsigned i = 0; waits && i < PIECE_PAGES && (i == 0 || frame); i++) {
        spin_lock(&disks->lock);
        frame = frames_leaving_take(&disks->leaving, round);
        spin_unlock(&disks->lock);
        if (frame)
            frame_free(frame, disks_owner(disks->id));
    }
}

// ---- making them ----

// A place of its own for each page of a piece, and the table that says which are there.
static bool reserve(struct gmem *data, uint64_t at, unsigned owner)
{
    uint8_t **table = frame_allocate(owner);
    void *run = frames_allocate(GMEM_PIECE, GMEM_PIECE, owner);
    hpa_t host = hpa((uintptr_t)run);
    if (table)
        gmem_split(data, gpa(at), table);
    if (run) {
        paging_hide(host, GMEM_PIECE);
        data->piece[at / GMEM_PIECE].bytes = paging_window(host);
        frames_lend(owner, GMEM_PIECE / PAGE_SIZE);
    }
    return table && run;
}

void disks_release(struct disks *disks, unsigned id)
{
    for (unsigned i = 0; i < disks->count; i++) {
        struct gmem *data = &disks->disk[i].block.data;
        for (uint64_t at = 0; at < data->pieces * GMEM_PIECE; at += GMEM_PIECE) {
            uint8_t *bytes = own_place(data, gpa(at));
            if (!bytes)
                continue;
            hpa_t host = paging_window_hpa(bytes);
            paging_show(host, GMEM_PIECE);
            frames_claim(disks_owner(id), GMEM_PIECE / PAGE_SIZE);
            frames_free((void *)host.value, GMEM_PIECE, disks_owner(id));
        }
        ram_pieces_release(data, disks_owner(id));
    }
    disks->count = 0;
}

// All of it is away.
static bool make_data(struct disks *disks, unsigned i, struct image image)
{
    struct gmem *data = &disks->disk[i].block.data;
    unsigned owner = disks_owner(disks->id);
    bool is_made = ram_pieces_make(data, image.size, owner);
    if (!is_made)
        return false;
    gmem_add(data, gpa(0), NULL, image.size);
    data->take = take;
    data->drop = drop;
    data->image = image.bytes;
    data->image_size = image.bytes ? image.size : 0;
    for (uint64_t at = 0; is_made && !ram_overcommit && at < image.size; at += GMEM_PIECE)
        is_made = reserve(data, at, owner);
    return is_made;
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

// Pages that have a place have a table of the view for it.
static bool make_tables(struct vmx_vm *vmx, unsigned id, const struct gmem *data)
{
    for (uint64_t at = 0; at < data->pieces * GMEM_PIECE; at += GMEM_PIECE) {
        uint8_t *bytes = own_place(data, gpa(at));
        if (!bytes)
            continue;
        if (!paging_view_add(vmx->view, id, paging_window_hpa(bytes), PAGE_SIZE))
            return false;
        paging_view_take(vmx->view, id, paging_window_hpa(bytes)); // perhaps it is not there
        task_pause();
    }
    return true;
}

bool disks_show(struct disks *disks, struct vmx_vm *vmx)
{
    bool is_shown = true;
    disks->vmx = vmx;
    for (unsigned i = 0; i < disks->count && is_shown; i++) {
        const struct gmem *data = &disks->disk[i].block.data;
        uint64_t size;
        uint8_t *bytes;
        is_shown = make_tables(vmx, disks->id, data);
        for (uint64_t at = 0; is_shown && (bytes = gmem_next(data, &at, RAM_PIECE, &size));
             at += size) {
            is_shown = paging_view_add(vmx->view, disks->id, paging_window_hpa(bytes), size);
            task_pause();
        }
    }
    return is_shown;
}
