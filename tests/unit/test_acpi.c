// drivers/host/acpi.c, acpi_tables.c and aml.c against hand-made tables in a small physical memory.

#include "tests/unit/support.h"

#include "drivers/host/acpi.h"

// ---- a machine's firmware ----

#define MEMORY_BASE 0x1000000U
#define RSDP_AT     0xe0040U

static uint8_t memory[65536]; // at MEMORY_BASE
static uint8_t bios[0x20000]; // at 0xe0000
static uint8_t low[0x1000];   // at 0
static uint32_t used;
static uint64_t listed[300];
static uint32_t listed_count;
static uint8_t rsdp[36];
static struct acpi_info info;

static const void *map(void *context, uint64_t physical, uint64_t length)
{
    (void)context;
    static const struct {
        uint64_t start, size;
        uint8_t *bytes;
    } areas[] = {{MEMORY_BASE, sizeof(memory), memory},
                 {0xe0000, sizeof(bios), bios},
                 {0, sizeof(low), low}};
    for (size_t i = 0; i < ARRAY_LENGTH(areas); i++) {
        if (physical >= areas[i].start && physical - areas[i].start <= areas[i].size &&
            length <= areas[i].size - (physical - areas[i].start))
            return areas[i].bytes + (physical - areas[i].start);
    }
    return NULL;
}

static void set_sum(uint8_t *bytes, size_t length, size_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)-sum;
}

static void begin(void)
{
    memset(memory, 0, sizeof(memory));
    used = 0;
    listed_count = 0;
}

// A table with its header and checksum; not listed. Returns its offset in `memory`.
static uint32_t place(const char *signature, const void *body, uint32_t length)
{
    uint32_t at = used;
    uint32_t whole = 36 + length;
    memcpy(memory + at, signature, 4);
    memcpy(memory + at + 4, &whole, 4);
    if (length > 0)
        memcpy(memory + at + 36, body, length);
    set_sum(memory + at, whole, 9);
    used = (uint32_t)align_up(at + whole, 16);
    return at;
}

static uint32_t list(const char *signature, const void *body, uint32_t length)
{
    uint32_t at = place(signature, body, length);
    listed[listed_count++] = MEMORY_BASE + at;
    return at;
}

// An RSDP of ACPI 1.0 with an RSDT, or of 2.0 with an XSDT and an empty RSDT.
static void finish(bool is_new)
{
    uint32_t short_list[300];
    for (uint32_t i = 0; i < listed_count; i++)
        short_list[i] = (uint32_t)listed[i];
    uint32_t rsdt = MEMORY_BASE + place("RSDT", short_list, is_new ? 0 : listed_count * 4);
    uint64_t xsdt = is_new ? MEMORY_BASE + place("XSDT", listed, listed_count * 8) : 0;
    uint32_t length = 36;
    memset(rsdp, 0, sizeof(rsdp));
    memcpy(rsdp, "RSD PTR ?TEST\x01S", 15);
    rsdp[15] = is_new ? 2 : 0;
    memcpy(rsdp + 16, &rsdt, 4);
    memcpy(rsdp + 20, &length, 4);
    memcpy(rsdp + 24, &xsdt, 8);
    set_sum(rsdp, 20, 8);
    set_sum(rsdp, 36, 32);
}

static status_t parse(bool is_new)
{
    return acpi_parse(&info, rsdp, is_new ? 36 : 20, map, NULL);
}

static bool noted(const char *words)
{
    for (uint32_t i = 0; i < info.notes.count; i++) {
        if (strstr(info.notes.notes[i].line.text, words) != NULL)
            return true;
    }
    return false;
}

