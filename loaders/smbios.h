// The SMBIOS structures, in which a guest reads what machine it is on: its UUID, its CPUs and RAM.
// DMTF DSP0134 "System Management BIOS Reference Specification", version 2.8. Where there is a
// firmware it puts them into memory; else loader_load() does.
#pragma once

#include "loaders/loading.h"

#define SMBIOS_SIZE   1024 // of all structures, at most
#define SMBIOS_ANCHOR 31

struct smbios {
    uint16_t size; // bytes that are used
    uint16_t count;
    uint16_t largest; // size of the largest structure
    uint8_t texts;    // of the structure at hand
    uint8_t bytes[SMBIOS_SIZE];
};

// Describes vm->traits, its memory, the vCPUs and their CPUID. A firmware describes itself: without
// one, `has_bios`, there is a structure for the BIOS too.
void smbios_build(struct smbios *smbios, const struct vm *vm, bool has_bios);

// The entry point of structures that lie at that address; a firmware mends the address, and the
// checksums.
void smbios_anchor(const struct smbios *smbios, uint32_t address, uint8_t anchor[SMBIOS_ANCHOR]);

// Puts both where kernels scan for the entry point.
void smbios_write(struct loading *loading);
