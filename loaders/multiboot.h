// Multiboot 1 kernels, ELF or with load addresses in their header, entered in 32-bit protected
// mode. Multiboot Specification 0.6.96: "OS image format", "Machine state", "Boot information
// format".
#pragma once

#include "loaders/loading.h"

bool multiboot_recognise(const struct image *image);
MUST_CHECK status_t multiboot_load(struct loading *loading);

// Where a Multiboot header (of either version) wants the file's bytes, if it is no ELF file.
struct multiboot_addresses {
    uint64_t header_offset; // in the file
    uint32_t header;        // address of the header
    uint32_t load;          // of the first byte to load; UINT32_MAX: of the file's first byte
    uint32_t load_end;      // 0: the file's end
    uint32_t bss_end;       // 0: nothing to zero
};

// Loads the file so. *end becomes the end of what it takes.
MUST_CHECK status_t multiboot_load_at(struct loading *loading,
                                      const struct multiboot_addresses *addresses, uint64_t *end);

// Loads an ELF file; the entry point must lie below 4 GiB.
MUST_CHECK status_t multiboot_load_elf(struct loading *loading, uint32_t *entry, uint64_t *end);

#define MULTIBOOT_LOADER_NAME "Corbel"
