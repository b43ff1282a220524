// mm/tables/page_table.c, with the format of EPT, against a flat model: sampled pages, each with
// the translation that the operations so far give it. The input is a list of operations of 8 bytes.

#include <limits.h>
#include <stdio.h>

#include "tests/unit/ept_memory.h"

#define SAMPLES 192
#define REGIONS 3

static const uint64_t region[REGIONS] = {0, PAGE_1G - 2 * PAGE_2M, BIT(39) - PAGE_2M};

struct operation {
    uint8_t kind;
    uint8_t region;
    uint16_t first; // pages into the region
    uint16_t count;
    uint8_t host;
    uint8_t flags;
};

struct model {
    uint64_t guest[SAMPLES];
    struct translation page[SAMPLES]; // `level` is not modelled
};

static void begin_model(struct model *model)
{
    memset(model, 0, sizeof(*model));
    for (unsigned i = 0; i < SAMPLES; i++) {
        // Around each boundary of 2M in each region, and odd places between.
        uint64_t base = region[i % REGIONS] + i / 12 * PAGE_2M / 2;
        model->guest[i] = (base + (i % 4) * PAGE_SIZE - PAGE_SIZE * 2) & (BIT(48) - 1);
    }
}

// Applies to the sampled pages what the operation does to all.
static void apply(struct model *model, const struct operation *operation, uint64_t guest,
                  uint64_t size, uint64_t host, uint64_t flags)
{
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct translation *page = &model->page[i];
        if (model->guest[i] < guest || model->guest[i] - guest >= size)
            continue;
        if (operation->kind % 4 == 0)
            *page = (struct translation){.host = host + (model->guest[i] - guest), .flags = flags};
        else if (operation->kind % 4 == 1)
            *page = (struct translation){0};
        else if (operation->kind % 4 == 2 && page->flags != 0)
            page->flags = (page->flags & ~EPT_RIGHTS) | (flags & EPT_RIGHTS);
    }
}

static void compare(const struct model *model, struct ept_memory *memory,
                    const struct page_table *ept)
{
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct translation now = memory_walk(memory, ept_pointer(ept, true), model->guest[i]);
        uint64_t flags = now.flags & ~(EPT_ACCESSED | EPT_DIRTY);
        if (flags == model->page[i].flags && (flags == 0 || now.host == model->page[i].host))
            continue;
        fprintf(stderr, "%#lx: %#lx with %#lx, not %#lx with %#lx\n",
                (unsigned long)model->guest[i], (unsigned long)now.host, (unsigned long)flags,
                (unsigned long)model->page[i].host, (unsigned long)model->page[i].flags);
        abort();
    }
}

static void run(struct model *model, struct page_table *ept, const struct operation *operation)
{
    static const uint64_t all_flags[] = {EPT_RAM, EPT_ROM, EPT_READ, EPT_RIGHTS};
    uint64_t flags = all_flags[operation->flags % 4];
    uint64_t guest = region[operation->region % REGIONS] + operation->first % 2048 * PAGE_SIZE;
    uint64_t size = operation->count % 2048 * PAGE_SIZE;
    if ((operation->region & 0x80) && (operation->host & 1))
        size += PAGE_1G;
    // Host addresses that now and then run on from each other, so that merging has something to do.
    uint64_t host = operation->host & 1 ? guest : (uint64_t)operation->host << 20;
    unsigned level = operation->flags & 1 ? 3 : 2;
    bool done = true; // the pool is large enough for these regions
    switch (operation->kind % 4) {
    case 0:
        done = page_table_map(ept, guest, host, size, flags);
        break;
    case 1:
        done = page_table_change(ept, guest, size, 0, 0);
        break;
    case 2:
        done = page_table_change(ept, guest, size, ~EPT_RIGHTS, flags & EPT_RIGHTS);
        break;
    default:
        (void)page_table_merge(ept, guest, level);
        break;
    }
    if (!done)
        abort();
    apply(model, operation, guest, size, host, flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model model;
    static struct ept_memory *memory;
    if (memory == NULL)
        memory = memory_new();
    if (size < 1)
        return 0;
    struct page_table ept;
    if (!page_table_init(&ept, EPT_FORMAT, 2 + data[0] % 2, &memory->source))
        abort();
    begin_model(&model);

    struct operation operation;
    for (size_t at = 1; at + sizeof(operation) <= size && at < 40 * sizeof(operation);
         at += sizeof(operation)) {
        memcpy(&operation, data + at, sizeof(operation));
        uint64_t before = ept.generation;
        struct model old = model;
        run(&model, &ept, &operation);
        compare(&model, memory, &ept);
        // A sampled translation that is gone or weaker must have advanced the generation.
        for (unsigned i = 0; ept.generation == before && i < SAMPLES; i++)
            if (old.page[i].flags != 0 && (old.page[i].flags & ~model.page[i].flags & EPT_RIGHTS))
                abort();
        if (operation.flags & 0x80)
            page_table_reclaim(&ept);
    }
    page_table_destroy(&ept, UINT_MAX);
    if (memory->out != 0)
        abort();
    return 0;
}
