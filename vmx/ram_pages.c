// A page that goes is taken out of the nested page tables and of gmem's table at once. Exits on
// other CPUs may still copy by a pointer to it: in the VM's view it stays until each CPU has gone
// round its loop. So pages go in two lists: one is filled while the other waits for that. Then, a
// piece at a time, they leave the view, and their frames may be used anew when no CPU can know them
// any more from its TLB: each that runs the VM has done INVEPT and written CR3. With overcommitment
// they are anybody's. Without, they stay the VM's, for the pages that are away: so these need no
// memory to come again, not for tables either, as the frames have been in the view before and their
// 2 MiB are split.

#include "vmx/ram_pages.h"

#include "arch/x86_64/cpu.h"
#include "lib/string.h"
#include "mm/paging.h"
#include "mm/tables/frame_chain.h"
#include "mm/tables/frames.h"
#include "vmx/ram_flush.h"
#include "vmx/task.h"

#define PIECE_PAGES 128 // that are cleared and freed at a time
// With overcommitment, no guest's own accesses get these: as much as a piece of a device's work may
// touch on each CPU, tables included, before its VM waits.
#define LAST_FRAMES (512 * (uint64_t)cpu_count)

bool ram_overcommit;

struct ram_run {
    uint64_t at; // host-physical
    uint64_t pages;
};

#define LIST_RUNS ((PAGE_SIZE - 2 * sizeof(uint64_t)) / sizeof(struct ram_run))

struct ram_list {
    uint64_t count;
    uint64_t since; // ram_round(), when it began to wait
    struct ram_run run[LIST_RUNS];
};

// Generations are those of the nested page tables.
struct ram_leaving {
    struct ram_list list[2];
    uint64_t filling;      // which of them
    uint64_t given_at;     // the generation that does not map what was given
    struct ram_run hidden; // has left the view, too ...
    uint64_t hidden_at;    // ... and no CPU that flushes in this generation finds it
    struct frame_chain kept;
};

#define LEAVING_SIZE align_up(sizeof(struct ram_leaving), PAGE_SIZE)

status_t ram_pages_make(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    vmx->leaving = frames_allocate(LEAVING_SIZE, PAGE_SIZE, vm->id);
    if (!vmx->leaving)
        return STATUS_NO_MEMORY;
    memset(vmx->leaving, 0, LEAVING_SIZE);
    vm->memory.take = ram_take;
    return STATUS_OK;
}

// ---- going ----

// The 2 MiB around a page has tables of its pages wherever it is seen. False: no memory for them.
static bool split(struct vm *vm, gpa_t page, const uint8_t *bytes)
{
    struct vmx_vm *vmx = vm->vmx;
    struct gmem *memory = &vm->memory;
    hpa_t host = paging_window_hpa(bytes);
    if (gmem_is_split(memory, page))
        return true;
    if (memory->piece[page.value / GMEM_PIECE].size < GMEM_PIECE || !paging_split(host) ||
        !paging_view_split(vmx->view, vm->id, host))
        return false;
    uint8_t **table = frame_allocate(vm->id);
    if (table)
        gmem_split(memory, page, table);
    return table;
}

static bool has_room(const struct ram_list *list, hpa_t host)
{
    const struct ram_run *last = list->count ? &list->run[list->count - 1] : NULL;
    return list->count < LIST_RUNS || last->at + last->pages * PAGE_SIZE == host.value;
}

static void add(struct ram_list *list, hpa_t host)
{
    struct ram_run *last = list->count ? &list->run[list->count - 1] : NULL;
    if (last && last->at + last->pages * PAGE_SIZE == host.value)
        last->pages++;
    else
        list->run[list->count++] = (struct ram_run){host.value, 1};
}

// False: the list is full.
static bool give(struct vm *vm, gpa_t page)
{
    struct vmx_vm *vmx = vm->vmx;
    struct ram_list *list = &vmx->leaving->list[vmx->leaving->filling];
    const uint8_t *bytes =
        gmem_is_ram(&vm->memory, page, PAGE_SIZE) ? gmem_page(&vm->memory, page) : NULL;
    if (!bytes)
        return true;
    hpa_t host = paging_window_hpa(bytes);
    if (!has_room(list, host))
        return false;
    if (!split(vm, page, bytes) || !dirty_log_drop(&vmx->log, page))
        return true;
    gmem_set_page(&vm->memory, page, NULL);
    gmem_mark_dirty(&vm->memory, page, PAGE_SIZE);
    add(list, host);
    return true;
}

uint64_t ram_give(struct vm *vm, gpa_t at, uint64_t count)
{
    struct vmx_vm *vmx = vm->vmx;
    uint64_t done = 0;
    if (!vmx->leaving)
        return count;
    spin_lock(&vmx->ept_lock);
    uint64_t before = vm->memory.away;
    while (done < count && give(vm, gpa(at.value + done * PAGE_SIZE)))
        done++;
    bool is_changed = vm->memory.away != before;
    if (is_changed)
        vmx->leaving->given_at = vmx->ept.generation;
    spin_unlock(&vmx->ept_lock);
    if (is_changed)
        ram_changed(vm);
    return done;
}

// ---- gone ----

// A guest that wrote where it had been told that a page is its own again, by what its CPU kept,
// would find zeros there later.
bool ram_is_gone(struct vm *vm)
{
    const struct ram_leaving *leaving = ((struct vmx_vm *)vm->vmx)->leaving;
    return !leaving || ram_others_have_flushed(vm, leaving->given_at);
}

