// The ACPI tables that describe the board (vm/platform.h) and the vCPUs to a guest, in the BIOS's
// area of its memory. ACPI: "ACPI Software Programming Model". Called by loader_load() for every
// guest.
#pragma once

#include "lib/status.h"
#include "vm/vm.h"

// Writes RSDP, RSDT, XSDT, FADT, FACS, DSDT and MADT. Needs vm->memory, vm->config, vm->vcpu[] and
// their apic_id. *rsdp is where a scan from BIOS_START finds the root pointer. STATUS_RANGE: no RAM
// there; STATUS_FULL: too long.
MUST_CHECK status_t acpi_write(struct vm *vm, gpa_t *rsdp, struct explanation *why);
