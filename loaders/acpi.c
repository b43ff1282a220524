// Each table is put together in a small buffer, sealed with its checksum, and copied behind the one
// before it.

#include "loaders/acpi.h"

#include "lib/string.h"
#include "loaders/aml.h"
#include "lib/bytes.h"
#include "loaders/memory_map.h"
#include "vm/platform.h"

#define HEADER                  36
#define TABLE_MAX               2048
#define RSDP_SIZE               36
#define FADT_SIZE               276
#define FACS_SIZE               64
#define TABLE_ALIGN             64 // the FACS needs it
#define OEM_ID                  "CORBEL"
#define OEM_TABLE_ID            "CORBEL  "
#define MADT_APIC_FLAGS_ENABLED 1

struct writer {
    struct vm *vm;
    uint64_t at; // where the next table goes
    struct explanation *why;
    status_t status; // of all that was written; nothing is after a failure
};

// A table while it is put together.
struct table {
    size_t size;
    uint8_t bytes[TABLE_MAX];
};

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)(0 - sum);
}

static void begin_table(struct table *table, const char *signature, uint8_t revision, size_t size)
{
    memset(table->bytes, 0, size);
    table->size = size;
    memcpy(table->bytes, signature, 4);
    table->bytes[8] = revision;
    memcpy(table->bytes + 10, OEM_ID, 6);
    memcpy(table->bytes + 16, OEM_TABLE_ID, 8);
    put32(table->bytes + 24, 1);
    memcpy(table->bytes + 28, "CRBL", 4); // the compiler's name
    put32(table->bytes + 32, 1);
}

// Returns where it is.
static uint64_t write_bytes(struct writer *writer, const uint8_t *bytes, size_t size)
{
    uint64_t at = writer->at;
    if (writer->status != STATUS_OK)
        return 0;
    writer->at = align_up(at + size, TABLE_ALIGN);
    if (writer->at > BIOS_END)
        writer->status =
            explain(writer->why, STATUS_FULL, "ACPI tables: no room below 0x%lx", BIOS_END);
    else if (!gmem_write(&writer->vm->memory, gpa(at), bytes, size))
        writer->status = explain(writer->why, STATUS_RANGE,
                                 "ACPI tables: no memory at 0x%lx; give the VM at least 1M", at);
    return at;
}

static uint64_t end_table(struct writer *writer, struct table *table)
{
    put32(table->bytes + 4, (uint32_t)table->size);
    table->bytes[9] = 0;
    table->bytes[9] = checksum(table->bytes, table->size);
    return write_bytes(writer, table->bytes, table->size);
}

// ---- DSDT ----

static void describe_device(struct aml *aml, const char *name, const char *id, unsigned uid,
                            struct aml_resources *resources)
{
    size_t device = aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, id);
    aml_name(aml, "_UID");
    aml_integer(aml, uid);
    aml_name(aml, "_CRS");
    aml_resources_end(aml, resources);
    aml_end(aml, device);
}

static void describe_isa_device(struct aml *aml, const char *name, const char *id, unsigned uid,
                                uint16_t port, uint8_t ports, unsigned irq)
{
    struct aml_resources resources = {0};
    aml_ports(&resources, port, ports);
    aml_irq(&resources, irq);
    describe_device(aml, name, id, uid, &resources);
}

// A root bridge with one bus, its own ports, and the windows for what is on it.
static void describe_pci(struct aml *aml)
{
    struct aml_resources resources = {0};
    aml_range(&resources, AML_BUS, 0, 0);
    aml_ports(&resources, PORT_PCI_ADDRESS, 8);
    aml_range(&resources, AML_PORTS, 0, PORT_PCI_ADDRESS - 1);
    aml_range(&resources, AML_PORTS, PORT_PCI_WINDOW, 0xffff);
    aml_range(&resources, AML_MEMORY, (uint32_t)PCI_MMIO_START, (uint32_t)PCI_MMIO_END);
    describe_device(aml, "PCI0", "PNP0A03", 0, &resources);
}