// Bodies without their headers: every offset is 36 less than the specification's.
static const uint8_t madt_body[] = {
    0x00, 0x00, 0xe0, 0xfe, 1,    0,    0,    0, // LAPICs at FEE00000, with 8259s
    0,    8,    0,    0,    1,    0,    0,    0, // processor 0, id 0, enabled
    0,    8,    1,    2,    1,    0,    0,    0, // processor 1, id 2, enabled
    0,    8,    2,    4,    0,    0,    0,    0, // disabled
    0,    8,    3,    6,    2,    0,    0,    0, // only online-capable
    0,    8,    4,    255,  1,    0,    0,    0, // no processor
    0,    8,    5,    2,    1,    0,    0,    0, // id 2 again
    9,    16,   0,    0,    0,    0,    0,    0,    1,    0, 0, 0, 0,
    0,    0,    0, // id 0 again, as x2APIC
    9,    16,   0,    0,    0x2c, 1,    0,    0,    1,    0, 0, 0, 7,
    0,    0,    0, // x2APIC id 300, processor 7
    9,    16,   0,    0,    0xff, 0xff, 0xff, 0xff, 1,    0, 0, 0, 8,
    0,    0,    0,                                                 // no processor
    1,    12,   3,    0,    0,    0,    0xc0, 0xfe, 0,    0, 0, 0, // I/O APIC 3
    1,    12,   4,    0,    0,    0x10, 0xc0, 0xfe, 24,   0, 0, 0, // I/O APIC 4 from GSI 24
    1,    12,   5,    0,    0,    0,    0xc0, 0xfe, 48,   0, 0, 0, // the address of I/O APIC 3
    2,    10,   0,    0,    2,    0,    0,    0,    0,    0, // IRQ 0 to GSI 2, as the bus does
    2,    10,   0,    9,    9,    0,    0,    0,    0x0f, 0, // IRQ 9: level, low
    2,    10,   0,    5,    20,   0,    0,    0,    0x05, 0, // IRQ 5 to GSI 20: edge, high
    2,    10,   1,    6,    21,   0,    0,    0,    0,    0, // not ISA
    4,    6,    255,  0,    0,    1,                         // NMI at LINT1 of all
    10,   12,   0x0f, 0,    7,    0,    0,    0,    0,    0, 0, 0, // NMI at LINT0 of processor 7,
                                                                   // level, low
    4,    6,    0,    0,    0,    2,                               // there is no LINT2
    5,    12,   0,    0,    0,    0,    0xe1, 0xfe, 1,    0, 0, 0, // LAPICs at 1FEE10000
    3,    8,    0,    0,    1,    0,    0,    0,                   // NMI source: not read
    0xd0, 2,                                                       // an OEM's entry
};

static void assert_route(uint8_t irq, uint32_t gsi, bool is_level, bool is_active_low)
{
    struct acpi_route route = acpi_isa_route(&info, irq);
    assert_int_equal(route.gsi, gsi);
    assert_int_equal(route.is_level, is_level);
    assert_int_equal(route.is_active_low, is_active_low);
}

static void processors_and_interrupt_controllers(void **state)
{
    (void)state;
    for (int is_new = 0; is_new < 2; is_new++) {
        begin();
        list("APIC", madt_body, sizeof(madt_body));
        finish(is_new);
        assert_int_equal(parse(is_new), STATUS_OK);
        assert_string_equal(info.oem, "TEST?S");
        assert_int_equal(info.cpu_count, 3);
        assert_int_equal(info.cpus[0].apic_id, 0);
        assert_int_equal(info.cpus[1].apic_id, 2);
        assert_int_equal(info.cpus[1].processor_uid, 1);
        assert_int_equal(info.cpus[2].apic_id, 300);
        assert_int_equal(info.cpus[2].processor_uid, 7);
        assert_int_equal(info.disabled_cpu_count, 4);
        assert_int_equal(info.lapic_address, 0x1fee10000);
        assert_true(info.has_8259);
        assert_int_equal(info.ioapic_count, 2);
        assert_int_equal(info.ioapics[1].id, 4);
        assert_int_equal(info.ioapics[1].address, 0xfec01000);
        assert_int_equal(info.ioapics[1].gsi_base, 24);
        assert_true(noted("twice"));
        assert_int_equal(info.override_count, 3);
        assert_route(0, 2, false, false);
        assert_route(5, 20, false, false);
        assert_route(9, 9, true, true);
        assert_route(6, 6, false, false);
        assert_true(noted("bus 1 IRQ 6"));
        assert_int_equal(info.nmi_count, 2);
        assert_int_equal(info.nmis[0].processor_uid, ACPI_ANY_CPU);
        assert_int_equal(info.nmis[0].lint, 1);
        assert_false(info.nmis[0].is_level);
        assert_int_equal(info.nmis[1].processor_uid, 7);
        assert_true(info.nmis[1].is_level && info.nmis[1].is_active_low);
        assert_true(noted("LINT2"));
        assert_true(noted("no FADT"));
        assert_false(info.has_fadt);
    }
}

