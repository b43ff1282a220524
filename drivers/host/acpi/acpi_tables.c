// The MADT, the FADT and the HPET table: fields at the offsets that the ACPI Specification gives
// them.

#include "drivers/host/acpi/acpi_tables.h"
#include "lib/bytes.h"

// ---- Multiple APIC Description Table ----

enum madt_entry_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_X2APIC = 9,
};

#define MADT_ENTRIES    44U // offset of the first entry
#define CPU_ENABLED     BIT32(0)
#define ISA_IRQS        16
#define POLARITY(flags) ((flags)&3U)
#define TRIGGER(flags)  ((flags) >> 2 & 3U)
#define POLARITY_LOW    3U
#define TRIGGER_LEVEL   3U

static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint32_t flags)
{
    // Online-capable processors are not there yet: they may only be started after firmware says so.
    if ((flags & CPU_ENABLED) == 0) {
        info->disabled_cpu_count++;
        return;
    }
    for (uint32_t i = 0; i < info->cpu_count; i++) {
        // The same processor as a LAPIC and an x2APIC entry is usual; it is one.
        if (info->apic_ids[i] == apic_id)
            return;
    }
    if (info->cpu_count == ACPI_CPUS_MAX) {
        notes_warn(&info->notes, "ACPI lists more than %d processors: APIC id %u is not used",
                   ACPI_CPUS_MAX, apic_id);
        return;
    }
    info->apic_ids[info->cpu_count++] = apic_id;
}

static void add_ioapic(struct acpi_info *info, const uint8_t *entry)
{
    struct acpi_ioapic ioapic = {entry[2], get32(entry + 4), get32(entry + 8)};
    for (uint32_t i = 0; i < info->ioapic_count; i++) {
        if (info->ioapics[i].address == ioapic.address ||
            info->ioapics[i].gsi_base == ioapic.gsi_base) {
            notes_warn(&info->notes, "ACPI lists the I/O APIC at 0x%lx (GSI %u) twice",
                       ioapic.address, ioapic.gsi_base);
            return;
        }
    }
    if (info->ioapic_count == ACPI_IOAPICS_MAX || ioapic.address == 0) {
        notes_warn(&info->notes, "I/O APIC %u at 0x%lx is not used: %s", ioapic.id, ioapic.address,
                   ioapic.address == 0 ? "bad address" : "too many of them");
        return;
    }
    info->ioapics[info->ioapic_count++] = ioapic;
}

static void add_override(struct acpi_info *info, const uint8_t *entry)
{
    uint16_t flags = get16(entry + 8);
    struct acpi_override override = {entry[3],
                                     {
                                         .gsi = get32(entry + 4),
                                         .is_level = TRIGGER(flags) == TRIGGER_LEVEL,
                                         .is_active_low = POLARITY(flags) == POLARITY_LOW,
                                     }};
    // Bus 0 is ISA; there is no other.
    if (entry[2] != 0 || override.isa_irq >= ISA_IRQS ||
        info->override_count == ACPI_OVERRIDES_MAX) {
        notes_warn(&info->notes, "ACPI's interrupt override of bus %u IRQ %u is not used", entry[2],
                   override.isa_irq);
        return;
    }
    info->overrides[info->override_count++] = override;
}

// The shortest entry of each type that we read; 0 for types that we do not.
static uint8_t madt_entry_bytes(uint8_t type)
{
    static const uint8_t bytes[] = {
        [MADT_LAPIC] = 8, [MADT_IOAPIC] = 12, [MADT_OVERRIDE] = 10, [MADT_X2APIC] = 16};
    return type < sizeof(bytes) ? bytes[type] : 0;
}

static void read_madt_entry(struct acpi_info *info, const uint8_t *entry)
{
    switch (entry[0]) {
    case MADT_LAPIC:
        // 255 is the broadcast id: firmware writes it into entries of absent processors.
        add_cpu(info, entry[3], entry[3] == 255 ? 0 : get32(entry + 4));
        break;
    case MADT_IOAPIC:
        add_ioapic(info, entry);
        break;
    case MADT_OVERRIDE:
        add_override(info, entry);
        break;
    case MADT_X2APIC: {
        uint32_t id = get32(entry + 4);
        add_cpu(info, id, id == UINT32_MAX ? 0 : get32(entry + 8));
        break;
    }
    }
}

void acpi_read_madt(struct acpi_info *info, struct acpi_table madt)
{
    if (info->has_madt || madt.length < MADT_ENTRIES) {
        notes_warn(&info->notes, "an ACPI MADT of %u bytes is ignored: %s", madt.length,
                   info->has_madt ? "there is another" : "too short");
        return;
    }
    info->has_madt = true;
    for (uint32_t at = MADT_ENTRIES; at < madt.length;) {
        const uint8_t *entry = madt.bytes + at;
        uint32_t left = madt.length - at;
        if (left < 2 || entry[1] < 2 || entry[1] > left) {
            notes_warn(&info->notes, "the ACPI MADT is damaged at byte %u: the rest is ignored",
                       at);
            return;
        }
        if (entry[1] >= madt_entry_bytes(entry[0]))
            read_madt_entry(info, entry);
        else
            notes_warn(&info->notes, "MADT entry at byte %u, type %u, has %u bytes: ignored", at,
                       entry[0], entry[1]);
        at += entry[1];
    }
}

// ---- Fixed ACPI Description Table ----

