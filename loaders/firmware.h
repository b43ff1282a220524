// What a VM's firmware finds besides its ROM: a part of that in RAM, and files of fw_cfg. Called by
// the machine half instead of loader_load().
#pragma once

#include "loaders/acpi_commands.h"
#include "loaders/image.h"
#include "loaders/memory_map.h"
#include "loaders/smbios.h"
#include "vm/vm.h"

// The files, as fw_cfg hands them out: numbers in them are little-endian.
struct firmware_tables {
    uint32_t e820_size, command_size;
    uint8_t e820[2 * 20]; // RAM: start and size of 8 bytes, type of 4
    uint8_t fail_wait[4]; // milliseconds until it looks for a disk again
    struct acpi_tables acpi;
    uint8_t command[ACPI_COMMANDS * ACPI_COMMAND]; // what is to be done to them
    struct smbios smbios;
    uint8_t smbios_anchor[SMBIOS_ANCHOR];
};

// Puts there what a PC shows of the image below 1 MiB; `tables` are made. The boot processor is as
// vcpu_reset() leaves it. Before: vm->traits, vm->memory as memory_layout() says,
// vm->vcpu[]. Any result but STATUS_OK is explained by a line that names the file.
MUST_CHECK status_t firmware_load(struct vm *vm, const struct image *image,
                                  struct firmware_tables *tables, struct explanation *why);
