// One parser for each ACPI table that Corbel reads. Called by acpi.c with a whole table: header
// checked, checksum good.
#pragma once

#include "drivers/host/acpi/acpi.h"

#define ACPI_HEADER_BYTES 36U

struct acpi_table {
    const uint8_t *bytes; // with the header
    uint32_t length;      // at least ACPI_HEADER_BYTES
};

void acpi_read_madt(struct acpi_info *info, struct acpi_table madt);
void acpi_read_fadt(struct acpi_info *info, struct acpi_table fadt, uint64_t *dsdt);
void acpi_read_hpet(struct acpi_info *info, struct acpi_table hpet);

// Looks for the package \_S5 in a DSDT or SSDT. Returns false, changing nothing, if there is no
// well-formed one.
bool aml_find_s5(struct acpi_table table, struct acpi_sleep_type *s5);