static uint64_t write_dsdt(struct writer *writer)
{
    struct table table;
    begin_table(&table, "DSDT", 2, HEADER);
    struct aml aml = {table.bytes, sizeof(table.bytes), HEADER, false};
    size_t bus = aml_begin_scope(&aml, "\\_SB_");
    describe_pci(&aml);
    describe_isa_device(&aml, "RTC_", "PNP0B00", 0, PORT_RTC, 2, IRQ_RTC);
    describe_isa_device(&aml, "COM1", "PNP0501", 1, PORT_COM1, 8, IRQ_COM1);
    if (writer->vm->config.uart2)
        describe_isa_device(&aml, "COM2", "PNP0501", 2, PORT_COM2, 8, IRQ_COM2);
    aml_end(&aml, bus);
    aml_name(&aml, "\\_S5_");
    size_t package = aml_begin_package(&aml, 4);
    aml_integer(&aml, PM_SLEEP_TYPE_S5); // PM1a
    aml_integer(&aml, PM_SLEEP_TYPE_S5); // PM1b, which is not there
    aml_integer(&aml, 0);
    aml_integer(&aml, 0);
    aml_end(&aml, package);
    if (aml.overflow)
        writer->status = explain(writer->why, STATUS_FULL, "DSDT: longer than %d bytes", TABLE_MAX);
    table.size = aml.used;
    return end_table(writer, &table);
}

// ---- FADT and FACS ----

#define PROFILE_ENTERPRISE_SERVER 4
#define LATENCY_NO_C2             101
#define LATENCY_NO_C3             1001

#define BOOT_LEGACY_DEVICES                                                                        \
    BIT32(0) // there are ISA devices; bit 1 stays clear: no keyboard controller
#define BOOT_NO_VGA  BIT32(2)
#define BOOT_NO_ASPM BIT32(4)

#define FLAG_WBINVD          BIT32(0)
#define FLAG_C1              BIT32(2)
#define FLAG_NO_SLEEP_BUTTON BIT32(5) // and bit 4 stays clear: the power button is a fixed feature
#define FLAG_NO_FIXED_RTC    BIT32(6) // no wake status for it
#define FLAG_RESET_REGISTER  BIT32(10)
#define FLAG_HEADLESS        BIT32(12)

// A generic address in I/O space. `access` is the width of one access: 1 byte, 2 word, 3 double
// word.
static void put_port(uint8_t *to, uint16_t port, uint8_t bytes, uint8_t access)
{
    to[0] = 1; // system I/O
    to[1] = (uint8_t)(bytes * 8);
    to[2] = 0;
    to[3] = access;
    put64(to + 4, port);
}

static uint64_t write_facs(struct writer *writer)
{
    uint8_t facs[FACS_SIZE] = "FACS";
    put32(facs + 4, FACS_SIZE);
    facs[32] = 2; // version
    return write_bytes(writer, facs, sizeof(facs));
}

static uint64_t write_fadt(struct writer *writer, uint64_t facs, uint64_t dsdt)
{
    struct table table;
    uint8_t *b = table.bytes;
    begin_table(&table, "FACP", 6, FADT_SIZE);
    put32(b + 36, (uint32_t)facs);
    put32(b + 40, (uint32_t)dsdt);
    b[45] = PROFILE_ENTERPRISE_SERVER;
    put16(b + 46, IRQ_SCI);
    put32(b + 48, PORT_SMI_COMMAND); // with no enable and disable values: always in ACPI mode
    put32(b + 56, PORT_PM1_EVENT);
    put32(b + 64, PORT_PM1_CONTROL);
    put32(b + 76, PORT_PM_TIMER);
    put32(b + 80, PORT_GPE0);
    b[88] = 4; // lengths of the four blocks above
    b[89] = 2;
    b[91] = 4;
    b[92] = GPE0_LENGTH;
    put16(b + 96, LATENCY_NO_C2);
    put16(b + 98, LATENCY_NO_C3);
    b[108] = 0x32; // the RTC's century register
    put16(b + 109, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM);
    put32(b + 112, FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_NO_FIXED_RTC |
                       FLAG_RESET_REGISTER | FLAG_HEADLESS);
    put_port(b + 116, PORT_RESET, 1, 1);
    b[128] = RESET_VALUE;
    put64(b + 140, dsdt); // of FACS, only the 32-bit field is set: both would be one too many
    put_port(b + 148, PORT_PM1_EVENT, 4, 2);
    put_port(b + 172, PORT_PM1_CONTROL, 2, 2);
    put_port(b + 208, PORT_PM_TIMER, 4, 3);
    put_port(b + 220, PORT_GPE0, GPE0_LENGTH, 1);
    memcpy(b + 268, OEM_TABLE_ID, 8); // the hypervisor's name
    return end_table(writer, &table);
}

// ---- MADT ----