static void a_damaged_madt_keeps_what_came_before(void **state)
{
    (void)state;
    static const uint8_t bad[][4] = {{0, 0}, {0, 1}, {0, 9}, {0, 200}};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        uint8_t body[8 + 8 + 8 + 4];
        memcpy(body, madt_body, 24);
        memcpy(body + 24, bad[i], 4);
        begin();
        list("APIC", body, sizeof(body));
        finish(false);
        assert_int_equal(parse(false), STATUS_OK);
        assert_int_equal(info.cpu_count, 2);
        assert_true(noted("damaged at byte 60"));
    }
    // A short entry of a known type is stepped over.
    uint8_t body[8 + 4 + 8];
    memcpy(body, madt_body, 8);
    memcpy(body + 8, (uint8_t[]){0, 4, 0, 0}, 4);
    memcpy(body + 12, madt_body + 8, 8);
    begin();
    list("APIC", body, sizeof(body));
    list("APIC", body, sizeof(body));
    list("APIC", body, 3);
    finish(false);
    assert_int_equal(parse(false), STATUS_OK);
    assert_int_equal(info.cpu_count, 1);
    assert_true(noted("type 0, has 4 bytes"));
    assert_true(noted("there is another"));
}

static void too_many_processors(void **state)
{
    (void)state;
    static uint8_t body[8 + 16 * (ACPI_CPUS_MAX + 1)];
    memcpy(body, madt_body, 8);
    for (uint32_t i = 0; i <= ACPI_CPUS_MAX; i++) {
        uint8_t *entry = body + 8 + 16 * i;
        entry[0] = 9;
        entry[1] = 16;
        memcpy(entry + 4, &i, 4);
        entry[8] = 1;
    }
    begin();
    list("APIC", body, sizeof(body));
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
    assert_true(noted("APIC id 512 is not used"));
}

// ---- FADT ----

static uint8_t fadt[276 - 36];

static void fadt_put(uint32_t offset, uint64_t value, uint32_t size)
{
    memcpy(&fadt[offset - 36], &value, size);
}

static void fadt_put_register(uint32_t offset, uint8_t space, uint8_t width, uint64_t address)
{
    fadt_put(offset, space | width << 8, 4);
    fadt_put(offset + 4, address, 8);
}

// As an i440fx machine has it.
static void fadt_begin(void)
{
    memset(fadt, 0, sizeof(fadt));
    fadt_put(46, 9, 2);
    fadt_put(48, 0xb2, 4);
    fadt_put(52, 0xf1, 1);
    fadt_put(64, 0xb004, 4);
    fadt_put(76, 0xb008, 4);
    fadt_put(89, 2, 1);
    fadt_put(91, 4, 1);
    fadt_put(108, 0x32, 1);
    fadt_put(109, 3, 2);
}

static const uint8_t s5_aml[] = {
    0x10, 0x20, '_', 'S', '5', '_',                                               // not a Name
    0x08, '_',  'S', '5', '_', 0x0a, 5,                                           // not a Package
    0x08, '_',  'S', '5', '_', 0x12, 0x09, 0x04, 0x0a, 0x05, 0x0b, 0x06, 0, 0, 0, // 5 and 6
};