enum fadt_offset {
    FADT_DSDT = 40,
    FADT_SMI_CMD = 48,
    FADT_ACPI_ENABLE = 52,
    FADT_PM1A_CONTROL = 64,
    FADT_PM1B_CONTROL = 68,
    FADT_PM_TIMER = 76,
    FADT_PM1_CONTROL_LENGTH = 89,
    FADT_PM_TIMER_LENGTH = 91,
    FADT_CENTURY = 108,
    FADT_FLAGS = 112,
    FADT_RESET_REGISTER = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_X_PM1A_CONTROL = 172,
    FADT_X_PM1B_CONTROL = 184,
    FADT_X_PM_TIMER = 208,
    FADT_SLEEP_CONTROL = 244,
};

#define FADT_SHORTEST         116U // of ACPI 1.0
#define FLAG_TIMER_32_BIT     BIT32(8)
#define FLAG_RESET_SUPPORTED  BIT32(10)
#define FLAG_HARDWARE_REDUCED BIT32(20)
#define REGISTER_BYTES        12U

static uint32_t fadt_get(struct acpi_table fadt, uint32_t offset, uint32_t size)
{
    if (offset + size > fadt.length)
        return 0;
    const uint8_t *at = fadt.bytes + offset;
    return size == 1 ? at[0] : size == 2 ? get16(at) : get32(at);
}

// A Generic Address Structure. A width of 0 (some firmware leaves it out) becomes `width`.
static struct acpi_register read_register(struct acpi_table table, uint32_t offset, uint8_t width)
{
    struct acpi_register none = {0};
    if (offset + REGISTER_BYTES > table.length)
        return none;
    const uint8_t *at = table.bytes + offset;
    uint64_t address = get64(at + 4);
    bool is_port = at[0] == ACPI_IO;
    if (address == 0 || at[0] > ACPI_PCI_CONFIG || (is_port && address > 0xffff))
        return none;
    return (struct acpi_register){(enum acpi_space)at[0], at[1] != 0 ? at[1] : width, address};
}

// A register block: the extended form where it is given, else the port of ACPI 1.0.
static struct acpi_register read_block(struct acpi_table fadt, uint32_t extended, uint32_t old,
                                       uint32_t length, uint8_t width)
{
    struct acpi_register block = read_register(fadt, extended, width);
    uint32_t port = fadt_get(fadt, old, 4);
    if (block.width == 0 && port != 0 && port <= 0xffff && fadt_get(fadt, length, 1) != 0)
        block = (struct acpi_register){ACPI_IO, width, port};
    return block;
}

void acpi_read_fadt(struct acpi_info *info, struct acpi_table fadt, uint64_t *dsdt)
{
    if (info->has_fadt || fadt.length < FADT_SHORTEST) {
        notes_warn(&info->notes, "an ACPI FADT of %u bytes is ignored: %s", fadt.length,
                   info->has_fadt ? "there is another" : "too short");
        return;
    }
    uint32_t flags = fadt_get(fadt, FADT_FLAGS, 4);
    info->has_fadt = true;
    info->is_hardware_reduced = flags & FLAG_HARDWARE_REDUCED;
    info->rtc_century = (uint8_t)fadt_get(fadt, FADT_CENTURY, 1);
    if (flags & FLAG_RESET_SUPPORTED) {
        info->reset = read_register(fadt, FADT_RESET_REGISTER, 8);
        info->reset_value = (uint8_t)fadt_get(fadt, FADT_RESET_VALUE, 1);
    }
    if (FADT_X_DSDT + 8 <= fadt.length)
        *dsdt = get64(fadt.bytes + FADT_X_DSDT);
    if (*dsdt == 0)
        *dsdt = fadt_get(fadt, FADT_DSDT, 4);
    if (info->is_hardware_reduced) {
        info->sleep_control = read_register(fadt, FADT_SLEEP_CONTROL, 8);
        return;
    }
    uint32_t smi_command = fadt_get(fadt, FADT_SMI_CMD, 4);
    info->smi_command = smi_command <= 0xffff ? smi_command : 0;
    info->acpi_enable = (uint8_t)fadt_get(fadt, FADT_ACPI_ENABLE, 1);
    info->pm1a_control =
        read_block(fadt, FADT_X_PM1A_CONTROL, FADT_PM1A_CONTROL, FADT_PM1_CONTROL_LENGTH, 16);
    info->pm1b_control =
        read_block(fadt, FADT_X_PM1B_CONTROL, FADT_PM1B_CONTROL, FADT_PM1_CONTROL_LENGTH, 16);
    info->pm_timer = read_block(fadt, FADT_X_PM_TIMER, FADT_PM_TIMER, FADT_PM_TIMER_LENGTH, 32);
    info->pm_timer_is_32_bit = flags & FLAG_TIMER_32_BIT;
}

// ---- HPET description table ----

#define HPET_REGISTERS 40U // offset of the Generic Address Structure
#define HPET_SHORTEST  56U

void acpi_read_hpet(struct acpi_info *info, struct acpi_table hpet)
{
    // More than one means more than one block; the first is enough for a clock.
    if (info->has_hpet || hpet.length < HPET_SHORTEST)
        return;
    struct acpi_register registers = read_register(hpet, HPET_REGISTERS, 64);
    if (registers.width == 0 || registers.space != ACPI_MEMORY) {
        notes_warn(&info->notes, "the ACPI HPET table names no memory address: HPET not used");
        return;
    }
    info->has_hpet = true;
    info->hpet_address = registers.address;
}
