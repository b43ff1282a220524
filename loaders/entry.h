// The registers of the boot processor at a guest's first instruction, for each mode that a boot
// protocol asks for. vcpu_reset() has been called before; these replace the general registers,
// flow, control registers and segments. SDM: "Guest Register State", "Mode Switching".
#pragma once

#include "loaders/loading.h"

// Selectors of the small GDT that protected-mode and long-mode guests find.
#define ENTRY_CODE32 0x08
#define ENTRY_CODE64 0x10
#define ENTRY_DATA   0x18

// 16-bit real mode at segment:offset, with the IVT at 0.
void entry_real(struct loading *loading, uint16_t segment, uint16_t offset);

// 32-bit protected mode, flat segments, no paging. Places a GDT in low memory.
MUST_CHECK status_t entry_protected(struct loading *loading, uint32_t rip);

// 64-bit mode, the first 4 GiB mapped one to one. Places page tables and a GDT in low memory.
MUST_CHECK status_t entry_long(struct loading *loading, uint64_t rip);
