// The guest's memory as its firmware would describe it: how a VM's bytes are split around the hole
// below 4 GiB, and the list of ranges (the E820 map) that every boot protocol passes on in its own
// format.
#pragma once

#include "lib/status.h"
#include "vm/gmem.h"
#include "vm/traits.h"

#define MEMORY_RANGES 32

// The numbers of INT 15h, E820; Multiboot and PVH use the same.
enum memory_type {
    MEMORY_RAM = 1,
    MEMORY_RESERVED = 2,
};

struct memory_range {
    uint64_t start;
    uint64_t size;
    enum memory_type type;
};

struct memory_map {
    unsigned count;
    struct memory_range range[MEMORY_RANGES]; // sorted, not overlapping
};

// Below 1 MiB: RAM up to EBDA_START; then what a PC keeps for the BIOS, the VGA and option ROMs.
// The ACPI tables lie in the BIOS's area; from BIOS_ROM on, MP tables, SMBIOS structures and what
// is left of a BIOS.
#define BIOS_DATA_END UINT64_C(0x500) // of interrupt vectors and data area, which are RAM
#define EBDA_START    UINT64_C(0x9fc00)
#define BIOS_START    UINT64_C(0xe0000)
#define BIOS_ROM      UINT64_C(0xf0000)
#define BIOS_SMBIOS   UINT64_C(0xf1000)
#define BIOS_END      UINT64_C(0x100000)
#define LEGACY_START  UINT64_C(0xa0000)

struct memory_layout {
    uint64_t low;  // bytes of RAM from address 0
    uint64_t high; // bytes of RAM from HIGH_MEMORY_START (4 GiB)
};

// How the VM's memory is placed.
struct memory_layout memory_layout(const struct vm_traits *traits);

// Describes the RAM of `memory`; adjacent regions become one range. STATUS_FULL: more regions than
// a map can hold; STATUS_RANGE: no RAM from 0 up to 1 MiB.
MUST_CHECK status_t memory_map_build(const struct gmem *memory, struct memory_map *map,
                                     struct explanation *why);

// The range that holds `at`, or NULL.
const struct memory_range *memory_map_find(const struct memory_map *map, uint64_t at);

// Writes the ranges as boot protocols have them: start and size of 8 bytes, type of 4, one every
// `stride` bytes. What lies between is left alone.
void memory_map_pack(const struct memory_map *map, uint8_t *to, unsigned stride);

// KiB of RAM from address 0, and from 1 MiB on up to the first hole.
uint32_t memory_map_lower_kib(const struct memory_map *map);
uint32_t memory_map_upper_kib(const struct memory_map *map);

// The end of the RAM that begins at 1 MiB (1 MiB itself if there is none).
uint64_t memory_map_low_end(const struct memory_map *map);
