// The ACPI tables that describe the board (vm/platform.h) and the vCPUs to a guest. ACPI: "ACPI
// Software Programming Model". Firmware puts them into memory (loaders/firmware.c); where there is
// none, they are written into the BIOS's area, for every guest.
#pragma once

#include "lib/status.h"
#include "vm/vm.h"

#define ACPI_SIZE  4096
#define ACPI_ALIGN 64 // the FACS needs it
#define ACPI_RSDP  36 // bytes of the root pointer

// A pointer to one of the tables: an offset from the beginning of them all.
struct acpi_pointer {
    uint16_t at;
    uint8_t width; // bytes
};

// The byte at `at`, which is zero, is to make the sum of these zero.
struct acpi_checksum {
    uint16_t at;
    uint16_t start;
    uint16_t length;
};

// The root pointer, and from ACPI_ALIGN on FACS, DSDT, FADT, MADT, MCFG, RSDT and XSDT; and what is
// to be done to them once it is known where they lie: the pointers, then the checksums in their
// order.
struct acpi_tables {
    uint32_t size;
    unsigned pointer_count;
    struct acpi_pointer pointer[16];
    unsigned checksum_count;
    struct acpi_checksum checksum[8];
    uint8_t bytes[ACPI_SIZE];
};

// Needs vm->traits, vm->vcpu[] and their apic_id.
void acpi_build(struct acpi_tables *tables, const struct vm *vm);

// All pointers lead so many bytes further, modulo 2^32.
void acpi_move(struct acpi_tables *tables, uint32_t by);

// Writes them into vm->memory, the root pointer where a scan from BIOS_START finds it: *rsdp.
// STATUS_RANGE: no RAM there.
MUST_CHECK status_t acpi_write(struct vm *vm, gpa_t *rsdp, struct explanation *why);