static void the_fadt_of_acpi_1(void **state)
{
    (void)state;
    begin();
    fadt_begin();
    uint32_t dsdt = place("DSDT", s5_aml, sizeof(s5_aml));
    fadt_put(40, MEMORY_BASE + dsdt, 4);
    fadt_put(112, 1 << 10, 4); // claims a reset register that a table of this length does not have
    list("FACP", fadt, 116 - 36);
    finish(false);
    assert_int_equal(parse(false), STATUS_OK);
    assert_true(info.has_fadt);
    assert_false(info.is_hardware_reduced);
    assert_int_equal(info.sci_irq, 9);
    assert_int_equal(info.smi_command, 0xb2);
    assert_int_equal(info.acpi_enable, 0xf1);
    assert_int_equal(info.pm1a_control.space, ACPI_IO);
    assert_int_equal(info.pm1a_control.address, 0xb004);
    assert_int_equal(info.pm1a_control.width, 16);
    assert_int_equal(info.pm1b_control.width, 0);
    assert_int_equal(info.pm_timer.address, 0xb008);
    assert_false(info.pm_timer_is_32_bit);
    assert_int_equal(info.reset.width, 0);
    assert_int_equal(info.rtc_century, 0x32);
    assert_int_equal(info.boot_architecture, 3);
    assert_true(info.s5.is_known);
    assert_int_equal(info.s5.pm1a, 5);
    assert_int_equal(info.s5.pm1b, 6);
}

static void the_fadt_of_later_versions(void **state)
{
    (void)state;
    begin();
    fadt_begin();
    uint32_t dsdt = place("DSDT", s5_aml, sizeof(s5_aml));
    fadt_put(40, 0x10, 4); // wrong: the wide one counts
    fadt_put(140, MEMORY_BASE + dsdt, 8);
    fadt_put(112, 1 << 10 | 1 << 8, 4);
    fadt_put_register(116, ACPI_IO, 8, 0xcf9);
    fadt_put(128, 6, 1);
    fadt_put_register(172, ACPI_IO, 16, 0x604);
    fadt_put_register(184, ACPI_IO, 0, 0x804); // a width left out
    fadt_put_register(208, ACPI_MEMORY, 32, 0xfed40000);
    list("FACP", fadt, sizeof(fadt));
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_int_equal(info.pm1a_control.address, 0x604);
    assert_int_equal(info.pm1b_control.address, 0x804);
    assert_int_equal(info.pm1b_control.width, 16);
    assert_int_equal(info.pm_timer.space, ACPI_MEMORY);
    assert_int_equal(info.pm_timer.address, 0xfed40000);
    assert_true(info.pm_timer_is_32_bit);
    assert_int_equal(info.reset.space, ACPI_IO);
    assert_int_equal(info.reset.address, 0xcf9);
    assert_int_equal(info.reset_value, 6);
    assert_true(info.s5.is_known);

    // A wide register beyond the ports falls back to the narrow one.
    fadt_put_register(172, ACPI_IO, 16, 0x10604);
    begin();
    list("FACP", fadt, sizeof(fadt));
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_int_equal(info.pm1a_control.address, 0xb004);
    assert_true(noted("no sleep type S5"));
}

static void a_hardware_reduced_machine(void **state)
{
    (void)state;
    begin();
    fadt_begin();
    fadt_put(112, 1 << 20, 4);
    fadt_put_register(244, ACPI_MEMORY, 8, 0xfed50000);
    list("FACP", fadt, sizeof(fadt));
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(info.is_hardware_reduced);
    assert_int_equal(info.sleep_control.address, 0xfed50000);
    assert_int_equal(info.pm1a_control.width, 0);
    assert_int_equal(info.pm_timer.width, 0);
    assert_int_equal(info.smi_command, 0);
}

