// The firmware configuration device as QEMU's machines have it: a 16-bit selector at port 510h, a
// data byte at 511h, and a DMA interface at 514h. Firmware and test guests learn from it how many
// CPUs and how much memory there are, and find named files in its directory. Read-only.
#pragma once

#include "vm/bus.h"

#define VFWCFG_PORTS     12
#define VFWCFG_FILES     16
#define VFWCFG_NAME      56 // bytes of a name in the directory, its NUL included
#define VFWCFG_ENTRY     64
#define VFWCFG_DIRECTORY (4 + VFWCFG_FILES * VFWCFG_ENTRY)
#define VFWCFG_PIECE     (64U << 10) // what DMA moves at most before others have their turn

struct vfwcfg_item {
    const uint8_t *bytes;
    uint32_t size;
};

// A transfer that is under way.
struct vfwcfg_dma {
    uint64_t command; // where its descriptor is
    uint64_t to;      // where the next byte goes
    uint32_t left;    // bytes; 0: there is none
    uint32_t high;    // of the next descriptor's address
};

struct vfwcfg {
    struct vdev device; // offsets count from port 510h
    uint32_t position;  // of the next byte
    unsigned file_count;
    struct vfwcfg_item file[VFWCFG_FILES];
    uint8_t directory[VFWCFG_DIRECTORY]; // numbers in it are big-endian
    uint8_t memory[8];                   // numbers from here on are little-endian
    uint8_t cpus[2];
    uint16_t selected; // key
    struct vfwcfg_dma dma;
    uint64_t due; // VM time: the next piece of a transfer
};

extern const struct vdev_class vfwcfg_class;

// Adds a file, before the first entry. The bytes stay the caller's and must outlive the VM.
MUST_CHECK status_t vfwcfg_add_file(struct vfwcfg *fwcfg, const char *name, const void *bytes,
                                    uint32_t size, struct explanation *why);