// Takes the end of a list, at most so many pages. Its pages become 0 if there is none.
static struct ram_run take_run(struct ram_list *list, uint64_t most)
{
    if (!list->count)
        return (struct ram_run){0};
    struct ram_run *last = &list->run[list->count - 1];
    struct ram_run taken = {.pages = MIN(last->pages, most)};
    last->pages -= taken.pages;
    taken.at = last->at + last->pages * PAGE_SIZE;
    list->count -= !last->pages;
    return taken;
}

static void wait_for_rounds(struct ram_leaving *leaving)
{
    leaving->list[leaving->filling].since = ram_round();
    leaving->filling ^= 1;
}

// A run to which nobody has a pointer any more leaves the VM's view.
static void hide_run(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    struct ram_leaving *leaving = vmx->leaving;
    leaving->hidden = (struct ram_run){0};
    if (!leaving->list[!leaving->filling].count)
        wait_for_rounds(leaving);
    struct ram_list *waiting = &leaving->list[!leaving->filling];
    if (ram_round() - waiting->since < 2)
        return;
    leaving->hidden = take_run(waiting, PIECE_PAGES);
    if (!leaving->hidden.pages)
        return;
    for (uint64_t i = 0; i < leaving->hidden.pages; i++)
        paging_view_take(vmx->view, vm->id, hpa(leaving->hidden.at + i * PAGE_SIZE));
    page_table_changed(&vmx->ept);
    leaving->hidden_at = vmx->ept.generation;
}

// Pages that came meanwhile took other frames: then there are more than it needs.
static void give_back(struct vm *vm, hpa_t host)
{
    struct vmx_vm *vmx = vm->vmx;
    struct frame_chain *kept = &vmx->leaving->kept;
    spin_lock(&vmx->ept_lock);
    bool is_kept = !ram_overcommit && kept->count < vm->memory.away && !frame_is_retired(host);
    if (is_kept)
        frame_chain_push(kept, (void *)host.value);
    spin_unlock(&vmx->ept_lock);
    if (is_kept)
        frames_lend(vm->id, 1);
    else
        frame_free((void *)host.value, vm->id);
}

// What nobody uses any more.
static void free_run(struct vm *vm, struct ram_run run)
{
    for (uint64_t i = 0; i < run.pages; i++) {
        hpa_t host = hpa(run.at + i * PAGE_SIZE);
        paging_show(host, PAGE_SIZE);
        frames_clear(host, (void *)host.value, PAGE_SIZE);
        give_back(vm, host);
    }
}

// One of those that were kept, or a new one.
static void *take_frame(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    spin_lock(&vmx->ept_lock);
    void *frame = frame_chain_pop(&vmx->leaving->kept);
    spin_unlock(&vmx->ept_lock);
    if (!frame)
        return frame_allocate(vm->id);
    frames_claim(vm->id, 1);
    return frame;
}

bool ram_settle(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    struct ram_leaving *leaving = vmx->leaving;
    if (!leaving)
        return false;
    struct ram_run gone = {0};
    spin_lock(&vmx->ept_lock);
    bool have_flushed = ram_have_flushed(vm, leaving->hidden_at);
    if (have_flushed) {
        gone = leaving->hidden;
        hide_run(vm);
    }
    bool is_changed = have_flushed && leaving->hidden.pages;
    bool more = leaving->hidden.pages || leaving->list[0].count || leaving->list[1].count;
    spin_unlock(&vmx->ept_lock);
    if (is_changed)
        ram_changed(vm);
    free_run(vm, gone);
    return more;
}

void ram_pages_release(struct vm *vm)
{
    struct ram_leaving *leaving = ((struct vmx_vm *)vm->vmx)->leaving;
    for (unsigned i = 0; leaving && i < ARRAY_LENGTH(leaving->list); i++)
        for (struct ram_run run; (run = take_run(&leaving->list[i], PIECE_PAGES)).pages;) {
            free_run(vm, run);
            task_pause();
        }
    if (!leaving)
        return;
    free_run(vm, leaving->hidden);
    while (leaving->kept.count) {
        frame_free(take_frame(vm), vm->id);
        task_pause();
    }
    frames_free(leaving, LEAVING_SIZE, vm->id);
}

// ---- coming again ----

uint8_t *ram_take(const struct gmem *memory, gpa_t page)
{
    struct vm *vm = CONTAINER_OF(memory, struct vm, memory);
    struct vmx_vm *vmx = vm->vmx;
    void *frame = take_frame(vm);
    hpa_t host = hpa((uintptr_t)frame);
    spin_lock(&vmx->ept_lock);
    uint8_t *bytes = gmem_page(&vm->memory, page); // another CPU may have been faster
    bool is_new = !bytes && frame && paging_split(host) &&
                  paging_view_add(vmx->view, vm->id, host, PAGE_SIZE);
    if (is_new) {
        paging_hide(host, PAGE_SIZE);
        bytes = paging_window(host);
        gmem_set_page(&vm->memory, page, bytes);
    }
    spin_unlock(&vmx->ept_lock);
    if (frame && !is_new)
        give_back(vm, host);
    if (!bytes)
        vm->is_starved = true;
    else
        (void)ram_must_wait(vm); // devices take without waiting: it is paused before the last
    return bytes;
}

bool ram_must_wait(struct vm *vm)
{
    if (ram_overcommit && frames_available() < LAST_FRAMES)
        vm->is_starved = true;
    return vm->is_starved;
}

bool ram_can_go_on(const struct vm *vm)
{
    const struct vmx_vm *vmx = vm->vmx;
    bool has_kept = vmx->leaving && vmx->leaving->kept.count;
    return has_kept || frames_available() >= 2 * LAST_FRAMES;
}
