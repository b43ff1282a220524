// Each table is put together behind the one before it. Where they will lie is not known before all
// are there: pointers are offsets at first, and checksums are filled in last.

#include "loaders/acpi.h"

#include "lib/bytes.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "loaders/memory_map.h"
#include "vm/platform.h"

#define HEADER                  36
#define RSDP_SIZE               36
#define FADT_SIZE               276
#define FACS_SIZE               64
#define OEM_ID                  "CORBEL"
#define OEM_TABLE_ID            "CORBEL  "
#define MADT_APIC_FLAGS_ENABLED 1

// loaders/dsdt.asl as iasl compiled it, with one serial port and with two.
extern const uint8_t acpi_dsdt_uarts1[], acpi_dsdt_uarts2[];

// The next `size` bytes, which are zero.
static uint8_t *take(struct acpi_tables *tables, size_t size)
{
    uint8_t *bytes = tables->bytes + tables->size;
    assert(size <= sizeof(tables->bytes) - tables->size);
    tables->size += (uint32_t)size;
    return bytes;
}

// ... where a table may begin.
static uint8_t *take_table(struct acpi_tables *tables, size_t size)
{
    (void)take(tables, align_up(tables->size, ACPI_ALIGN) - tables->size);
    return take(tables, size);
}

static uint32_t offset_of(const struct acpi_tables *tables, const uint8_t *at)
{
    return (uint32_t)(at - tables->bytes);
}

// A pointer of `width` bytes to what is at `target`.
static void put_pointer(struct acpi_tables *tables, uint8_t *at, uint8_t width, uint32_t target)
{
    assert(tables->pointer_count < ARRAY_LENGTH(tables->pointer));
    memcpy(at, &target, sizeof(target));
    tables->pointer[tables->pointer_count++] =
        (struct acpi_pointer){(uint16_t)offset_of(tables, at), width};
}

// The byte at `at` makes the sum of these bytes zero.
static void put_checksum(struct acpi_tables *tables, uint8_t *at, uint8_t *start, size_t length)
{
    assert(tables->checksum_count < ARRAY_LENGTH(tables->checksum));
    tables->checksum[tables->checksum_count++] = (struct acpi_checksum){
        (uint16_t)offset_of(tables, at), (uint16_t)offset_of(tables, start), (uint16_t)length};
}

static uint8_t *begin_table(struct acpi_tables *tables, const char *signature, uint8_t revision,
                            size_t size)
{
    uint8_t *table = take_table(tables, size);
    memcpy(table, signature, 4);
    table[8] = revision;
    memcpy(table + 10, OEM_ID, 6);
    memcpy(table + 16, OEM_TABLE_ID, 8);
    put32(table + 24, 1);
    memcpy(table + 28, "CRBL", 4); // the compiler's name
    put32(table + 32, 1);
    return table;
}

// It is the last one so far. Returns where it is.
static uint32_t end_table(struct acpi_tables *tables, uint8_t *table)
{
    uint32_t at = offset_of(tables, table), size = tables->size - at;
    put32(table + 4, size);
    put_checksum(tables, table + 9, table, size);
    return at;
}

// ---- FADT and FACS ----

#define PROFILE_ENTERPRISE_SERVER 4
#define LATENCY_NO_C2             101
#define LATENCY_NO_C3             1001

// there are ISA devices; bit 1 stays clear: no keyboard controller
#define BOOT_LEGACY_DEVICES BIT32(0)
#define BOOT_NO_VGA         BIT32(2)
#define BOOT_NO_ASPM        BIT32(4)

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

static uint32_t add_facs(struct acpi_tables *tables)
{
    uint8_t *facs = take_table(tables, FACS_SIZE);
    memcpy(facs, "FACS", 4);
    put32(facs + 4, FACS_SIZE);
    facs[32] = 2; // version
    return offset_of(tables, facs);
}

static uint32_t add_dsdt(struct acpi_tables *tables, const struct vm *vm)
{
    const uint8_t *dsdt = vm->traits.uart2 ? acpi_dsdt_uarts2 : acpi_dsdt_uarts1;
    uint8_t *table = take_table(tables, get32(dsdt + 4));
    memcpy(table, dsdt, get32(dsdt + 4));
    return offset_of(tables, table);
}

