// From the RSDP over the RSDT or XSDT to the tables, each checked for bounds and checksum before it
// is read.

#include "drivers/host/acpi/acpi.h"
#include "drivers/host/acpi/acpi_tables.h"
#include "lib/bytes.h"
#include "lib/string.h"

#define RSDP_OLD_BYTES  20U
#define RSDP_NEW_BYTES  36U
#define TABLE_BYTES_MAX (4U << 20) // beyond any real DSDT
#define TABLES_MAX      256U

struct tables {
    struct acpi_info *info;
    acpi_map_t map;
    void *context;
};

static const uint8_t *map_bytes(const struct tables *tables, uint64_t physical, uint64_t length)
{
    if (physical == 0 || length > UINT64_MAX - physical)
        return NULL;
    return tables->map(tables->context, physical, length);
}

// The signature as text: four printable characters.
struct signature {
    char text[5];
};

static struct signature signature_of(const uint8_t *bytes)
{
    struct signature signature = {{0}};
    for (int i = 0; i < 4; i++)
        signature.text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    return signature;
}

// Maps and checks the table at `physical`. Returns false after a warning if it cannot be used.
static bool open_table(const struct tables *tables, uint64_t physical, struct acpi_table *table)
{
    struct notes *notes = &tables->info->notes;
    const uint8_t *header = map_bytes(tables, physical, ACPI_HEADER_BYTES);
    if (header == NULL) {
        notes_warn(notes, "the ACPI table at 0x%lx cannot be read: ignored", physical);
        return false;
    }
    struct signature name = signature_of(header);
    table->length = get32(header + 4);
    if (table->length < ACPI_HEADER_BYTES || table->length > TABLE_BYTES_MAX) {
        notes_warn(notes, "the ACPI table %s at 0x%lx has a length of %u: ignored", name.text,
                   physical, table->length);
        return false;
    }
    table->bytes = map_bytes(tables, physical, table->length);
    if (table->bytes == NULL || sum8(table->bytes, table->length)) {
        notes_warn(notes, "the ACPI table %s at 0x%lx %s: ignored", name.text, physical,
                   table->bytes == NULL ? "cannot be read" : "has a wrong checksum");
        return false;
    }
    return true;
}

static bool is_named(const uint8_t *bytes, const char *signature)
{
    return memcmp(bytes, signature, 4) == 0;
}

// What the tables are searched for; a DSDT is reached through the FADT, SSDTs wait for it.
static void read_tables(const struct tables *tables, struct acpi_table root, uint32_t entry_bytes)
{
    struct acpi_info *info = tables->info;
    uint32_t count = (root.length - ACPI_HEADER_BYTES) / entry_bytes;
    if (count > TABLES_MAX) {
        notes_warn(&info->notes, "ACPI lists %u tables: only the first %u are read", count,
                   TABLES_MAX);
        count = TABLES_MAX;
    }
    uint64_t dsdt = 0;
    struct acpi_sleep_type ssdt_s5 = {0};
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = root.bytes + ACPI_HEADER_BYTES + i * entry_bytes;
        uint64_t physical = entry_bytes == 8 ? get64(at) : get32(at);
        struct acpi_table table;
        if (physical == 0 || !open_table(tables, physical, &table))
            continue;
        if (is_named(table.bytes, "APIC"))
            acpi_read_madt(info, table);
        else if (is_named(table.bytes, "FACP"))
            acpi_read_fadt(info, table, &dsdt);
        else if (is_named(table.bytes, "HPET"))
            acpi_read_hpet(info, table);
        else if (is_named(table.bytes, "SSDT") && !ssdt_s5.is_known)
            aml_find_s5(table, &ssdt_s5);
    }
    struct acpi_table table;
    if (dsdt != 0 && open_table(tables, dsdt, &table) && is_named(table.bytes, "DSDT"))
        aml_find_s5(table, &info->s5);
    if (!info->s5.is_known)
        info->s5 = ssdt_s5;
}

static void note_what_is_missing(struct acpi_info *info)
{
    if (!info->has_madt)
        notes_warn(&info->notes, "ACPI has no MADT: one processor, no I/O APIC");
    if (!info->has_fadt)
        notes_warn(&info->notes, "ACPI has no FADT: power-off and reset by guessing");
    else if (!info->s5.is_known)
        notes_warn(&info->notes, "ACPI names no sleep type S5: power-off by guessing");
}

// Returns the address and entry size of the root table, or the status of a fatal note.
static status_t read_rsdp(struct acpi_info *info, const uint8_t *rsdp, size_t size, uint64_t *root,
                          uint32_t *entry_bytes)
{
    if (size < RSDP_OLD_BYTES || memcmp(rsdp, "RSD PTR ", 8) != 0)
        return notes_fail(&info->notes, STATUS_NOT_FOUND, "no ACPI RSDP (%zu bytes given)", size);
    if (sum8(rsdp, RSDP_OLD_BYTES))
        return notes_fail(&info->notes, STATUS_INVALID, "the ACPI RSDP has a wrong checksum");
    memcpy(info->oem, rsdp + 9, 6);
    for (size_t i = 0; i < 6; i++) {
        if (info->oem[i] != '\0' && (info->oem[i] < 0x20 || info->oem[i] > 0x7e))
            info->oem[i] = '?';
    }
    bool is_new = rsdp[15] >= 2 && size >= RSDP_NEW_BYTES;
    if (is_new && sum8(rsdp, RSDP_NEW_BYTES)) {
        notes_warn(&info->notes, "the ACPI RSDP has a wrong extended checksum: XSDT not used");
        is_new = false;
    }
    *root = is_new ? get64(rsdp + 24) : 0;
    *entry_bytes = 8;
    if (*root == 0) {
        *root = get32(rsdp + 16);
        *entry_bytes = 4;
    }
    return STATUS_OK;
}

status_t acpi_parse(struct acpi_info *info, const uint8_t *rsdp, size_t rsdp_size, acpi_map_t map,
                    void *context)
{
    struct tables tables = {info, map, context};
    memset(info, 0, sizeof(*info));
    notes_init(&info->notes);
    uint64_t root = 0;
    uint32_t entry_bytes = 0;
    status_t status = read_rsdp(info, rsdp, rsdp_size, &root, &entry_bytes);
    if (status != STATUS_OK)
        return status;
    struct acpi_table table;
    bool is_good = open_table(&tables, root, &table);
    if (!is_good && entry_bytes == 8) {
        // The old table lists the same ones, as far as 32 bits reach.
        root = get32(rsdp + 16);
        entry_bytes = 4;
        is_good = open_table(&tables, root, &table);
    }
    if (!is_good || !is_named(table.bytes, entry_bytes == 8 ? "XSDT" : "RSDT"))
        return notes_fail(&info->notes, STATUS_INVALID,
                          "the ACPI root table at 0x%lx cannot be used", root);
    read_tables(&tables, table, entry_bytes);
    note_what_is_missing(info);
    return STATUS_OK;
}

struct acpi_route acpi_isa_route(const struct acpi_info *info, uint8_t irq)
{
    for (uint32_t i = 0; i < info->override_count; i++) {
        if (info->overrides[i].isa_irq == irq)
            return info->overrides[i].route;
    }
    return (struct acpi_route){.gsi = irq};
}
