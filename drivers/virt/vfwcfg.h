// The firmware configuration device as QEMU's machines have it, by its two ports: a 16-bit selector
// at 510h and a data byte at 511h. Test guests and firmware learn from it how many CPUs and how
// much memory there are, and find named files in its directory. Read-only; without DMA.
#pragma once

#include "vm/bus.h"

#define VFWCFG_FILES     8  // as many as a VM has modules
#define VFWCFG_NAME      56 // bytes of a name in the directory, its NUL included
#define VFWCFG_ENTRY     64
#define VFWCFG_DIRECTORY (4 + VFWCFG_FILES * VFWCFG_ENTRY)

struct vfwcfg_item {
    const uint8_t *bytes;
    uint32_t size;
};

struct vfwcfg {
    struct vdev device; // offsets count from port 510h
    struct vfwcfg_item selected;
    uint32_t position; // of the next byte
    unsigned file_count;
    struct vfwcfg_item file[VFWCFG_FILES];
    uint8_t directory[VFWCFG_DIRECTORY]; // numbers in it are big-endian
    uint8_t memory[8];                   // numbers from here on are little-endian
    uint8_t cpus[2];
};

void vfwcfg_init(struct vfwcfg *fwcfg, struct vm *vm);

// Adds a file, before the first entry. The bytes stay the caller's and must outlive the VM.
MUST_CHECK status_t vfwcfg_add_file(struct vfwcfg *fwcfg, const char *name, const void *bytes,
                                    uint32_t size, struct explanation *why);