static void sleep_types(void **state)
{
    (void)state;
    static const struct {
        uint8_t aml[24];
        bool is_known;
        uint8_t pm1a, pm1b;
    } rows[] = {
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, true, 0, 0},
        {{0, 0x08, '\\', '_', 'S', '5', '_', 0x12, 5, 2, 0x0a, 7, 1}, true, 7, 1},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 7}, true, 7, 0},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0x47, 0, 2, 0x0a, 3, 0x0a, 4},
         true,
         3,
         4}, // two length bytes
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 8, 2, 0x0c, 5, 0, 0, 0, 1}, true, 5, 1},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8, 0, 0, 0}, false, 0, 0}, // beyond 3 bits
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0xff, 0, 0, 0}, false, 0, 0},    // Ones
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 2, 0, 0, 0}, false, 0, 0},             // empty
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 3, 2, 0, 0}, false, 0, 0}, // shorter than its numbers
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0, 2, 0, 0}, false, 0, 0}, // shorter than its length
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0x3f, 2, 0, 0}, false, 0, 0}, // longer than the table
        {{0, 0x08, '_', 'S', '4', '_', 0x12, 6, 4, 0, 0, 0, 0}, false, 0, 0},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, '_', 0, 0, 0},
         false,
         0,
         0}, // a name, not a number
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (int in_ssdt = 0; in_ssdt < 2; in_ssdt++) {
            begin();
            fadt_begin();
            if (in_ssdt) {
                list("SSDT", rows[i].aml, sizeof(rows[i].aml));
            } else {
                uint32_t dsdt = place("DSDT", rows[i].aml, sizeof(rows[i].aml));
                fadt_put(40, MEMORY_BASE + dsdt, 4);
            }
            list("FACP", fadt, sizeof(fadt));
            finish(false);
            assert_int_equal(parse(false), STATUS_OK);
            assert_int_equal(info.s5.is_known, rows[i].is_known);
            assert_int_equal(info.s5.pm1a, rows[i].pm1a);
            assert_int_equal(info.s5.pm1b, rows[i].pm1b);
        }
    }
}

static void the_hpet(void **state)
{
    (void)state;
    uint8_t body[20] = {1, 0xa2, 0x86, 0x80, 0, 64, 0, 0, 0, 0, 0xd0, 0xfe};
    begin();
    list("HPET", body, sizeof(body));
    finish(false);
    assert_int_equal(parse(false), STATUS_OK);
    assert_true(info.has_hpet);
    assert_int_equal(info.hpet_address, 0xfed00000);
    body[4] = ACPI_IO;
    begin();
    list("HPET", body, sizeof(body));
    finish(false);
    assert_int_equal(parse(false), STATUS_OK);
    assert_false(info.has_hpet);
    begin();
    list("HPET", body, 19);
    finish(false);
    assert_int_equal(parse(false), STATUS_OK);
    assert_false(info.has_hpet);
}

// ---- roots ----

static void bad_tables_are_ignored_by_name(void **state)
{
    (void)state;
    begin();
    uint32_t at = list("APIC", madt_body, sizeof(madt_body));
    memory[at + 50] ^= 1;
    at = list("FACP", fadt, sizeof(fadt));
    memcpy(memory + at + 4, (uint8_t[]){35, 0}, 2);
    at = list("H\x01PT", fadt, 20);
    memset(memory + at + 4, 0xff, 4);
    listed[listed_count++] = MEMORY_BASE + sizeof(memory) - 4;
    listed[listed_count++] = 0;
    listed[listed_count++] = UINT64_MAX;
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(noted("APIC at 0x1000000 has a wrong checksum"));
    assert_true(noted("FACP") && noted("has a length of 35"));
    assert_true(noted("H?PT") && noted("has a length of 4294967295"));
    assert_true(noted("0x100fffc cannot be read"));
    assert_true(noted("0xffffffffffffffff cannot be read"));
    assert_true(noted("no MADT"));
    assert_false(info.has_madt || info.has_fadt || info.has_hpet);
}

