// The ACPI tables for firmware: two files that it puts where it wants, and the commands by which it
// then mends them, which SeaBIOS and OVMF know as `etc/table-loader`.
#pragma once

#include "loaders/acpi.h"

#define ACPI_COMMAND  128 // bytes
#define ACPI_COMMANDS (2 + 16 + 8)

#define ACPI_FILE_RSDP   "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"

// Makes the pointers of tables that acpi_build() has built those of the files: the first ACPI_RSDP
// bytes, and all from ACPI_ALIGN on. Writes the commands to `to` and returns their length.
uint32_t acpi_commands(struct acpi_tables *tables, uint8_t to[ACPI_COMMANDS * ACPI_COMMAND]);
