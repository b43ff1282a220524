// Any bytes as Multiboot2 boot information: nothing may be read outside them, and what comes out
// keeps its promises.

#include <stdlib.h>
#include <string.h>

#include "boot/info/bootinfo.h"
#include "boot/info/options.h"
#include "tests/fuzz/require.h"

static struct boot_info info;

static void check_memory(void)
{
    for (uint32_t i = 0; i < info.memory_count; i++) {
        const struct memory_range *range = &info.memory[i];
        require(range->start < range->end);
        require(i == 0 || info.memory[i - 1].end <= range->start);
        if (range->type == MEMORY_USABLE)
            require(is_aligned(range->start, 4096) && is_aligned(range->end, 4096));
    }
}

static void check_modules(void)
{
    for (uint32_t i = 0; i < info.module_count; i++) {
        const struct boot_module *module = &info.modules[i];
        require(bootinfo_is_usable(&info, module->start, module->end));
        require(bootinfo_find_module(&info, module->name) == module);
        for (uint32_t j = 0; j < i; j++)
            require(module->start >= info.modules[j].end || module->end <= info.modules[j].start);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // The first field, the total size, is mostly right: the fuzzer's work is in the tags.
    uint8_t *bytes = malloc(size + 1);
    memcpy(bytes, data, size);
    if (size >= 8 && data[4] != 0) {
        uint32_t total = (uint32_t)size;
        memcpy(bytes, &total, 4);
    }
    status_t status = bootinfo_parse(&info, bytes, size);
    free(bytes);
    require(status == info.notes.status);
    require(status != STATUS_OK || info.memory_count > 0);
    check_memory();
    check_modules();

    struct boot_options options;
    struct notes notes;
    notes_init(&notes);
    options_parse(&options, info.cmdline, &notes);
    require(strnlen(options.features, OPTIONS_FEATURES_MAX) < OPTIONS_FEATURES_MAX);
    require(notes.status == STATUS_OK);
    return 0;
}