#define MADT_HEADER      (HEADER + 8)
#define MADT_PCAT_COMPAT 1 // there are 8259s too
#define MADT_LAPIC       0
#define MADT_IOAPIC      1
#define MADT_OVERRIDE    2
#define MADT_LAPIC_NMI   4
#define MADT_X2APIC      9
#define MADT_ALL_CPUS    0xff
#define INTI_EDGE_HIGH   0x5
#define INTI_LEVEL_HIGH  0xd
#define XAPIC_ID_MAX     254

static uint8_t *madt_entry(struct table *table, uint8_t type, uint8_t length)
{
    uint8_t *entry = table->bytes + table->size;
    memset(entry, 0, length);
    entry[0] = type;
    entry[1] = length;
    table->size += length;
    return entry;
}
_Static_assert(MADT_HEADER + VM_VCPUS * 16 + 12 + 2 * 10 + 6 <= TABLE_MAX, "the MADT fits");

static void madt_cpu(struct table *table, unsigned uid, uint32_t apic_id)
{
    if (apic_id <= XAPIC_ID_MAX) {
        uint8_t *entry = madt_entry(table, MADT_LAPIC, 8);
        entry[2] = (uint8_t)uid;
        entry[3] = (uint8_t)apic_id;
        put32(entry + 4, MADT_APIC_FLAGS_ENABLED);
    } else {
        uint8_t *entry = madt_entry(table, MADT_X2APIC, 16);
        put32(entry + 4, apic_id);
        put32(entry + 8, MADT_APIC_FLAGS_ENABLED);
        put32(entry + 12, uid);
    }
}

static void madt_override(struct table *table, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    uint8_t *entry = madt_entry(table, MADT_OVERRIDE, 10);
    entry[3] = irq;
    put32(entry + 4, gsi);
    put16(entry + 8, flags);
}

static uint64_t write_madt(struct writer *writer)
{
    struct table table;
    begin_table(&table, "APIC", 5, MADT_HEADER);
    put32(table.bytes + HEADER, (uint32_t)MMIO_LAPIC);
    put32(table.bytes + HEADER + 4, MADT_PCAT_COMPAT);
    const struct vm *vm = writer->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        madt_cpu(&table, i, vm->vcpu[i]->apic_id);
    uint8_t *ioapic = madt_entry(&table, MADT_IOAPIC, 12);
    put32(ioapic + 4, (uint32_t)MMIO_IOAPIC);
    madt_override(&table, IRQ_PIT, GSI_PIT, INTI_EDGE_HIGH);
    madt_override(&table, IRQ_SCI, IRQ_SCI, INTI_LEVEL_HIGH);
    uint8_t *nmi = madt_entry(&table, MADT_LAPIC_NMI, 6);
    nmi[2] = MADT_ALL_CPUS;
    put16(nmi + 3, INTI_EDGE_HIGH);
    nmi[5] = 1; // LINT1
    return end_table(writer, &table);
}

// ---- roots ----

static uint64_t write_root(struct writer *writer, const char *signature, const uint64_t tables[],
                           unsigned count, unsigned width)
{
    struct table table;
    begin_table(&table, signature, 1, HEADER + count * width);
    for (unsigned i = 0; i < count; i++)
        memcpy(table.bytes + HEADER + i * width, &tables[i], width);
    return end_table(writer, &table);
}

static void write_rsdp(struct writer *writer, uint64_t rsdt, uint64_t xsdt)
{
    uint8_t rsdp[RSDP_SIZE] = "RSD PTR ";
    memcpy(rsdp + 9, OEM_ID, 6);
    rsdp[15] = 2; // revision
    put32(rsdp + 16, (uint32_t)rsdt);
    put32(rsdp + 20, RSDP_SIZE);
    put64(rsdp + 24, xsdt);
    rsdp[8] = checksum(rsdp, 20);
    rsdp[32] = checksum(rsdp, RSDP_SIZE);
    writer->at = BIOS_START;
    write_bytes(writer, rsdp, sizeof(rsdp));
}

status_t acpi_write(struct vm *vm, gpa_t *rsdp, struct explanation *why)
{
    struct writer writer = {vm, BIOS_START + TABLE_ALIGN, why, STATUS_OK};
    uint64_t facs = write_facs(&writer), dsdt = write_dsdt(&writer), tables[2];
    tables[0] = write_fadt(&writer, facs, dsdt);
    tables[1] = write_madt(&writer);
    uint64_t rsdt = write_root(&writer, "RSDT", tables, 2, sizeof(uint32_t));
    uint64_t xsdt = write_root(&writer, "XSDT", tables, 2, sizeof(uint64_t));
    write_rsdp(&writer, rsdt, xsdt);
    *rsdp = gpa(BIOS_START);
    return writer.status;
}
