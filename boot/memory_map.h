// The memory map tag of Multiboot2 turned into ranges that can be trusted: sorted, disjoint, usable
// memory in whole pages. Called by bootinfo.c.
#pragma once

#include "boot/bootinfo.h"

// Fills info->memory from the tag's payload: `bytes` begins at the field entry_size. Returns
// STATUS_OK, or the status of the fatal note that was added.
status_t memory_map_parse(struct boot_info *info, const uint8_t *bytes, size_t size);
