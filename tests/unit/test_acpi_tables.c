// drivers/host/acpi/acpi_tables.c against hand-made MADTs, FADTs and HPET tables, right and
// damaged.

#include "tests/unit/acpi_firmware.h"

// Bodies without their headers: every offset is 36 less than the specification's.
static const uint8_t madt_body[] = {
    0x00, 0x00, 0xe0, 0xfe, 1, 0, 0, 0,                          // LAPICs at FEE00000, with 8259s
    0, 8, 0, 0, 1, 0, 0, 0,                                      // processor 0, id 0, enabled
    0, 8, 1, 2, 1, 0, 0, 0,                                      // processor 1, id 2, enabled
    0, 8, 2, 4, 0, 0, 0, 0,                                      // disabled
    0, 8, 3, 6, 2, 0, 0, 0,                                      // only online-capable
    0, 8, 4, 255, 1, 0, 0, 0,                                    // no processor
    0, 8, 5, 2, 1, 0, 0, 0,                                      // id 2 again
    9, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,             // id 0 again, as x2APIC
    9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0,          // x2APIC id 300, processor 7
    9, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 8, 0, 0, 0, // no processor
    1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,                   // I/O APIC 3
    1, 12, 4, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0,               // I/O APIC 4 from GSI 24
    1, 12, 5, 0, 0, 0, 0xc0, 0xfe, 48, 0, 0, 0,                  // the address of I/O APIC 3
    2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                               // IRQ 0 to GSI 2, as the bus does
    2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0,                            // IRQ 9: level, low
    2, 10, 0, 5, 20, 0, 0, 0, 0x05, 0,                           // IRQ 5 to GSI 20: edge, high
    2, 10, 1, 6, 21, 0, 0, 0, 0, 0,                              // not ISA
    4, 6, 255, 0, 0, 1,                                          // NMI at LINT1 of all
    10, 12, 0x0f, 0, 7, 0, 0, 0, 0, 0, 0, 0,                     // NMI at LINT0 of processor 7,
                                                                 // level, low
    4, 6, 0, 0, 0, 2,                                            // there is no LINT2
    5, 12, 0, 0, 0, 0, 0xe1, 0xfe, 1, 0, 0, 0,                   // LAPICs at 1FEE10000
    3, 8, 0, 0, 1, 0, 0, 0,                                      // NMI source: not read
    0xd0, 2,                                                     // an OEM's entry
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
    for (int is_new = 0; is_new < 2; is_new++) {
        begin();
        list("APIC", madt_body, sizeof(madt_body));
        finish(is_new);
        assert_int_equal(parse(is_new), STATUS_OK);
        assert_string_equal(info.oem, "TEST?S");
        assert_int_equal(info.cpu_count, 3);
        assert_int_equal(info.apic_ids[0], 0);
        assert_int_equal(info.apic_ids[1], 2);
        assert_int_equal(info.apic_ids[2], 300);
        assert_int_equal(info.disabled_cpu_count, 4);
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
        assert_true(noted("no FADT"));
        assert_false(info.has_fadt);
    }
}

static void a_damaged_madt_keeps_what_came_before(void **state)
{
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

static const uint8_t s5_aml[] = {
    0x10, 0x20, '_', 'S', '5', '_',                                               // not a Name
    0x08, '_',  'S', '5', '_', 0x0a, 5,                                           // not a Package
    0x08, '_',  'S', '5', '_', 0x12, 0x09, 0x04, 0x0a, 0x05, 0x0b, 0x06, 0, 0, 0, // 5 and 6
};

static void the_fadt_of_acpi_1(void **state)
{
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
    assert_true(info.s5.is_known);
    assert_int_equal(info.s5.pm1a, 5);
    assert_int_equal(info.s5.pm1b, 6);
}

static void the_fadt_of_later_versions(void **state)
{
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

static void the_hpet(void **state)
{
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_and_interrupt_controllers),
        cmocka_unit_test(a_damaged_madt_keeps_what_came_before),
        cmocka_unit_test(too_many_processors),
        cmocka_unit_test(the_fadt_of_acpi_1),
        cmocka_unit_test(the_fadt_of_later_versions),
        cmocka_unit_test(a_hardware_reduced_machine),
        cmocka_unit_test(the_hpet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
