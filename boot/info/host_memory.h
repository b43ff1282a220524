// The memory map tag of Multiboot2 turned into ranges that can be trusted: sorted, disjoint, usable
// memory in whole pages. Called by bootinfo.c.
#pragma once

#include "lib/notes.h"

#define BOOT_MEMORY_MAX 512

// The numbers are those of the memory map tag; every other number means MEMORY_RESERVED.
enum memory_type {
    MEMORY_NONE = 0,
    MEMORY_USABLE = 1,
    MEMORY_RESERVED = 2,
    MEMORY_ACPI = 3, // ACPI tables, free to use once they have been read
    MEMORY_NVS = 4,  // the firmware's own, kept across sleep
    MEMORY_BAD = 5,
};

// Physical addresses start <= x < end.
struct memory_range {
    uint64_t start;
    uint64_t end;
    enum memory_type type;
};

// Fills `memory` (BOOT_MEMORY_MAX ranges) and *count from the tag's payload: `bytes` begins at the
// field entry_size. Returns STATUS_OK, or the status of the fatal note that was added.
status_t host_memory_parse(struct memory_range *memory, uint32_t *count, struct notes *notes,
                           const uint8_t *bytes, size_t size);
