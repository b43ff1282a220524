// What the firmware's ACPI tables say that Corbel uses: processors, interrupt controllers and their
// wiring, timers, and how to switch off and reset. Pure: tables are read through the caller's
// mapping, and nothing in them is trusted. Called once by the boot code. Format: ACPI
// Specification, "ACPI Software Programming Model".
#pragma once

#include "lib/notes.h"

#define ACPI_CPUS_MAX      512
#define ACPI_IOAPICS_MAX   16
#define ACPI_OVERRIDES_MAX 32

// How to read physical memory: returns a pointer to `length` readable bytes at `physical`, valid
// until the end of the parse, or NULL if they cannot be read.
typedef const void *(*acpi_map_t)(void *context, uint64_t physical, uint64_t length);

enum acpi_space { ACPI_MEMORY = 0, ACPI_IO = 1, ACPI_PCI_CONFIG = 2 };

// A register, as the Generic Address Structure has it. `width` 0: there is none.
struct acpi_register {
    enum acpi_space space;
    uint8_t width; // in bits
    uint64_t address;
};

struct acpi_ioapic {
    uint8_t id;
    uint64_t address;
    uint32_t gsi_base;
};

// Where an interrupt line arrives, and how it signals.
struct acpi_route {
    uint32_t gsi;
    bool is_level;
    bool is_active_low;
};

struct acpi_override {
    uint8_t isa_irq;
    struct acpi_route route;
};

struct acpi_sleep_type {
    bool is_known;
    uint8_t pm1a;
    uint8_t pm1b;
};

struct acpi_info {
    char oem[7];

    // From the MADT. Only processors that may be started now, each APIC id once.
    bool has_madt;
    uint32_t apic_ids[ACPI_CPUS_MAX];
    uint32_t cpu_count;
    uint32_t disabled_cpu_count; // absent or offline, not among them
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    uint32_t ioapic_count;
    struct acpi_override overrides[ACPI_OVERRIDES_MAX];
    uint32_t override_count;

    // From the FADT.
    bool has_fadt;
    bool is_hardware_reduced; // no PM1 registers, no PM timer
    struct acpi_register pm1a_control;
    struct acpi_register pm1b_control;
    struct acpi_register pm_timer;
    bool pm_timer_is_32_bit;
    struct acpi_register reset;
    uint8_t reset_value;
    struct acpi_register sleep_control; // hardware-reduced machines only
    uint32_t smi_command;               // port; 0: ACPI mode needs no switching on
    uint8_t acpi_enable;
    uint8_t rtc_century; // index into CMOS; 0: the RTC has no century

    // From the HPET table.
    bool has_hpet;
    uint64_t hpet_address;

    // From \_S5 in the DSDT or an SSDT.
    struct acpi_sleep_type s5;

    struct notes notes;
};

// Reads the tables that `rsdp` (20 or 36 bytes, as boot information holds it) leads to. Returns
// STATUS_OK if they could be reached, whatever they lack (see the has_ fields and the warnings in
// `info->notes`), else the status of the fatal note.
status_t acpi_parse(struct acpi_info *info, const uint8_t *rsdp, size_t rsdp_size, acpi_map_t map,
                    void *context);

// Where the ISA interrupt 0 to 15 arrives: by an override, or as on a plain PC (edge, active high,
// GSI = IRQ).
struct acpi_route acpi_isa_route(const struct acpi_info *info, uint8_t irq);
