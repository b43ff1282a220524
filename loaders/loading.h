// One guest while it is being loaded: what the formats' loaders share. Built by loader_load(), used
// inside loaders/.
#pragma once

#include "loaders/image.h"
#include "loaders/memblock.h"
#include "vm/config/config.h"
#include "vm/vm.h"

struct loading {
    struct vm *vm;
    const struct vm_config *config;
    const struct image *kernel;
    const struct image *initrd; // NULL: none
    const struct image *modules;
    unsigned module_count;
    struct memory_map map;
    struct memblock memblock;
    gpa_t rsdp; // of the ACPI tables
    struct explanation *why;
};

// Where boot information goes: low memory, above what real-mode code and small kernels use.
#define INFO_LOW  UINT64_C(0x10000)
#define INFO_HIGH EBDA_START

// Claims [at, at + size) and copies the first `filled` bytes of it out of a file.
MUST_CHECK status_t loading_copy(struct loading *loading, uint64_t at, const void *from,
                                 uint64_t filled, uint64_t size, const char *name);

// Takes a free place for `size` bytes of boot information.
MUST_CHECK status_t loading_take_info(struct loading *loading, uint64_t size, uint64_t alignment,
                                      const char *name, uint64_t *at);

// The same at a page, and copies them there.
MUST_CHECK status_t loading_place_info(struct loading *loading, const void *from, uint64_t size,
                                       const char *name, uint64_t *at);

// The same as loading_place_info() for a text with its NUL.
MUST_CHECK status_t loading_place_text(struct loading *loading, const char *text, const char *name,
                                       uint64_t *at);

// Puts a module as high as possible below `high`, page-aligned.
MUST_CHECK status_t loading_place_high(struct loading *loading, const struct image *module,
                                       uint64_t high, uint64_t *at);

// The initrd, if any, then the modules: for boot protocols that know modules only.
#define LOADING_MODULES (1 + CONFIG_MODULES)

struct placed_module {
    uint64_t start;
    uint64_t size;
    uint64_t text; // where "NAME ARGUMENTS" is
};

struct placed_modules {
    unsigned count;
    struct placed_module module[LOADING_MODULES];
};

// Puts them at the lowest free pages from `low` on, below 4 GiB, and their texts with the boot
// information.
MUST_CHECK status_t loading_place_modules(struct loading *loading, uint64_t low,
                                          struct placed_modules *placed);

// For formats that take neither an initrd nor modules.
MUST_CHECK status_t loading_refuse_modules(struct loading *loading, const char *format);

// Writes a part of a file (once for each claim), perhaps later, or anything else at once into RAM
// that is claimed already.
void loading_write_file(struct loading *loading, uint64_t at, const void *from, uint64_t size);
void loading_write(struct loading *loading, uint64_t at, const void *from, uint64_t size);