static void roots_that_cannot_be_used(void **state)
{
    (void)state;
    begin();
    list("APIC", madt_body, sizeof(madt_body));
    finish(true);
    for (size_t size = 0; size < 20; size++) {
        assert_int_equal(acpi_parse(&info, rsdp, size, map, NULL), STATUS_NOT_FOUND);
        assert_int_equal(info.notes.count, 1);
    }
    rsdp[10] ^= 1;
    assert_int_equal(parse(true), STATUS_INVALID);
    assert_true(noted("wrong checksum"));
    rsdp[10] ^= 1;
    rsdp[0] ^= 1;
    assert_int_equal(parse(true), STATUS_NOT_FOUND);
    rsdp[0] ^= 1;

    // A wrong extended checksum, or a damaged XSDT: the RSDT (empty here) is used.
    rsdp[33] ^= 1;
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(noted("extended checksum"));
    assert_false(info.has_madt);
    rsdp[33] ^= 1;
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(info.has_madt);
    uint64_t xsdt;
    memcpy(&xsdt, rsdp + 24, 8);
    memory[xsdt - MEMORY_BASE + 40] ^= 1;
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(noted("XSDT") && noted("wrong checksum"));
    assert_false(info.has_madt);
    uint32_t rsdt;
    memcpy(&rsdt, rsdp + 16, 4);
    memory[rsdt - MEMORY_BASE] = 'X';
    assert_int_equal(parse(true), STATUS_INVALID);
    memory[rsdt - MEMORY_BASE] = 'R';
    memory[rsdt - MEMORY_BASE + 30] ^= 1;
    assert_int_equal(parse(true), STATUS_INVALID);
    assert_true(noted("root table"));
}

static void too_many_tables(void **state)
{
    (void)state;
    begin();
    uint32_t empty = place("ZERO", NULL, 0);
    for (int i = 0; i < 256; i++)
        listed[listed_count++] = MEMORY_BASE + empty;
    list("APIC", madt_body, sizeof(madt_body));
    finish(true);
    assert_int_equal(parse(true), STATUS_OK);
    assert_true(noted("257 tables"));
    assert_false(info.has_madt);
}

static void the_rsdp_of_a_bios(void **state)
{
    (void)state;
    size_t size = 0;
    begin();
    finish(true);
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), 0);
    memcpy(bios + 0x1ffe0, rsdp, 20); // the last place
    bios[0x1ffe0 + 8] ^= 1;
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), 0);
    bios[0x1ffe0 + 8] ^= 1;
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), 0xfffe0);
    assert_int_equal(size, 20);    // 36 bytes would not fit
    memcpy(bios + 0x48, rsdp, 36); // not at a multiple of 16
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), 0xfffe0);
    memcpy(&bios[RSDP_AT - 0xe0000], rsdp, 36);
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), RSDP_AT);
    assert_int_equal(size, 36);
    // The EBDA goes first; one at an impossible place is not looked at.
    memcpy(low + 0x410, rsdp, 36);
    low[0x40e] = 0x41;
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), 0x410);
    low[0x40e] = 0x10;
    assert_int_equal(acpi_find_rsdp(map, NULL, &size), RSDP_AT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_and_interrupt_controllers),
        cmocka_unit_test(a_damaged_madt_keeps_what_came_before),
        cmocka_unit_test(too_many_processors),
        cmocka_unit_test(the_fadt_of_acpi_1),
        cmocka_unit_test(the_fadt_of_later_versions),
        cmocka_unit_test(a_hardware_reduced_machine),
        cmocka_unit_test(sleep_types),
        cmocka_unit_test(the_hpet),
        cmocka_unit_test(bad_tables_are_ignored_by_name),
        cmocka_unit_test(roots_that_cannot_be_used),
        cmocka_unit_test(too_many_tables),
        cmocka_unit_test(the_rsdp_of_a_bios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
