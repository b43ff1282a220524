// drivers/host/acpi/acpi.c: the way from the RSDP to the tables, and what may be wrong on it.

#include "tests/unit/acpi_firmware.h"

// A MADT's body: one processor.
static const uint8_t madt_body[] = {
    0x00, 0x00, 0xe0, 0xfe, 1, 0, 0, 0, // LAPICs at FEE00000, with 8259s
    0,    8,    0,    0,    1, 0, 0, 0, // processor 0, id 0, enabled
};

static void bad_tables_are_ignored_by_name(void **state)
{
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_tables_are_ignored_by_name),
        cmocka_unit_test(roots_that_cannot_be_used),
        cmocka_unit_test(too_many_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
