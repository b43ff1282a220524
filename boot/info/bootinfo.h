// What the boot loader says about the machine and what it loaded: the Multiboot2 boot information,
// checked and copied, so that the loader's own memory can be reused afterwards. Pure: it reads only
// the bytes that it is given. Called once by the boot code. Format: Multiboot2 Specification, "Boot
// information format".
#pragma once

#include "boot/info/host_memory.h"
#include "drivers/host/text/framebuffer.h"
#include "lib/notes.h"

#define BOOT_MAGIC           0x36d76289U // in EAX when a Multiboot2 loader enters the image
#define BOOT_MODULES_MAX     64
#define BOOT_CMDLINE_MAX     1024
#define BOOT_MODULE_NAME_MAX 128
#define BOOT_RSDP_MAX        36

struct boot_module {
    uint64_t start; // physical; end is exclusive and need not be aligned
    uint64_t end;
    char name[BOOT_MODULE_NAME_MAX];
};

enum framebuffer_type {
    FRAMEBUFFER_RGB = 1,
    FRAMEBUFFER_TEXT = 2, // cells of character and attribute; width and height count cells
};

struct boot_framebuffer {
    bool present;
    enum framebuffer_type type;
    uint64_t address;             // physical
    struct framebuffer_mode mode; // one that can be drawn on
};

struct boot_info {
    char cmdline[BOOT_CMDLINE_MAX];

    // Sorted, without overlaps, neighbours of one type joined; where the map contradicted itself
    // the more careful type stands. MEMORY_USABLE ranges are whole 4 KiB pages. What no range
    // covers is not memory.
    struct memory_range memory[BOOT_MEMORY_MAX];
    uint32_t memory_count;

    // Only modules that lie wholly in usable memory, overlap no other and have a name, in the
    // loader's order.
    struct boot_module modules[BOOT_MODULES_MAX];
    uint32_t module_count;

    struct boot_framebuffer framebuffer;

    uint8_t rsdp[BOOT_RSDP_MAX]; // a copy, its checksums not yet verified
    uint32_t rsdp_size;          // 0: the loader gave none

    struct notes notes;
};

// Reads the boot information at `bytes`, of which `size` bytes may be read. Returns STATUS_OK if
// the machine can be booted from it (there may be warnings in `info->notes`), else the status of
// the first fatal note; `info` is then filled as far as it was understood.
status_t bootinfo_parse(struct boot_info *info, const uint8_t *bytes, size_t size);

// True if every byte of start <= x < end is usable memory. False for an empty range.
bool bootinfo_is_usable(const struct boot_info *info, uint64_t start, uint64_t end);

// True if, besides, no module lies there. (Under UEFI small modules lie in the lowest memory.)
bool bootinfo_is_free(const struct boot_info *info, uint64_t start, uint64_t end);

// The module of that name, or NULL.
const struct boot_module *bootinfo_find_module(const struct boot_info *info, const char *name);
