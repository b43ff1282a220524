// Taking possession of the machine's memory.

#include "boot/memory.h"

#include "arch/x86_64/policy/mtrr.h"
#include "lib/log.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "mm/stack.h"

#define LOW_MEMORY UINT64_C(0x100000) // left to firmware and the trampoline

extern const uint8_t image_start[], image_end[], boot_stack_guard[], boot_stack_top[];

#define MAPPED_AT_BOOT (UINT64_C(4) << 30)

#define LEAST_MEMORY (UINT64_C(4) << 20) // for stacks and tables on any machine, without its VMs

struct range {
    uint64_t start, end;
};

uint64_t memory_log_place(const struct boot_info *info)
{
    // Far from both ends, where firmware and boot loaders work; low, so that large
    // pieces are left above.
    static const uint64_t places[] = {UINT64_C(32) << 20, UINT64_C(64) << 20, UINT64_C(128) << 20,
                                      UINT64_C(256) << 20, UINT64_C(512) << 20};
    for (unsigned i = 0; i < ARRAY_LENGTH(places); i++)
        if (bootinfo_is_free(info, places[i], places[i] + sizeof(struct log)))
            return places[i];
    return 0;
}

static unsigned taken_ranges(const struct boot_info *info, struct range *taken)
{
    unsigned count = 0;
    taken[count++] = (struct range){0, LOW_MEMORY};
    taken[count++] = (struct range){(uintptr_t)image_start, (uintptr_t)image_end};
    uint64_t log = memory_log_place(info);
    if (log)
        taken[count++] = (struct range){log, log + sizeof(struct log)};
    for (unsigned i = 0; i < info->module_count; i++)
        taken[count++] = (struct range){info->modules[i].start, info->modules[i].end};
    return count;
}

// The lowest place of `size` bytes inside usable memory that is mapped already and touches nothing
// taken, or 0.
static uint64_t find_free(const struct boot_info *info, const struct range *taken, unsigned count,
                          uint64_t size)
{
    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct memory_range *usable = &info->memory[i];
        if (usable->type != MEMORY_USABLE)
            continue;
        uint64_t at = align_up(usable->start, PAGE_SIZE);
        for (unsigned t = 0; t < count; t++) {
            if (at < taken[t].end && at + size > taken[t].start) {
                at = align_up(taken[t].end, PAGE_SIZE);
                t = (unsigned)-1; // from the first one again
            }
        }
        if (at + size <= MIN(usable->end, MAPPED_AT_BOOT))
            return at;
    }
    return 0;
}

// Guests' memory is write-back whatever the MTRRs say, so what they say must be that: memory that
// firmware forgot in them is not used.
static void add_write_back(const struct mtrr_state *mtrrs, uint64_t start, uint64_t end)
{
    for (uint64_t at = start, next; at < end; at = next) {
        next = end;
        if (!mtrr_are_on(mtrrs) || mtrr_is_write_back(mtrrs, at, &next))
            frames_add(hpa(at), next - at);
        else
            log_warning(
                "memory: %lu KiB at %#lx are not used: the firmware's MTRRs do not have them "
                "as write-back\n",
                (next - at) >> 10, at);
    }
}

static void add_frames(const struct boot_info *info, const struct range *taken, unsigned count)
{
    static struct mtrr_state mtrrs;
    mtrr_read(&mtrrs);
    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct memory_range *range = &info->memory[i];
        if (range->type == MEMORY_USABLE)
            add_write_back(&mtrrs, MAX(range->start, LOW_MEMORY), range->end);
    }
    for (unsigned t = 0; t < count; t++)
        frames_reserve(hpa(taken[t].start), taken[t].end - taken[t].start);
}

status_t memory_init(const struct boot_info *info, struct explanation *why)
{
    struct range taken[BOOT_MODULES_MAX + 4];
    unsigned count = taken_ranges(info, taken);
    uint64_t top = 0;
    for (unsigned i = 0; i < info->memory_count; i++)
        if (info->memory[i].type == MEMORY_USABLE)
            top = MAX(top, info->memory[i].end);
    uint64_t size = frames_bitmap_size(top);
    uint64_t bitmap = find_free(info, taken, count, size);
    if (!bitmap)
        return explain(why, STATUS_NO_MEMORY, "no room for a map of %lu MiB of memory", top >> 20);
    taken[count++] = (struct range){bitmap, bitmap + size};
    frames_init(hpa(bitmap), top);
    add_frames(info, taken, count);
    // Page tables, and the frames' owners.
    uint64_t tables = (top >> 30) * (PAGE_SIZE + (UINT64_C(1) << 20));
    if (frames_free_count() * PAGE_SIZE < LEAST_MEMORY + tables)
        return explain(
            why, STATUS_NO_MEMORY,
            "%lu KiB of memory can be used, Corbel itself needs %lu: add memory, or, if lines "
            "above say that MTRRs keep it from use, update the firmware",
            frames_free_count() * PAGE_SIZE >> 10, (LEAST_MEMORY + tables) >> 10);

    paging_init();
    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct memory_range *range = &info->memory[i];
        if (range->type == MEMORY_USABLE || range->type == MEMORY_ACPI || range->type == MEMORY_NVS)
            paging_add_ram(hpa(range->start), range->end - range->start);
    }
    paging_load();
    paging_guard((uintptr_t)boot_stack_guard);
    if (!frames_know_owners())
        return explain(why, STATUS_NO_MEMORY, "no room for a table of %lu MiB of memory",
                       top >> 20);
    return STATUS_OK;
}

uint64_t memory_low_page(const struct boot_info *info)
{
    for (uint64_t page = 0x8000; page < 0x90000; page += PAGE_SIZE)
        if (bootinfo_is_free(info, page, page + PAGE_SIZE))
            return page;
    return 0;
}

status_t memory_make_stacks(struct cpu *cpu, struct explanation *why)
{
    // The first CPU keeps the stack that it booted on.
    cpu->stack_top = cpu->index == 0 ? (uintptr_t)boot_stack_top : stack_make(STACK_SIZE);
    bool complete = cpu->stack_top != 0;
    for (unsigned i = 0; i < IST_STACKS; i++) {
        cpu->tss.ist[i] = stack_make(IST_STACK_SIZE);
        complete = complete && cpu->tss.ist[i];
    }
    if (!complete)
        return explain(why, STATUS_NO_MEMORY, "no memory for the stacks of CPU %u", cpu->index);
    return STATUS_OK;
}