static uint32_t add_fadt(struct acpi_tables *tables, uint32_t facs, uint32_t dsdt)
{
    uint8_t *b = begin_table(tables, "FACP", 6, FADT_SIZE);
    put_pointer(tables, b + 36, 4, facs);
    put_pointer(tables, b + 40, 4, dsdt);
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
    put_pointer(tables, b + 140, 8,
                dsdt); // of FACS, only the 32-bit field is set: both would be one too many
    put_port(b + 148, PORT_PM1_EVENT, 4, 2);
    put_port(b + 172, PORT_PM1_CONTROL, 2, 2);
    put_port(b + 208, PORT_PM_TIMER, 4, 3);
    put_port(b + 220, PORT_GPE0, GPE0_LENGTH, 1);
    memcpy(b + 268, OEM_TABLE_ID, 8); // the hypervisor's name
    return end_table(tables, b);
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

static uint8_t *madt_entry(struct acpi_tables *tables, uint8_t type, uint8_t length)
{
    uint8_t *entry = take(tables, length);
    entry[0] = type;
    entry[1] = length;
    return entry;
}

static void madt_cpu(struct acpi_tables *tables, unsigned uid, uint32_t apic_id)
{
    if (apic_id <= XAPIC_ID_MAX) {
        uint8_t *entry = madt_entry(tables, MADT_LAPIC, 8);
        entry[2] = (uint8_t)uid;
        entry[3] = (uint8_t)apic_id;
        put32(entry + 4, MADT_APIC_FLAGS_ENABLED);
    } else {
        uint8_t *entry = madt_entry(tables, MADT_X2APIC, 16);
        put32(entry + 4, apic_id);
        put32(entry + 8, MADT_APIC_FLAGS_ENABLED);
        put32(entry + 12, uid);
    }
}

static void madt_override(struct acpi_tables *tables, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    uint8_t *entry = madt_entry(tables, MADT_OVERRIDE, 10);
    entry[3] = irq;
    put32(entry + 4, gsi);
    put16(entry + 8, flags);
}

static uint32_t add_madt(struct acpi_tables *tables, const struct vm *vm)
{
    uint8_t *madt = begin_table(tables, "APIC", 5, MADT_HEADER);
    put32(madt + HEADER, (uint32_t)MMIO_LAPIC);
    put32(madt + HEADER + 4, MADT_PCAT_COMPAT);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        madt_cpu(tables, i, vm->vcpu[i]->apic_id);
    uint8_t *ioapic = madt_entry(tables, MADT_IOAPIC, 12);
    put32(ioapic + 4, (uint32_t)MMIO_IOAPIC);
    madt_override(tables, IRQ_PIT, GSI_PIT, INTI_EDGE_HIGH);
    madt_override(tables, IRQ_SCI, IRQ_SCI, INTI_LEVEL_HIGH);
    uint8_t *nmi = madt_entry(tables, MADT_LAPIC_NMI, 6);
    nmi[2] = MADT_ALL_CPUS;
    put16(nmi + 3, INTI_EDGE_HIGH);
    nmi[5] = 1; // LINT1
    return end_table(tables, madt);
}

// ---- MCFG ----

#define MCFG_HEADER (HEADER + 8)
#define MCFG_ENTRY  16 // address, segment, first and last bus

static uint32_t add_mcfg(struct acpi_tables *tables, const struct vm *vm)
{
    bool is_q35 = vm->traits.firmware;
    uint8_t *mcfg = begin_table(tables, "MCFG", 1, MCFG_HEADER + MCFG_ENTRY);
    put64(mcfg + MCFG_HEADER, is_q35 ? PCI_ECAM_Q35 : PCI_ECAM);
    mcfg[MCFG_HEADER + 11] = is_q35 ? UINT8_MAX : 0;
    return end_table(tables, mcfg);
}

// ---- roots ----

static uint32_t add_root(struct acpi_tables *tables, const char *signature, uint8_t width,
                         const uint32_t table[], unsigned count)
{
    uint8_t *root = begin_table(tables, signature, 1, HEADER + count * width);
    for (unsigned i = 0; i < count; i++)
        put_pointer(tables, root + HEADER + i * width, width, table[i]);
    return end_table(tables, root);
}

static void fill_rsdp(struct acpi_tables *tables, uint8_t *rsdp, uint32_t rsdt, uint32_t xsdt)
{
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, OEM_ID, 6);
    rsdp[15] = 2; // revision
    put_pointer(tables, rsdp + 16, 4, rsdt);
    put32(rsdp + 20, RSDP_SIZE);
    put_pointer(tables, rsdp + 24, 8, xsdt);
    put_checksum(tables, rsdp + 8, rsdp, 20);
    put_checksum(tables, rsdp + 32, rsdp, RSDP_SIZE);
}
_Static_assert(RSDP_SIZE == ACPI_RSDP && ACPI_RSDP <= ACPI_ALIGN, "the first table is behind it");

// ---- all ----

void acpi_build(struct acpi_tables *tables, const struct vm *vm)
{
    memset(tables, 0, sizeof(*tables));
    uint8_t *rsdp = take_table(tables, RSDP_SIZE);
    uint32_t facs = add_facs(tables);
    uint32_t dsdt = add_dsdt(tables, vm);
    uint32_t table[3];
    table[0] = add_fadt(tables, facs, dsdt);
    table[1] = add_madt(tables, vm);
    table[2] = add_mcfg(tables, vm);
    uint32_t rsdt = add_root(tables, "RSDT", 4, table, ARRAY_LENGTH(table));
    uint32_t xsdt = add_root(tables, "XSDT", 8, table, ARRAY_LENGTH(table));
    fill_rsdp(tables, rsdp, rsdt, xsdt);
}

void acpi_move(struct acpi_tables *tables, uint32_t by)
{
    for (unsigned i = 0; i < tables->pointer_count; i++) {
        uint8_t *at = tables->bytes + tables->pointer[i].at;
        put32(at, get32(at) + by);
    }
}

status_t acpi_write(struct vm *vm, gpa_t *rsdp, struct explanation *why)
{
    struct acpi_tables tables;
    acpi_build(&tables, vm);
    acpi_move(&tables, (uint32_t)BIOS_START);
    for (unsigned i = 0; i < tables.checksum_count; i++) {
        const struct acpi_checksum *sum = &tables.checksum[i];
        tables.bytes[sum->at] = (uint8_t)-sum8(tables.bytes + sum->start, sum->length);
    }
    *rsdp = gpa(BIOS_START);
    return gmem_write(&vm->memory, *rsdp, tables.bytes, tables.size)
               ? STATUS_OK
               : explain(why, STATUS_RANGE,
                         "ACPI tables: no memory at 0x%lx; give the VM at least 1M", BIOS_START);
}
